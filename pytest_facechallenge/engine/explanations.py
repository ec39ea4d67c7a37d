"""How the table of causes is applied: which of them can explain a check, which steps they need, whose rule owns one."""

from __future__ import annotations

from pytest_facechallenge.analyses.table import STEPS, with_needs
from pytest_facechallenge.checks.causes import CAUSES, Cause, Reads
from pytest_facechallenge.checks.registry import Check
from pytest_facechallenge.core.rulebook import Rule


def causes_of(check: Check) -> tuple[Cause, ...]:
    """Return the causes that can explain a check, in the order of the table: where several hold, the first explains."""
    reads = Reads(
        name=check.name,
        steps=check.steps,
        needs={step: tuple(with_needs({step})) for step in check.steps},
        running=frozenset(step for step in check.steps if STEPS[step].runs_model),
    )
    return tuple(cause for cause in CAUSES if cause.explains(reads))


def steps_of(check: Check) -> tuple[str, ...]:
    """Return the steps whose facts a rule of this check needs: its own, and those that tell what explains it."""
    wanted = {*check.steps, *(step for cause in causes_of(check) for step in cause.steps)}
    return tuple(step for step in STEPS if step in wanted)


def owner_rule(rule: Rule, check: str) -> Rule | None:
    """Return the rule of the same track that has this check and counts, None when there is none."""
    if check == rule.check or not check:
        return None
    rules = (each for each in rule.book.rules_of(rule.track) if each.check == check)
    return next((each for each in rules if each.level == "rule" and not each.not_applicable), None)
