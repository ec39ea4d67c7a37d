"""Whether entries that follow each other in a ranking differ by more than chance, on the same images.

What is compared stands in the entries' reports: what each identity contributed (`core.identity_counts`). One report
after the other is read, so memory holds two entries, and nothing is embedded or scored again.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import msgspec

from pytest_facechallenge.auditing.document import SIGNIFICANT, EntryRow, Neighbours, Standing, TrackRow
from pytest_facechallenge.auditing.rows import RANKING
from pytest_facechallenge.checks.measured_sets import official_point, official_results
from pytest_facechallenge.checks.published import ranking_weights
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts, PointResult, SetResult
from pytest_facechallenge.core.outcome import Outcome
from pytest_facechallenge.core.rulebook import Rule, Rulebook
from pytest_facechallenge.core.text import clean_name
from pytest_facechallenge.engine.report import Report, ReportError
from pytest_facechallenge.verification.paired import Part, UndecidableError, holm, paired_difference, score_spread

#: What a score is made of: for each set its result and its operating point.
Measured = dict[str, tuple[SetResult, PointResult]]


def compared(
    entries: tuple[EntryRow, ...], books: Mapping[str, Rulebook], out: Path
) -> tuple[tuple[EntryRow, ...], tuple[Neighbours, ...]]:
    """Return the entries with the intervals of their scores, and the neighbours of every track.

    Every two entries that follow each other are a comparison of their own, so each has its own interval and p value.
    Whoever reads down the ranking makes them all: of 100 pairs of equal entries 5 would be called different. So the p
    values are adjusted by Holm's method as well, over the neighbours of the track, and both are said.

    Parameters
    ----------
    entries
        With their places.
    out
        The audit's folder, where their reports lie.
    """
    found: list[Neighbours] = []
    spread: dict[tuple[str, str], TrackRow] = {}
    for track in dict.fromkeys(row.track for entry in entries for row in entry.tracks):
        ranked = [
            (entry, row)
            for entry in entries
            for row in entry.tracks
            if row.track == track and row.standing is Standing.RANKED
        ]
        ranked.sort(key=lambda each: (each[1].place, each[0].name, each[0].path))
        pairs = []
        before: tuple[EntryRow, TrackRow] | None = None
        measured_before: Measured | str = ""
        for entry, row in ranked:
            measured = _measured(out / entry.report, books[track.partition("/")[0]], row)
            spread[entry.path, track] = _with_interval(row, measured, books)
            if before is not None:
                pairs.append(_pair(before, (entry, row), measured_before, measured, books))
            before, measured_before = (entry, row), measured
        found += _together(pairs)
    rows = tuple(
        msgspec.structs.replace(entry, tracks=tuple(spread.get((entry.path, row.track), row) for row in entry.tracks))
        for entry in entries
    )
    return rows, tuple(found)


def _measured(report: Path, book: Rulebook, row: TrackRow) -> Measured | str:
    """Return what an entry's score is made of, or why that cannot be told."""
    try:
        facts = Report.load(report).submissions[0].as_facts().get(AccuracyFacts)
    except (OSError, ReportError) as error:
        return f"its report cannot be read: {clean_name(str(error))}"
    rule = _ranking_rule(book, row.track.partition("/")[2])
    if facts is None or rule is None:
        return "its report has no facts about accuracy"
    found: Measured = {}
    for name in ranking_weights(book, rule.track):
        results = official_results(facts, name, rule)
        point = official_point(results, rule, name, None) if results else f"{name} was not measured"
        if isinstance(point, (str, Outcome)):
            return point if isinstance(point, str) else point.message
        if point[1].by_identity is None or not point[0].compared:
            listed = point[0].protocol == "pairs"
            return f"{name}: " + (
                "pairs were listed, which are not resampled by identity"
                if listed
                else "what each identity contributed was not kept; audit it again with this version"
            )
        found[name] = point
    return found


def _ranking_rule(book: Rulebook, track: str) -> Rule | None:
    return next((rule for rule in book.rules_of(track) if rule.check == RANKING), None)


def _with_interval(row: TrackRow, measured: Measured | str, books: Mapping[str, Rulebook]) -> TrackRow:
    if isinstance(measured, str):
        return row
    try:
        found = score_spread(_parts(measured, row, books), float(Fraction(row.score)))
    except UndecidableError:
        return row
    return msgspec.structs.replace(row, low=found.low, high=found.high)


def _pair(
    one: tuple[EntryRow, TrackRow],
    other: tuple[EntryRow, TrackRow],
    mine: Measured | str,
    theirs: Measured | str,
    books: Mapping[str, Rulebook],
) -> Neighbours:
    difference = Fraction(one[1].score) - Fraction(other[1].score)
    pair = Neighbours(track=one[1].track, better=one[0].path, worse=other[0].path, difference=str(difference))
    for (entry, _row), measured in ((one, mine), (other, theirs)):
        if isinstance(measured, str):
            return msgspec.structs.replace(pair, why_not=f"{entry.name}: {measured}")
    assert not isinstance(mine, str) and not isinstance(theirs, str)  # noqa: S101, PT018 - told above
    for name, (result, point) in mine.items():
        another, its_point = theirs[name]
        if _what(result, point) != _what(another, its_point):
            return msgspec.structs.replace(pair, why_not=f"{name}: the two were measured on other images")
    try:
        found = paired_difference(_parts(mine, one[1], books), _parts(theirs, other[1], books), float(difference))
    except UndecidableError as error:
        return msgspec.structs.replace(pair, why_not=str(error))
    return msgspec.structs.replace(pair, low=found.low, high=found.high, p=found.p, significant=found.p < SIGNIFICANT)


def _what(result: SetResult, point: PointResult) -> tuple[object, ...]:
    """Return what two results must agree in to be of the same comparison."""
    return result.compared, result.protocol, result.flip, point.far, point.comparison


def _parts(measured: Measured, row: TrackRow, books: Mapping[str, Rulebook]) -> list[Part]:
    """Return the TARs of the rulebook's formula with their weights."""
    book, _, track = row.track.partition("/")
    weights = ranking_weights(books[book], track)
    return [
        Part(weight=weights[name], testset=result.testset, counts=point.by_identity)
        for name, (result, point) in measured.items()
        if point.by_identity is not None
    ]


def _together(pairs: list[Neighbours]) -> list[Neighbours]:
    """Return the neighbours of a track with p values adjusted for all of them that could be judged."""
    ps = [pair.p for pair in pairs if pair.p is not None]
    adjusted = iter(holm(ps))
    return [pair if pair.p is None else _adjusted(pair, next(adjusted)) for pair in pairs]


def _adjusted(pair: Neighbours, p: float) -> Neighbours:
    return msgspec.structs.replace(pair, p_together=p, significant_together=p < SIGNIFICANT)
