"""From facts and a rule to an outcome, and from outcomes to a verdict. Pure: no I/O, no pytest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

import msgspec

from pytest_facechallenge.checks.registry import CHECKS, Check
from pytest_facechallenge.core.facts.base import Facts, FactsMissingError
from pytest_facechallenge.core.outcome import Evidence, Outcome, Status, VerdictWord, not_applicable, undecided
from pytest_facechallenge.core.rulebook import Rule, Rulebook, RulebookError

#: The modules of built-in checks; importing one registers its checks.
FAMILIES = (
    "package",
    "interface",
    "behaviour",
    "weights",
    "preprocessing",
    "server",
    "organisers_checker",
    "declaration",
    "implicit_batch",
    "flops",
    "latency",
    "accuracy",
    "feature_file",
)


def load_checks() -> dict[str, Check]:
    """Import every family of built-in checks and return the register."""
    for family in FAMILIES:
        import_module(f"pytest_facechallenge.checks.{family}")
    return CHECKS


def validate(books: Mapping[str, Rulebook]) -> None:
    """Make sure that every rule names a registered check and only parameters that it knows.

    Raises
    ------
    RulebookError
        Naming rulebook, key, and what is allowed.
    """
    checks = load_checks()
    for book in books.values():
        for rule_id, table in book.rules.items():
            check = checks.get(table.check)
            if check is None:
                raise RulebookError(
                    f"rulebook {book.id!r}, key rules.{rule_id}.check: no check is named {table.check!r}; "
                    f"known: {', '.join(sorted(checks))}"
                )
            stray = set(table.parameters) - set(check.parameters)
            if stray:
                raise RulebookError(
                    f"rulebook {book.id!r}, key rules.{rule_id}.parameters: the check {table.check!r} has no parameter "
                    f"{', '.join(sorted(stray))}; known: {', '.join(check.parameters) or 'none'}"
                )


def judge(facts: Facts, rule: Rule) -> Outcome:
    """Judge one rule.

    Facts that could not be gathered make the outcome undecided; on a track where the rule is only a note, a finding is
    reported but fails nothing.
    """
    if rule.not_applicable:
        return not_applicable(rule.not_applicable)
    check = CHECKS[rule.check]
    try:
        outcome = check.function(facts, rule)
    except FactsMissingError as missing:
        outcome = _undecided_for_want_of(missing)
    if rule.level == "rule" or outcome.status in (Status.PASSED, Status.NOT_APPLICABLE):
        return outcome
    kind = "Only a note on this track" if rule.level == "note" else "Only measured on this track, nothing is judged"
    return msgspec.structs.replace(outcome, status=Status.NOT_APPLICABLE, message=f"{kind}. {outcome.message}")


def _undecided_for_want_of(missing: FactsMissingError) -> Outcome:
    failure = missing.failure
    if failure is None:
        return undecided(
            "What this rule needs was not observed.",
            remedy="Judge the model itself, or a report made by a version that observes it.",
            evidence=(Evidence(where=f"step {missing.step!r}", what="no facts"),),
        )
    if failure.kind == "blocked":
        return undecided(
            f"This could not be observed, because {failure.because_of!r} failed: {failure.message}",
            remedy=f"Solve what {failure.because_of!r} reports; then this rule can be judged.",
        )
    return undecided(
        f"This could not be observed: {failure.message}",
        remedy="Look at the model's other findings first; if there are none, try again with a higher "
        "--facechallenge-timeout or --facechallenge-memory.",
    )


#: What would decide a rule that has no outcome.
LEFT_OUT = "Run it: without -k, -m, --deselect, -x or a conftest.py that drops tests."
AFTER_A_CRASH = "Mend what the error names (pytest shows the whole of it above) and run it again."


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a run says about a submission on a track.

    Attributes
    ----------
    failed
        Ids of the rules that are broken.
    open
        What keeps the verdict from being COMPLIANT although nothing failed: (rule, why, what would decide it).
    """

    word: VerdictWord
    failed: tuple[str, ...] = ()
    open: tuple[tuple[str, str, str], ...] = ()


def verdict(expected: Sequence[str], outcomes: Mapping[str, Outcome], missing: Mapping[str, str]) -> Verdict:
    """Compute the verdict from the rulebook's list.

    Parameters
    ----------
    expected
        The id of every rule (with its case) of the track: a rule that vanished from the run is still in this list.
    outcomes
        Outcome by id.
    missing
        For ids without an outcome, what happened ("deselected", "crashed: …") where that is known.
    """
    failed = tuple(rule for rule in expected if rule in outcomes and outcomes[rule].status is Status.FAILED)
    still_open = []
    for rule in expected:
        outcome = outcomes.get(rule)
        if outcome is None:
            why = missing.get(rule, "did not run")
            still_open.append((rule, why, AFTER_A_CRASH if why.startswith("crashed") else LEFT_OUT))
        elif outcome.status is Status.UNDECIDED:
            still_open.append((rule, outcome.message, outcome.remedy))
    if failed:
        return Verdict(word=VerdictWord.NON_COMPLIANT, failed=failed, open=tuple(still_open))
    if still_open or not expected:
        return Verdict(word=VerdictWord.INCOMPLETE, open=tuple(still_open))
    return Verdict(word=VerdictWord.COMPLIANT)
