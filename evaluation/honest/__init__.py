"""Honest networks, by what they contain: each sees every image once and leaves it where it is."""
