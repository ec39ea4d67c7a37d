"""Documents, and the commands that make their images and screens."""
