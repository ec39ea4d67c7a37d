"""One submission as a page shows it, and the overview of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.engine.report import Report, SubmissionReport
from pytest_facechallenge.reports.page.neighbourhood import Networks, networks_of
from pytest_facechallenge.reports.page.panels import COLUMNS, FIGURES, ShownPanel, panels_of
from pytest_facechallenge.reports.page.rules import TrackView, track_view
from pytest_facechallenge.reports.page.wording import leading_number, size

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
    panels: tuple[ShownPanel, ...]
    columns: tuple[OverviewCell, ...]
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
    at_hand = [
        (books[track.rulebook], track.track)
        for track in submission.tracks
        if _known(books, track.rulebook, track.track)
    ]
    return SubmissionView(
        key=key,
        report=submission,
        figures=_figures(submission, facts),
        tracks=tuple(track_view(f"{key}t{number}", track) for number, track in enumerate(submission.tracks, 1)),
        panels=panels_of(key, facts, at_hand),
        columns=tuple(_sorted_by(column(facts)) for _, column in COLUMNS),
        networks=networks_of(facts, submission.tracks),
        missing=tuple(dict.fromkeys(track.rulebook for track in submission.tracks if track.rulebook not in books)),
    )


def _known(books: Mapping[str, Rulebook], book: str, track: str) -> bool:
    return book in books and track in books[book].tracks


def _figures(submission: SubmissionReport, facts: Facts) -> tuple[tuple[str, str], ...]:
    own = [("size", size(submission.bytes))] if submission.bytes else []
    return tuple(own + [figure for figures in FIGURES for figure in figures(facts)])


def _sorted_by(found: tuple[str, float] | None) -> OverviewCell:
    return OverviewCell("–", None) if found is None else OverviewCell(*found)


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
        for track in view.tracks:
            measured = {result.name: result.measured for result in track.report.rules}
            verdict = track.report.verdict
            cells = [
                OverviewCell(str(len(verdict.broken)), len(verdict.broken)),
                OverviewCell(str(len(verdict.open)), len(verdict.open)),
                OverviewCell(size(view.report.bytes) if view.report.bytes else "–", view.report.bytes or None),
                *view.columns,
            ]
            cells += [_measured(measured.get(name, "")) for name in (TIME, *scores)]
            rows.append(OverviewRow(view.key, view.report.name, track, tuple(cells)))
    tally: dict[tuple[str, str], int] = {}
    for row in rows:
        said = (row.track.state, row.track.report.verdict_text)
        tally[said] = tally.get(said, 0) + 1
    return Overview(
        headings=("broken", "open", "size", *(heading for heading, _ in COLUMNS), "time", *scores),
        rows=tuple(rows),
        tally=tuple((state, word, number) for (state, word), number in tally.items()),
    )


def _measured(text: str) -> OverviewCell:
    short = text.partition(" (")[0]
    number = None if short.startswith("undecided") else leading_number(short)
    return OverviewCell(short if number is not None else "–", number)
