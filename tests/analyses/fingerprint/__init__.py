"""Tests of the analysis ``fingerprint``."""
