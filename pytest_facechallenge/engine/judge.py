"""From facts and a rule to an outcome. Pure: no input or output, no pytest."""

from __future__ import annotations

import traceback

import msgspec

from pytest_facechallenge.checks.registry import CHECKS, Check
from pytest_facechallenge.core.facts.base import Facts, FactsMissingError, FailureKind
from pytest_facechallenge.core.outcome import Evidence, Outcome, Status, explained, not_applicable, undecided
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.text import clean
from pytest_facechallenge.engine.explanations import causes_of, owner_rule

#: What may turn out to be explained by another rule.
_TO_EXPLAIN = (Status.FAILED, Status.UNDECIDED)


def judge_rule(facts: Facts, rule: Rule) -> Outcome:
    """Judge one rule.

    Facts that could not be gathered make the outcome undecided, and so does a check that raises; what another broken
    rule explains is undecided because of that rule (`checks.causes`). On a track where the rule is only a note, a
    finding is reported but fails nothing.
    """
    if rule.not_applicable:
        return not_applicable(rule.not_applicable)
    outcome = _alone(facts, rule)
    if outcome.status in _TO_EXPLAIN:
        try:
            outcome = _explained(facts, rule) or outcome
        except Exception as error:  # on facts that no observation gives; what the check itself found stays as it is
            what = f"{type(error).__name__}: {clean(str(error), 300)}"
            note = f"Whether another rule's cause explains this could not be found out: {what}."
            outcome = msgspec.structs.replace(outcome, notes=(*outcome.notes, note))
    if rule.level == "rule" or outcome.status in (Status.PASSED, Status.NOT_APPLICABLE):
        return outcome
    kind = "Only a note on this track" if rule.level == "note" else "Only measured on this track, nothing is judged"
    # What was found stands in the notes as well: the summary shows these, and not the message of what does not apply.
    # What another rule explains was found there.
    found = () if outcome.because_of else (outcome.message,)
    message = f"{kind} (see {outcome.because_of})." if outcome.because_of else f"{kind}. {outcome.message}"
    return msgspec.structs.replace(
        outcome,
        status=Status.NOT_APPLICABLE,
        uncounted=outcome.status,
        message=message,
        notes=(*found, *outcome.notes),
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


def _alone(facts: Facts, rule: Rule) -> Outcome:
    """Judge one rule as if it were the only one."""
    check = CHECKS[rule.check]
    try:
        return _outcome_of(check.function(facts, rule))
    except FactsMissingError as missing:
        return _undecided_for_want_of(missing)
    except Exception as error:  # whatever a check does on facts that it did not expect: the other rules go on
        return _undecided_by_a_defect(check, error)


def _explained(facts: Facts, rule: Rule, seen: frozenset[str] = frozenset()) -> Outcome | None:
    """Return the outcome of a rule that another one's cause explains, None when none does.

    A cause may itself be explained; then the rule that stands at the end of the chain is named.
    """
    check = CHECKS[rule.check]
    for cause in causes_of(check):
        owner = owner_rule(rule, cause.owner(facts, rule))
        if owner is None or owner.check in seen:
            continue
        if _alone(facts, owner).status not in _TO_EXPLAIN and not cause.owner_may_pass:
            continue
        return _explained(facts, owner, seen | {rule.check}) or explained(owner.id, cause.about)
    return None


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
