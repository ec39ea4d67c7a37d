"""TAR beside the published baselines of a rulebook."""

from __future__ import annotations

from typing import NamedTuple

from pytest_facechallenge.checks.published import differences
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts, PointResult, SetResult
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.core.set_names import is_own, sets_of_track
from pytest_facechallenge.reports.page.svg import Chart, Key, Mark, Scale, Tick
from pytest_facechallenge.reports.page.wording import percent

LEFT, RIGHT, TOP, STEP = 16.0, 388.0, 26.0, 40.0


class Cell(NamedTuple):
    """One cell of the table; ``undecided`` where the pairs do not decide it."""

    text: str
    undecided: bool = False


class Comparison(NamedTuple):
    """A model beside published rows.

    Attributes
    ----------
    sets
        Title and operating point of each column.
    own, rows
        The model's row; name and cells of each published one, best first.
    differs
        Why the two cannot simply be compared; empty when the testset is the challenge's own.
    """

    title: str
    sets: tuple[tuple[str, str], ...]
    own: tuple[Cell, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    differs: tuple[str, ...]
    chart: Chart


def compare(facts: AccuracyFacts, book: Rulebook, track: str) -> Comparison | None:
    """Return the comparison on a track; None when the rulebook publishes nothing about a set that was measured."""
    columns = []
    for name, table in sets_of_track(book, track).items():
        result = next((each for each in facts.sets if each.set == name and is_own(each, book, track)), None)
        if result is None or not any(name in row.tar for row in book.baselines):
            continue
        point = next((p for p in result.points if (p.far, p.comparison) == (table.far, table.comparison)), None)
        if point is not None:
            columns.append((name, table, result, point))
    if not columns:
        return None
    rows = [row for row in book.baselines if any(name in row.tar for name, *_ in columns)]
    first = columns[0][0]
    rows.sort(key=lambda row: -row.tar.get(first, 0.0))
    differs = tuple(
        f"{table.title}: {', '.join(found)}" for _, table, result, _ in columns if (found := differences(result, table))
    )
    return Comparison(
        title=f"{book.id}/{track}",
        sets=tuple((table.title, f"FAR {table.comparison} {table.far}") for _, table, _, _ in columns),
        own=tuple(_cell(point) for *_, point in columns),
        rows=tuple(
            (row.name, tuple(Cell(percent(row.tar[name])) if name in row.tar else Cell("–") for name, *_ in columns))
            for row in rows
        ),
        differs=differs,
        chart=_chart(
            [
                (table.title, point, result, [(row.name, row.tar[name]) for row in rows if name in row.tar])
                for name, table, result, point in columns
            ]
        ),
    )


def _cell(point: PointResult) -> Cell:
    if point.undecided or point.tar is None:
        return Cell("not decided", undecided=True)
    return Cell(percent(point.tar))


def _chart(columns: list[tuple[str, PointResult, SetResult, list[tuple[str, float]]]]) -> Chart:
    bottom = TOP + STEP * len(columns)
    x = Scale(0.0, 1.0, LEFT, RIGHT)
    marks = []
    for number, (title, point, _, published) in enumerate(columns):
        at = TOP + STEP * (number + 0.55)
        marks.append(Mark("text", "label", (LEFT, at - 11), text=title))
        marks.append(Mark("line", "track", (LEFT, at, RIGHT, at)))
        for name, tar in published:
            here = x.at(tar)
            marks.append(Mark("line", "baseline", (here, at - 6, here, at + 6), text=f"{name}: {percent(tar)}"))
        if point.undecided or point.tar is None:
            marks.append(Mark("text", "label undecided", (RIGHT, at - 11), text="not decided", anchor="end"))
            continue
        if point.interval is not None:
            low, high = x.at(point.interval.low), x.at(point.interval.high)
            marks.append(Mark("line", "whisker", (low, at, high, at)))
        marks.append(Mark("circle", "point", (x.at(point.tar), at, 5.5), text=f"This model: {percent(point.tar)}"))
        marks.append(Mark("text", "label strong", (RIGHT, at - 11), text=percent(point.tar), anchor="end"))
    return Chart(
        title="TAR beside the published baselines",
        description="For each set the true accept rate of this model with its 95 % interval, and a stroke for each "
        "published baseline; the table has the numbers.",
        x_label="TAR",
        y_label="",
        frame=(LEFT, TOP, RIGHT, bottom),
        x_ticks=tuple(Tick(x.at(share / 5), f"{20 * share} %") for share in range(6)),
        y_ticks=(),
        marks=tuple(marks),
        keys=(Key("point", "this model, 95 % interval"), Key("baseline", "published baseline")),
        height=round(bottom + 46),
    )
