"""The fifth blind set: networks that evade and networks that are honest, by an author who had not read the detector."""
