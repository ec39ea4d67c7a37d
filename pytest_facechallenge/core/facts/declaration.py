"""Facts of the step ``declaration``: what the participants state about the things that no file can show."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import Purpose, StepFacts


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
    asked_for
        The purpose that the run was asked to judge for, whatever the declaration says; "" when it was not.
    """

    step: ClassVar[str] = "declaration"

    path: str
    looked_for: tuple[str, ...]
    problem: str = ""
    statements: dict[str, str] = msgspec.field(default_factory=dict)
    asked_for: Purpose = ""

    @property
    def purpose(self) -> Purpose:
        """What the model is judged for; "" where nobody said it.

        A declaration that was read before purposes existed is one of an entry.
        """
        if self.asked_for or not self.path or self.problem:
            return self.asked_for
        return "practice" if self.statements.get("purpose") == "practice" else "entry"

    def judged_for(self) -> Purpose:
        """Return the purpose."""
        return self.purpose
