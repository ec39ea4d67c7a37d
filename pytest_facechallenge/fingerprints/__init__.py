"""Comparing fingerprints: how alike two networks are, what that says, and the published networks that are known."""
