"""From facts and a rule to an outcome. Pure: no input or output, no pytest."""

from __future__ import annotations

import traceback

import msgspec

from pytest_facechallenge.checks.registry import CHECKS, Check
from pytest_facechallenge.core.facts.base import Facts, FactsMissingError, FailureKind
from pytest_facechallenge.core.outcome import Evidence, Outcome, Status, not_applicable, undecided
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.text import clean


def judge_rule(facts: Facts, rule: Rule) -> Outcome:
    """Judge one rule.

    Facts that could not be gathered make the outcome undecided, and so does a check that raises. On a track where the
    rule is only a note, a finding is reported but fails nothing.
    """
    if rule.not_applicable:
        return not_applicable(rule.not_applicable)
    check = CHECKS[rule.check]
    try:
        outcome = _outcome_of(check.function(facts, rule))
    except FactsMissingError as missing:
        outcome = _undecided_for_want_of(missing)
    except Exception as error:  # whatever a check does on facts that it did not expect: the other rules go on
        outcome = _undecided_by_a_defect(check, error)
    if rule.level == "rule" or outcome.status in (Status.PASSED, Status.NOT_APPLICABLE):
        return outcome
    kind = "Only a note on this track" if rule.level == "note" else "Only measured on this track, nothing is judged"
    # What was found stands in the notes as well: the summary shows these, and not the message of what does not apply.
    return msgspec.structs.replace(
        outcome,
        status=Status.NOT_APPLICABLE,
        message=f"{kind}. {outcome.message}",
        notes=(outcome.message, *outcome.notes),
    )


def _outcome_of(returned: object) -> Outcome:
    if not isinstance(returned, Outcome):
        raise TypeError(f"an Outcome is expected, the check returned {type(returned).__name__}")
    return returned


def _undecided_by_a_defect(check: Check, error: Exception) -> Outcome:
    """Return the outcome of a check that raised: a defect of it, or facts that no observation gives."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "an unknown place"
    return undecided(
        f"This rule's check {check.function.__module__}.{check.name} failed on these facts: {type(error).__name__}: "
        f"{clean(str(error), 300)}, raised at {clean(where)} (a defect of the check, or facts that no observation "
        "gives).",
        remedy="Mend the check if it is your own, else report this with the JSON report; it says nothing about the "
        "submission.",
        evidence=(Evidence(where=clean(where), what="raised here"),),
    )


def _undecided_for_want_of(missing: FactsMissingError) -> Outcome:
    failure = missing.failure
    if failure is None:
        return undecided(
            "What this rule needs was not observed.",
            remedy="Judge the model itself, or a report made by a version that observes it.",
            evidence=(Evidence(where=f"step {missing.step!r}", what="no facts"),),
        )
    if failure.kind is FailureKind.BLOCKED:
        return undecided(
            f"This could not be observed, because {failure.because_of!r} failed: {failure.message}",
            remedy=f"Solve what {failure.because_of!r} reports; then this rule can be judged.",
        )
    return undecided(
        f"This could not be observed: {failure.message}",
        remedy="Look at the model's other findings first; if there are none, try again with a higher "
        "--facechallenge-timeout or --facechallenge-memory.",
    )
