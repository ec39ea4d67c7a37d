"""Measurements against what others offer; run each with ``python -m benchmarks.NAME``."""
