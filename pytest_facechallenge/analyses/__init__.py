"""What is observed about a submission: one folder per subject."""
