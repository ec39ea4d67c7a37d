"""Where the estimate of the inference time lies: the scaling, its interval, the limit."""

from __future__ import annotations

from typing import NamedTuple

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.latency import LatencyFacts, LaunchFacts, ServerLatencyFacts
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.latency_estimate import evidence_grades, scaling
from pytest_facechallenge.latency_estimate.estimate import Estimate, launch_count
from pytest_facechallenge.latency_estimate.published import Published, published
from pytest_facechallenge.latency_estimate.references import launches
from pytest_facechallenge.latency_estimate.statistics import Summary, summarise
from pytest_facechallenge.reports.page.svg import HEIGHT, WIDTH, Chart, Key, Mark, Scale, Tick, polyline

LEFT, RIGHT, TOP, STEP = 16.0, 388.0, 22.0, 44.0
FRAME = (52.0, 14.0, WIDTH - 12.0, HEIGHT - 46.0)


class LatencyView(NamedTuple):
    """The time on one track.

    Attributes
    ----------
    grades
        Every grade of evidence: its name, and its figures or why there are none.
    charts
        Where the estimates lie on the axis of time; how local times map to published ones.
    """

    title: str
    gpu: str
    grades: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]


def content(facts: Facts, at_hand: list[tuple[Rulebook, str]]) -> tuple[LatencyView, ...] | None:
    """Return what the page says about time on every track; None where there is nothing to say."""
    times = (
        latency_view(facts, book, track, with_map=all(book is not other for other, _ in at_hand[:number]))
        for number, (book, track) in enumerate(at_hand)
    )
    return tuple(each for each in times if each) or None


def latency_view(facts: Facts, book: Rulebook, track: str, *, with_map: bool = True) -> LatencyView | None:
    """Return what the page says about time on a track; None when its rulebook limits none or nothing was gathered.

    Parameters
    ----------
    with_map
        Whether to draw the scaling, which is the same for every track of a rulebook.
    """
    rule = next((rule for rule in book.rules_of(track) if rule.check == "latency" and not rule.not_applicable), None)
    here, graph, server = facts.get(LatencyFacts), facts.get(LaunchFacts), facts.get(ServerLatencyFacts)
    if rule is None or book.runtime is None or (here is None and graph is None):
        return None
    grade1 = evidence_grades.measured(server, book)
    grade2 = evidence_grades.scaled(here, graph, book)
    grade3 = evidence_grades.modelled(graph, book)
    estimates = [
        (name, each) for name, each in (("scaled", grade2), ("modelled", grade3)) if isinstance(each, Estimate)
    ]
    limit = float(rule.limit) if isinstance(rule.limit, (int, float)) else None
    charts = []
    if estimates or isinstance(grade1, Summary):
        charts.append(_axis(grade1, estimates, limit, published(book), book.runtime.gpu))
    if with_map and isinstance(grade2, Estimate) and here is not None:
        charts.append(_map(here, book, grade2.from_here or grade2))
    words = [f"{grade1.judged:.3g} ms" if isinstance(grade1, Summary) else grade1]
    words += [each.text() if isinstance(each, Estimate) else each for each in (grade2, grade3)]
    return LatencyView(
        title=f"{book.id}/{track}, limit {rule.limit_text() or 'none'}",
        gpu=book.runtime.gpu,
        grades=tuple(zip(("grade 1, measured", "grade 2, scaled", "grade 3, modelled"), words, strict=True)),
        parts=tuple((name, f"{value:.1%}") for name, value in (estimates[0][1].parts if estimates else {}).items()),
        charts=tuple(charts),
    )


def _axis(
    measured: Summary | str,
    estimates: list[tuple[str, Estimate]],
    limit: float | None,
    points: tuple[Published, ...],
    gpu: str,
) -> Chart:
    values = [value for _, each in estimates for value in (each.low, each.high)] + [point.ms for point in points]
    values += [limit] if limit else []
    values += [measured.judged] if isinstance(measured, Summary) else []
    least, most = min(value for value in values if value > 0), max(values)
    x = Scale(least / 1.3, most * 1.3, LEFT, RIGHT, logarithmic=True)
    rows: list[tuple[str, float, float, float]] = [(name, each.low, each.ms, each.high) for name, each in estimates]
    if isinstance(measured, Summary):
        rows.insert(0, ("measured", measured.judged, measured.judged, measured.judged))
    bottom = TOP + STEP * (len(rows) + 1)
    marks = []
    if limit:
        beyond = x.at(limit)
        shade = f"M{beyond:g} {TOP:g}H{RIGHT:g}V{bottom:g}H{beyond:g}Z"
        marks.append(Mark("path", "beyond", path=shade, text=f"Beyond the limit of {limit:g} ms"))
        marks.append(Mark("line", "limit", (beyond, TOP - 4, beyond, bottom), text=f"Limit {limit:g} ms"))
        middle = (LEFT + RIGHT) / 2
        marks.append(
            Mark(
                "text",
                "label limit",
                (beyond, TOP - 9),
                text=f"limit {limit:g} ms",
                anchor="end" if beyond > middle else "start",
            )
        )
    for number, (name, low, best, high) in enumerate(rows):
        at = TOP + STEP * (number + 0.65)
        text = f"{name}: {best:.3g} ms" + (f" ({low:.3g} to {high:.3g})" if high > low else "")
        marks.append(Mark("text", "label strong", (LEFT, at - 13), text=text))
        marks.append(Mark("line", f"interval {name}", (x.at(low), at, x.at(high), at)))
        marks.append(Mark("circle", "point", (x.at(best), at, 5.5), text=text))
    at = TOP + STEP * (len(rows) + 0.65)
    marks.append(Mark("text", "label", (LEFT, at - 13), text=f"published on a {gpu}"))
    marks.append(Mark("line", "track", (LEFT, at, RIGHT, at)))
    for point in points:
        here = x.at(point.ms)
        marks.append(Mark("line", "baseline", (here, at - 6, here, at + 6), text=f"{point.name}: {point.ms:.3g} ms"))
    return Chart(
        title=f"Time of one image on a {gpu}",
        description="; ".join(f"{name} {best:.3g} ms, {low:.3g} to {high:.3g}" for name, low, best, high in rows)
        + (f"; limit {limit:g} ms" if limit else ""),
        x_label="milliseconds (logarithmic)",
        y_label="",
        frame=(LEFT, TOP, RIGHT, bottom),
        x_ticks=_ticks(x),
        y_ticks=(),
        marks=tuple(marks),
        keys=(Key("point", "estimate and interval"), Key("baseline", "reference network")),
        height=round(bottom + 46),
    )


def _map(here: LatencyFacts, book: Rulebook, estimate: Estimate) -> Chart:
    assert here.submission is not None and here.calibration is not None  # noqa: S101, PT018  # it was scaled by them
    known = {point.name: point.ms for point in published(book)}
    points = [
        scaling.Point(each.name, each.ms, each.spread, launch_count(launches()[each.name]), known[each.name])
        for each in here.calibration.points
        if each.name in known and each.name in launches()
    ]
    own = summarise(here.submission.work or here.submission.samples).judged
    local = [*(point.here for point in points), own]
    there = [*(point.there for point in points), estimate.low, estimate.ms, estimate.high]
    x = Scale(min(local) / 1.6, max(local) * 1.6, FRAME[0], FRAME[2], logarithmic=True)
    y = Scale(min(there) / 1.6, max(there) * 1.6, FRAME[3], FRAME[1], logarithmic=True)
    line = scaling.fit(points)[0]
    along = [x.low * (x.high / x.low) ** (step / 60) for step in range(61)]
    drawn = [(x.at(value), y.at(line.fixed + line.factor * value)) for value in along]
    marks = [Mark("path", "curve", path=polyline(drawn))]
    for point in points:
        text = f"{point.name}: {point.here:.3g} ms here, {point.there:.3g} ms published"
        marks.append(Mark("circle", "reference", (x.at(point.here), y.at(point.there), 4.0), text=text))
    at = x.at(own)
    marks.append(Mark("line", "whisker", (at, y.at(estimate.low), at, y.at(estimate.high))))
    text = f"This model: {own:.3g} ms here, {estimate.text()} there"
    marks.append(Mark("circle", "point", (at, y.at(estimate.ms), 5.0), text=text))
    unit = "processor time here" if here.submission.work else "time here"
    return Chart(
        title="The scaling: from here to there",
        description="Times of the reference networks here and as published, the line fitted to them, and this model "
        f"at {own:.3g} ms here.",
        x_label=f"{unit}, ms",
        y_label="there, ms",
        frame=FRAME,
        x_ticks=_ticks(x),
        y_ticks=_ticks(y),
        marks=tuple(marks),
        keys=(Key("point", "this model, interval"), Key("reference", "reference network"), Key("curve", "fitted line")),
    )


def _ticks(scale: Scale) -> tuple[Tick, ...]:
    return scale.decades(lambda power: f"{10.0**power:g}")
