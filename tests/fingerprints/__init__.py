"""Tests of fingerprints and of what is said of two networks."""
