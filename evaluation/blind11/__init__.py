"""The eleventh blind set: networks that evade and networks that are honest, by authors who had not read the detector."""
