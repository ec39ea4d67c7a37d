"""Mended files: proven, judged, and what cannot be mended says why."""
