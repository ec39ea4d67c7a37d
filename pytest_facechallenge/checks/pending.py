"""Rules that have their place in the rulebooks but that this version does not judge yet."""

from __future__ import annotations

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.outcome import Outcome, undecided
from pytest_facechallenge.core.rulebook import Rule


@check()
def not_judged(facts: Facts, rule: Rule) -> Outcome:
    """Say that a rule is not judged.

    What:
        A rule of the challenge that this version of the tool does not judge.

    Why:
        A verdict must never claim more than was checked; so the rule stands in the list and keeps it open.

    How it is measured:
        It is not.

    How to fix:
        Nothing is wrong with the model. Check this rule by hand, or use a version that judges it.
    """
    return undecided("Not judged by this version.", remedy="Check this rule by hand, or use a version that judges it.")
