"""What was handed in: archives, folders, links, sizes."""
