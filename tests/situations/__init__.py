"""What people really hand in, and what is right to say about it."""
