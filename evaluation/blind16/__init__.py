"""The sixteenth blind set: evading and honest networks, by authors who had not read the detector."""
