"""A challenge of our own: a rulebook, and a check that no other challenge has."""

from __future__ import annotations

from pathlib import Path


def rulebook() -> Path:
    """Return where the rulebook is; named by the entry point ``facechallenge.rulebooks``."""
    return Path(__file__).with_name("rulebook.toml")
