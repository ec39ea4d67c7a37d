"""What only people can state: the declaration beside a submission."""
