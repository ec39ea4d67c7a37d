"""The thirteenth blind set: networks that evade and networks that are honest; their authors had not read the detector."""
