"""Facts of the step ``declaration``: what the participants state about the things that no file can show."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts


class DeclarationFacts(StepFacts, frozen=True, kw_only=True):
    """A declaration file, read but not judged.

    Attributes
    ----------
    path
        The file that was read; "" when there is none.
    looked_for
        Where it was looked for.
    problem
        Why the file cannot be used; "" when it can.
    statements
        "section.key" -> value as text ("true", "3", "2021-09-30T12:00:00+00:00").
    """

    step: ClassVar[str] = "declaration"

    path: str
    looked_for: tuple[str, ...]
    problem: str = ""
    statements: dict[str, str] = msgspec.field(default_factory=dict)
