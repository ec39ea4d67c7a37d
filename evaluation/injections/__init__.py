"""Transforms that put an evasion into any honest network."""
