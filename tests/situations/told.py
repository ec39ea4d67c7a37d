"""What was said about a situation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Told:
    """The broken rules, all texts of the rule that tells it, and its remedy."""

    broken: frozenset[str]
    said: str
    remedy: str = ""
