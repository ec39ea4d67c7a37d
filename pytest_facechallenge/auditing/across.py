"""Judging what only all entries together show, and writing it into the reports of those that it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from pytest_facechallenge.auditing.document import EntryRow
from pytest_facechallenge.auditing.rows import entry_row
from pytest_facechallenge.checks.across import ACROSS
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.verdict import verdict
from pytest_facechallenge.engine.plan import Plan
from pytest_facechallenge.engine.report import Report, RuleResult, TrackReport

#: Worse than what the entry alone showed: only then an outcome takes its place.
_RANK = {Status.NOT_APPLICABLE: 0, Status.PASSED: 0, Status.UNDECIDED: 1, Status.FAILED: 2}

__all__ = ["ACROSS", "judged_together"]


def judged_together(
    plan: Plan, compared: Mapping[Path, Facts], out: Path, entries: tuple[EntryRow, ...]
) -> tuple[EntryRow, ...]:
    """Return the rows with what all entries together show; the reports of entries that it changes are written anew.

    Parameters
    ----------
    compared
        The facts that checks over all entries read, by entry.
    out
        The audit's folder.
    """
    found = _outcomes(plan, compared)
    rows = []
    for path, entry in zip(compared, entries, strict=True):
        mine = {key[1:]: outcome for key, outcome in found.items() if key[0] == path}
        rows.append(_rewritten(plan, out, entry, mine) if mine else entry)
    return tuple(rows)


def _outcomes(plan: Plan, compared: Mapping[Path, Facts]) -> dict[tuple[Path, str, str], Outcome]:
    """Return outcomes by entry, track and rule."""
    paths = {plan.names[path, 0]: path for path in compared}
    named = {name: compared[path] for name, path in paths.items()}
    found = {}
    for ref in plan.tracks:
        for rule in plan.books[ref.book].rules_of(ref.track):
            for each in ACROSS:
                if rule.check == each.check and not rule.not_applicable:
                    for name, outcome in each.judge(named, rule).items():
                        found[paths[name], rule.full_track, rule.id] = outcome
    return found


def _rewritten(plan: Plan, out: Path, entry: EntryRow, mine: Mapping[tuple[str, str], Outcome]) -> EntryRow:
    report = Report.load(out / entry.report)
    submission = report.submissions[0]
    tracks = tuple(_track(track, mine) for track in submission.tracks)
    submission = msgspec.structs.replace(submission, tracks=tracks)
    msgspec.structs.replace(report, submissions=(submission,)).save(out / entry.report)
    return entry_row(submission, entry.report, entry.gathered, entry.reused, plan.books)


def _track(track: TrackReport, mine: Mapping[tuple[str, str], Outcome]) -> TrackReport:
    results = tuple(_worse(result, mine.get((track.full, result.name))) for result in track.rules)
    outcomes = {result.name: result.outcome for result in results if result.ran}
    missing = {result.name: result.message for result in results if not result.ran}
    expected = [result.name for result in results if result.counts]
    return msgspec.structs.replace(track, rules=results, verdict=verdict(expected, outcomes, missing))


def _worse(result: RuleResult, outcome: Outcome | None) -> RuleResult:
    if outcome is None or _RANK[outcome.status] <= _RANK[result.status]:
        return result
    plain = {name: getattr(outcome, name) for name in outcome.__struct_fields__}
    return msgspec.structs.replace(result, **plain)
