"""LFR19 feature files: reading, judging, scoring and writing what that challenge's participants submitted."""
