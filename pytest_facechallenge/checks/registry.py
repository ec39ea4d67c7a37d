"""The register of checks: a name used in rulebooks -> a pure function ``(facts, rule) -> Outcome``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_facechallenge.core.facts.base import Facts, StepFacts
    from pytest_facechallenge.core.outcome import Outcome
    from pytest_facechallenge.core.rulebook import Rule

CheckFunction = "Callable[[Facts, Rule], Outcome]"

#: The headings that a check's docstring must have, in this order: they are what --facechallenge-explain prints.
HEADINGS = ("What", "Why", "How it is measured", "How to fix")


#: What a rule that uses the check may have as its limit: anything, a number, or a number wherever it applies.
LimitKind = Literal["any", "number", "needed"]


class Check(msgspec.Struct, frozen=True):
    """A registered check.

    Attributes
    ----------
    name
        The name that rulebooks use.
    function
        ``(facts, rule) -> Outcome``; pure: no I/O, no pytest, no runtime.
    needs
        The kinds of facts that it reads; gathering is planned from this.
    parameters
        The keys that a rulebook may set under ``parameters``.
    types
        The type of the values of those whose type is known.
    limit
        See `LimitKind`.
    """

    name: str
    function: Callable[[Facts, Rule], Outcome]
    needs: tuple[type[StepFacts], ...]
    parameters: tuple[str, ...] = ()
    types: dict[str, Any] = {}
    limit: LimitKind = "any"

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps whose facts it reads."""
        return tuple(kind.step for kind in self.needs)

    @property
    def sections(self) -> dict[str, str]:
        """The docstring's text under each of `HEADINGS`."""
        found: dict[str, str] = {}
        heading = ""
        for line in (inspect.getdoc(self.function) or "").splitlines():
            if line.rstrip(":") in HEADINGS and line.endswith(":"):
                heading = line.rstrip(":")
                found[heading] = ""
            elif heading:
                found[heading] += line.strip() + "\n"
        return {name: text.strip() for name, text in found.items()}


CHECKS: dict[str, Check] = {}


def check(
    *needs: type[StepFacts], parameters: Sequence[str] | Mapping[str, Any] = (), limit: LimitKind = "any"
) -> Callable[[Callable[[Facts, Rule], Outcome]], Callable[[Facts, Rule], Outcome]]:
    """Register a check under its function's name.

    Parameters
    ----------
    needs
        The kinds of facts that the check reads.
    parameters
        Keys that a rulebook may set in the rule's ``parameters`` table, perhaps with the type of each one's values: a
        rulebook with a value of another type is refused before anything runs.
    limit
        Whether the rule's limit must be a number, and whether there must be one.

    Raises
    ------
    ValueError
        When the docstring lacks one of `HEADINGS`, or another check has the name: a rule that cannot explain itself
        is not finished.
    """

    def register(function: Callable[[Facts, Rule], Outcome]) -> Callable[[Facts, Rule], Outcome]:
        name = function.__name__
        types = dict(parameters) if isinstance(parameters, Mapping) else {}
        entry = Check(name, function, needs, tuple(parameters), types, limit)
        missing = [heading for heading in HEADINGS if not entry.sections.get(heading)]
        if missing:
            raise ValueError(
                f"the check {name!r} ({function.__module__}) lacks the docstring heading(s) {', '.join(missing)}; "
                f"write each of {', '.join(HEADINGS)} on a line of its own, ended by a colon, with its text below"
            )
        known = CHECKS.get(name)
        if known is not None and known.function.__module__ != function.__module__:
            raise ValueError(
                f"a check named {name!r} is already registered by {known.function.__module__}; "
                f"give the one in {function.__module__} another name"
            )
        CHECKS[name] = entry
        return function

    return register
