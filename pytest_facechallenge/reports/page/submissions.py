"""One submission as a page shows it, and the overview of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.flops import FlopsFacts
from pytest_facechallenge.core.facts.interface import InterfaceFacts, ValueDeclaration
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.engine.report import Report, SubmissionReport
from pytest_facechallenge.reports.page.accuracy import SetCard, set_cards
from pytest_facechallenge.reports.page.baselines import Comparison, compare
from pytest_facechallenge.reports.page.cost import FlopsView, flops_view
from pytest_facechallenge.reports.page.latency import LatencyView, latency_view
from pytest_facechallenge.reports.page.neighbourhood import Networks, networks_of
from pytest_facechallenge.reports.page.rules import TrackView, track_view
from pytest_facechallenge.reports.page.wording import count, flops, leading_number, size

#: Rules whose measured value is a column of the overview, in this order.
TIME, SCORES = "latency", ("ranking-score", "accuracy")
#: More columns than this are no overview.
MOST_SCORES = 8


class SubmissionView(NamedTuple):
    """A submission ready to show; ``missing`` names rulebooks that are not at hand."""

    key: str
    report: SubmissionReport
    figures: tuple[tuple[str, str], ...]
    tracks: tuple[TrackView, ...]
    sets: tuple[SetCard, ...]
    preprocessing: str
    comparisons: tuple[Comparison, ...]
    flops: FlopsView | None
    latency: tuple[LatencyView, ...]
    missing: tuple[str, ...]
    networks: Networks


class OverviewCell(NamedTuple):
    """A cell that sorts by ``order`` (None: last)."""

    text: str
    order: float | None


class OverviewRow(NamedTuple):
    """A submission on a track; ``key`` is where the page tells more."""

    key: str
    name: str
    track: TrackView
    cells: tuple[OverviewCell, ...]


class Overview(NamedTuple):
    """A row for every submission on every track, and how many have which verdict."""

    headings: tuple[str, ...]
    rows: tuple[OverviewRow, ...]
    tally: tuple[tuple[str, str, int], ...]


def submission_view(key: str, submission: SubmissionReport, books: Mapping[str, Rulebook]) -> SubmissionView:
    """Return a submission ready to show.

    Raises
    ------
    ReportError
        Its facts do not have the shape that this version knows.
    """
    facts = submission.as_facts()
    accuracy, arithmetic = facts.get(AccuracyFacts), facts.get(FlopsFacts)
    at_hand = [
        (books[track.rulebook], track.track)
        for track in submission.tracks
        if _known(books, track.rulebook, track.track)
    ]
    comparisons = [compare(accuracy, book, track) for book, track in at_hand] if accuracy else []
    times = [
        latency_view(facts, book, track, with_map=all(book is not other for other, _ in at_hand[:number]))
        for number, (book, track) in enumerate(at_hand)
    ]
    return SubmissionView(
        key=key,
        report=submission,
        figures=_figures(submission, facts),
        tracks=tuple(track_view(f"{key}t{number}", track) for number, track in enumerate(submission.tracks, 1)),
        sets=tuple(set_cards(accuracy)) if accuracy else (),
        preprocessing=_fed(accuracy) if accuracy and accuracy.sets else "",
        comparisons=tuple(each for each in comparisons if each),
        flops=flops_view(arithmetic) if arithmetic else None,
        latency=tuple(each for each in times if each),
        networks=networks_of(facts, submission.tracks),
        missing=tuple(dict.fromkeys(track.rulebook for track in submission.tracks if track.rulebook not in books)),
    )


def _fed(accuracy: AccuracyFacts) -> str:
    said = f"Pixels were fed as (pixel − {accuracy.mean:g}) / {accuracy.std:g}, RGB ({accuracy.preprocessing_source})"
    if any(result.raw for result in accuracy.sets):
        said += ", or as they are where a track asks for that"
    return f"{said}, to {accuracy.runtime} with {accuracy.provider}."


def _known(books: Mapping[str, Rulebook], book: str, track: str) -> bool:
    return book in books and track in books[book].tracks


def _figures(submission: SubmissionReport, facts: Facts) -> tuple[tuple[str, str], ...]:
    figures = [("size", size(submission.bytes))] if submission.bytes else []
    declared, arithmetic = facts.get(InterfaceFacts), facts.get(FlopsFacts)
    if declared is not None:
        figures += [("input", _declared(value)) for value in declared.inputs[:1]]
        figures += [("output", _declared(value)) for value in declared.outputs[:1]]
        opsets = ", ".join(f"{domain} {version}" for domain, version in declared.opsets.items())
        figures += [("nodes", count(declared.all_nodes)), ("opset", f"{opsets}, IR {declared.ir_version}")]
        figures += [("producer", declared.producer)] if declared.producer else []
    if arithmetic is not None:
        figures += [("FLOPs", flops(arithmetic.low)), ("parameters", count(arithmetic.parameters))]
    return tuple(figures)


def _declared(value: ValueDeclaration) -> str:
    shape = "?" if value.shape is None else " × ".join(str(extent) for extent in value.shape)
    return f"{value.name}: {value.dtype} {shape}"


def overview(report: Report, views: Sequence[SubmissionView]) -> Overview | None:
    """Return the overview; None for a single submission, whose verdict is on top anyway."""
    if len(views) < 2:
        return None
    scores = list(
        dict.fromkeys(
            result.name
            for rule in SCORES
            for submission in report.submissions
            for track in submission.tracks
            for result in track.rules
            if result.rule == rule
        )
    )[:MOST_SCORES]
    rows = []
    for view in views:
        facts = view.report.facts.get("flops", {})
        for track in view.tracks:
            measured = {result.name: result.measured for result in track.report.rules}
            verdict = track.report.verdict
            cells = [
                OverviewCell(str(len(verdict.broken)), len(verdict.broken)),
                OverviewCell(str(len(verdict.open)), len(verdict.open)),
                OverviewCell(size(view.report.bytes) if view.report.bytes else "–", view.report.bytes or None),
                OverviewCell(flops(facts["low"]) if "low" in facts else "–", facts.get("low")),
            ]
            cells += [_measured(measured.get(name, "")) for name in (TIME, *scores)]
            rows.append(OverviewRow(view.key, view.report.name, track, tuple(cells)))
    tally: dict[tuple[str, str], int] = {}
    for row in rows:
        said = (row.track.state, row.track.report.verdict_text)
        tally[said] = tally.get(said, 0) + 1
    return Overview(
        headings=("broken", "open", "size", "FLOPs", "time", *scores),
        rows=tuple(rows),
        tally=tuple((state, word, number) for (state, word), number in tally.items()),
    )


def _measured(text: str) -> OverviewCell:
    short = text.partition(" (")[0]
    number = None if short.startswith("undecided") else leading_number(short)
    return OverviewCell(short if number is not None else "–", number)
