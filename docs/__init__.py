"""Documents, and the commands that make their pictures."""
