"""Tests of what is seen of behaviour."""
