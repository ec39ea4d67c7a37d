"""Many submissions at a glance: a row each, with what is compared between entries."""

from __future__ import annotations

import re

from rich.table import Table
from rich.text import Text

from pytest_facechallenge.engine.report import Report, RuleResult, SubmissionReport, TrackReport
from pytest_facechallenge.reports import wording
from pytest_facechallenge.reports.view import VERDICT_STYLES, View
from pytest_facechallenge.reports.wrapping import cut, shortened

#: What a rule measured is recognised by its unit, so that a rulebook may call its rules as it likes.
_FLOPS = re.compile(r"([\d,]+) FLOPs")
_TIME = re.compile(r"([\d.,]+(?:e[-+]?\d+)?) ms\b")
_SCORE = re.compile(r"[\d.]+ %")
#: Columns of the table and their least width.
HEADINGS = ("verdict", "submission", "track", "broken", "open", "size", "FLOPs", "time", "score")
_LEAST_NAME = 18
#: With fewer columns to spare what decides a verdict is not in the table.
LEAST_CAUSES = 20


def overview(report: Report, view: View) -> Table:
    """Return the table; columns that no submission has anything for are left out, then the rightmost, if need be."""
    rows = [_row(submission, track) for submission, track in wording.judged(report)]
    columns = [index for index in range(len(HEADINGS)) if any(row[index] for row in rows)]
    if len({row[2] for row in rows}) == 1:
        columns.remove(2)
    widths = {index: max(len(HEADINGS[index]), *(len(row[index]) for row in rows)) for index in columns}
    while _total(widths) > view.columns and widths[1] > _LEAST_NAME:
        widths[1] -= 1
    while _total(widths) > view.columns and columns[-1] > 4:
        del widths[columns.pop()]
    # What the columns that were left out gave free goes to the names again.
    longest = max(len(row[1]) for row in rows)
    widths[1] = max(widths[1], min(longest, widths[1] + view.columns - _total(widths)))
    spare = view.columns - _total(widths) - 2
    table = Table(box=view.head_box, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for index in columns:
        title = HEADINGS[index]
        table.add_column(title, width=widths[index], no_wrap=True, justify="left" if index < 3 else "right")
    if spare >= LEAST_CAUSES:
        table.add_column("what decides it", width=spare, no_wrap=True)
    for (_, track), row in zip(wording.judged(report), rows, strict=True):
        cells = [Text(shortened(row[index], widths[index], view.more)) for index in columns]
        cells[0].stylize(VERDICT_STYLES[track.verdict.word])
        if spare >= LEAST_CAUSES:
            cells += [Text(cut(wording.all_causes(track), spare, view.more))]
        table.add_row(*cells)
    return table


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + 2 * (len(widths) - 1)


def _row(submission: SubmissionReport, track: TrackReport) -> tuple[str, ...]:
    return (
        track.verdict_text,
        submission.name,
        track.full,
        str(len(track.verdict.broken) or ""),
        str(len(track.verdict.open) or ""),
        megabytes(submission.bytes),
        *figures(track),
    )


def figures(track: TrackReport) -> tuple[str, str, str]:
    """Return FLOPs, time and score of a submission, "" for what was not measured."""
    flops = _first(track, _FLOPS)
    time = _first(track, _TIME)
    score = next((found[0] for result in _scores(track) if (found := _SCORE.search(result.measured))), "")
    return (_count(flops[1]) if flops else "", f"{time[1]} ms" if time else "", score)


def _scores(track: TrackReport) -> list[RuleResult]:
    """Return the results that hold a score: the one over several sets before those of one."""
    scores = [result for result in track.rules if "score" in result.rule or "accuracy" in result.rule]
    return sorted(scores, key=lambda result: "score" not in result.rule)


def _first(track: TrackReport, pattern: re.Pattern[str]) -> re.Match[str] | None:
    return next((found for result in track.rules if (found := pattern.search(result.measured))), None)


def _count(text: str) -> str:
    number = float(text.replace(",", ""))
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{_three(number / size)} {unit}"
    return f"{number:.0f}"


def megabytes(number: int) -> str:
    """Return a size in MiB, "" for none."""
    return f"{_three(number / (1 << 20))} MB" if number else ""


def _three(number: float) -> str:
    """Return a number with three digits, or with all before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
