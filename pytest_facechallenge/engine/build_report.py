"""From what a run found to its report."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from pytest_facechallenge.core.facts.base import Facts, Purpose
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.text import clean
from pytest_facechallenge.core.verdict import verdict
from pytest_facechallenge.core.version import __version__
from pytest_facechallenge.engine.environment import UNSTEERED, Steering, describe
from pytest_facechallenge.engine.gatherer import Gatherer
from pytest_facechallenge.engine.plan import JudgedRule, Key, Plan
from pytest_facechallenge.engine.report import (
    SCHEMA,
    Report,
    RulebookReference,
    RuleResult,
    SubmissionReport,
    Tool,
    TrackReport,
    digest_of,
)

#: The most characters of a path in the report.
MOST_OF_A_PATH = 4_096


def build(
    plan: Plan,
    gatherer: Gatherer,
    outcomes: Mapping[Key, Outcome],
    missing: Mapping[Key, str],
    steering: Steering = UNSTEERED,
    sources: Collection[Path] | None = None,
) -> Report:
    """Return the report of a run.

    Parameters
    ----------
    outcomes
        By `JudgedRule.key`.
    missing
        For keys without an outcome, what happened ("deselected", "crashed: …") where that is known.
    steering
        What settings and code of others the run obeyed.
    sources
        Those that the report is about; None for all.
    """
    submissions = []
    facts_of_all = []
    for path, source in plan.sources.items():
        if sources is not None and path not in sources:
            continue
        groups: dict[int, dict[str, list[JudgedRule]]] = {}
        for judged in plan.expected(path):
            groups.setdefault(judged.number, {}).setdefault(judged.rule.full_track, []).append(judged)
        for number, tracks in groups.items():
            facts = gatherer.recorded(path, number)
            facts_of_all.append(facts)
            shown = source.recorded[number].path if source.recorded else str(path)
            reports = tuple(_track(plan, rules, outcomes, missing, _purpose(facts)) for rules in tracks.values())
            changed = gatherer.changed(path)
            submissions.append(
                _submission(shown, plan.names[path, number], facts, reports, (changed,) if changed else ())
            )
    judged_by = {ref.book: plan.books[ref.book] for ref in plan.tracks}
    return Report(
        schema=SCHEMA,
        tool=Tool(name="pytest-facechallenge", version=__version__),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        options={name: _cleaned(value) for name, value in plan.values.set_by_user().items()},
        rulebooks=tuple(
            RulebookReference(id=book.id, title=book.title, version=book.version, date=book.date, digest=book.digest)
            for book in judged_by.values()
        ),
        environment=describe(facts_of_all, steering),
        submissions=tuple(submissions),
    )


def _cleaned(value: object) -> object:
    """Return an option's value with names of strangers in it made safe to show."""
    if isinstance(value, tuple):
        return tuple(map(_cleaned, value))
    return clean(value, MOST_OF_A_PATH) if isinstance(value, str) else value


def _submission(
    path: str, name: str, facts: Facts, tracks: tuple[TrackReport, ...], warnings: tuple[str, ...]
) -> SubmissionReport:
    handed_in = (fact.handed_in() for fact in facts.gathered.values())
    sha256, size = next((found for found in handed_in if found is not None), ("", 0))
    plain = facts.to_builtins()
    return SubmissionReport(
        path=clean(path, MOST_OF_A_PATH),
        name=name,
        sha256=sha256,
        bytes=size,
        facts=plain,
        failures=dict(facts.failures),
        digest=digest_of(plain, facts.failures),
        tracks=tracks,
        warnings=warnings,
    )


def _track(
    plan: Plan,
    rules: list[JudgedRule],
    outcomes: Mapping[Key, Outcome],
    missing: Mapping[Key, str],
    purpose: Purpose,
) -> TrackReport:
    found: dict[str, Outcome] = {}
    absent: dict[str, str] = {}
    rows = []
    for judged in rules:
        outcome = outcomes.get(judged.key)
        if outcome is None:
            absent[judged.rule_id] = missing.get(judged.key, "did not run")
        else:
            found[judged.rule_id] = outcome
        rows.append(rule_result(judged, outcome, absent.get(judged.rule_id, "")))
    first = rules[0].rule
    return TrackReport(
        rulebook=first.book.id,
        track=first.track,
        title=plan.books[first.book.id].tracks[first.track].title,
        verdict=verdict([judged.rule_id for judged in rules if judged.counts], found, absent),
        rules=tuple(rows),
        purpose=purpose,
    )


def _purpose(facts: Facts) -> Purpose:
    """Return what the model is judged for; "" where no facts tell."""
    said = (fact.judged_for() for fact in facts.gathered.values())
    return next((purpose for purpose in said if purpose), "")


def rule_result(judged: JudgedRule, outcome: Outcome | None, why: str = "") -> RuleResult:
    """Return the row of one rule; ``why`` says what happened where there is no outcome."""
    rule = judged.rule
    given = outcome or Outcome(status=Status.UNDECIDED, message=why)
    return RuleResult(
        rule=rule.id,
        case=rule.case,
        clause=rule.clause,
        sentence=rule.text,
        reading=rule.reading,
        level=rule.level,
        counts=judged.counts,
        ran=outcome is not None,
        status=given.status,
        message=given.message,
        measured=given.measured,
        limit=given.limit,
        evidence=given.evidence,
        remedy=given.remedy,
        notes=given.notes,
        uncounted=given.uncounted,
        because_of=given.because_of,
        score=given.score,
    )


def finding_name(plan: Plan, judged: JudgedRule) -> str:
    """Return how the run calls the submission that a rule was judged on."""
    return plan.names[Path(judged.source), judged.number]
