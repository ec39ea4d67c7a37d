"""What was measured on testsets: ROC and DET curves, score histograms, and TAR beside published baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import NamedTuple

from pytest_facechallenge.core.facts.accuracy import AccuracyFacts, CurvePoint, HardPair, PointResult, SetResult
from pytest_facechallenge.reports.page.svg import (
    HEIGHT,
    WIDTH,
    Chart,
    Key,
    Mark,
    Scale,
    area,
    drawable,
    polyline,
    power_of_ten,
)
from pytest_facechallenge.reports.page.wording import count, percent

#: Left, top, right and bottom of the plot.
FRAME = (52.0, 14.0, WIDTH - 12.0, HEIGHT - 46.0)
#: Below this many false accepts a FAR is hardly known: the rule of 30 (Doddington, 1998).
RULE_OF_30 = 30
#: Hardest pairs of a set that the page lists; the JSON report has more.
SHOWN_PAIRS = 4
Z95 = NormalDist().inv_cdf(0.975)


class PointRow(NamedTuple):
    """One operating point in words."""

    point: str
    tar: str
    interval: str
    threshold: str
    accepted: str
    note: str


class SetCard(NamedTuple):
    """One set of a testset, ready to show."""

    name: str
    testset: str
    headline: str
    counts: str
    eer: str
    error: str
    points: tuple[PointRow, ...]
    charts: tuple[Chart, ...]
    genuine: tuple[HardPair, ...]
    impostor: tuple[HardPair, ...]


def set_cards(facts: AccuracyFacts) -> list[SetCard]:
    """Return a card for every set that was scored or tried."""
    return [_card(result) for result in facts.sets]


def shown_pairs(pairs: tuple[HardPair, ...]) -> tuple[HardPair, ...]:
    """Return those of a set's hardest pairs that the page lists."""
    return pairs[:SHOWN_PAIRS]


def _card(result: SetResult) -> SetCard:
    rows = tuple(_row(point) for point in result.points)
    decided = [row for point, row in zip(result.points, rows, strict=True) if not point.undecided]
    best = decided[0] if decided else None
    pairs = result.pairs
    counts = f"{count(result.images)} images" + (
        f", {count(result.identities)} identities" if result.identities else ""
    )
    if pairs:
        counts += f"; {count(pairs.genuine)} genuine and {count(pairs.impostor)} impostor pairs"
    headline = f"TAR {best.tar} at {best.point}" if best else ""
    if not headline and result.folds:
        headline = f"accuracy {percent(result.folds.mean)} ± {percent(result.folds.deviation)}"
    charts = [chart for chart in (roc(result), det(result), histogram(result)) if chart]
    return SetCard(
        name=result.set,
        testset=result.testset,
        headline=headline,
        counts=counts,
        eer=percent(result.eer.rate) if result.eer else "",
        error=result.error,
        points=rows,
        charts=tuple(charts),
        genuine=shown_pairs(result.hardest_genuine),
        impostor=shown_pairs(result.hardest_impostor),
    )


def _row(point: PointResult) -> PointRow:
    note = point.undecided
    if not note and point.below_rule_of_30:
        needed = count(point.impostor_pairs_for_rule_of_30)
        note = f"Fewer than 30 false accepts decide the threshold; {needed} impostor pairs would give 30."
    within = point.interval
    return PointRow(
        point=f"FAR {point.comparison} {point.far}",
        tar="not known" if point.tar is None else percent(point.tar),
        interval=f"{percent(within.low)} to {percent(within.high)}" if within else "",
        threshold="" if point.threshold is None else f"{point.threshold:.4f}",
        accepted=f"{count(point.false_accepts)} of {count(point.allowed_false_accepts)} allowed",
        note=note,
    )


def roc(result: SetResult) -> Chart | None:
    """Return TAR over FAR, FAR on a logarithmic axis; None without a curve."""
    points = _curve(result)
    if not points:
        return None
    x = _far_scale(result, points)
    floor = min([point.tar for point in points] + [entry.interval.low for entry in _placed(result) if entry.interval])
    y = Scale(min(0.9, math.floor(floor * 10) / 10), 1.0, FRAME[3], FRAME[1])
    trials = _effective_trials(result)
    marks: list[Mark] = [*_hardly_known(result, x)]
    if trials:
        bands = [(x.at(p.far), *(y.at(rate) for rate in _wilson(p.tar, trials))) for p in points]
        marks.append(Mark("path", "band", path=area([(a, b) for a, _, b in bands], [(a, b) for a, b, _ in bands])))
    marks.append(Mark("path", "curve", path=polyline([(x.at(p.far), y.at(p.tar)) for p in points])))
    for entry in _placed(result):
        marks += _operating_point(entry, x, y, error=False)
    step = 0.1 if y.low < 0.7 else 0.05 if y.low < 0.85 else 0.02
    return Chart(
        title=f"ROC of {result.set}",
        description=f"True accept rate over false accept rate (logarithmic). {_in_words(result)}",
        x_label="FAR",
        y_label="TAR",
        frame=FRAME,
        x_ticks=x.decades(power_of_ten),
        y_ticks=y.steps(step, lambda value: f"{100 * value:.0f} %"),
        marks=tuple(marks),
        keys=_keys(result, bool(trials)),
    )


def det(result: SetResult) -> Chart | None:
    """Return FRR over FAR, both on logarithmic axes; None without a curve."""
    points = [point for point in _curve(result) if point.tar < 1]
    if len(points) < 2:
        return None
    x = _far_scale(result, points)
    genuine = result.pairs.genuine if result.pairs else 0
    least = max(min(1 - point.tar for point in points), 0.5 / genuine if genuine else 1e-6)
    y = Scale(10.0 ** math.floor(math.log10(least)), 1.0, FRAME[3], FRAME[1], logarithmic=True)
    trials = _effective_trials(result)
    marks: list[Mark] = [*_hardly_known(result, x)]
    if trials:
        bands = [(x.at(p.far), *(y.at(1 - rate) for rate in _wilson(p.tar, trials))) for p in points]
        marks.append(Mark("path", "band", path=area([(a, b) for a, b, _ in bands], [(a, b) for a, _, b in bands])))
    marks.append(Mark("path", "curve", path=polyline([(x.at(p.far), y.at(1 - p.tar)) for p in points])))
    if result.eer and x.low < result.eer.rate < x.high:
        here = (x.at(result.eer.rate), y.at(result.eer.rate))
        marks.append(Mark("circle", "eer", (*here, 4.0), text=f"Equal error rate {percent(result.eer.rate)}"))
    for entry in _placed(result):
        marks += _operating_point(entry, x, y, error=True)
    keys = _keys(result, bool(trials))
    return Chart(
        title=f"DET of {result.set}",
        description=f"False reject rate over false accept rate, both logarithmic. {_in_words(result)}",
        x_label="FAR",
        y_label="FRR",
        frame=FRAME,
        x_ticks=x.decades(power_of_ten),
        y_ticks=y.decades(power_of_ten),
        marks=tuple(marks),
        keys=(*keys, Key("eer", "equal error rate")) if result.eer else keys,
    )


def histogram(result: SetResult) -> Chart | None:
    """Return the scores of genuine and of impostor pairs, each as shares of their own number; None without."""
    found = result.histogram
    if found is None or not sum(found.genuine) or not sum(found.impostor):
        return None
    bins = len(found.genuine)
    filled = [index for index, pair in enumerate(zip(found.genuine, found.impostor, strict=False)) if any(pair)]
    edge = [-1 + 2 * index / bins for index in range(bins + 1)]
    x = Scale(math.floor(edge[filled[0]] * 5) / 5, math.ceil(edge[filled[-1] + 1] * 5) / 5, FRAME[0], FRAME[2])
    shares = {
        "genuine": [number / sum(found.genuine) for number in found.genuine],
        "impostor": [number / sum(found.impostor) for number in found.impostor],
    }
    top = max(max(values) for values in shares.values())
    y = Scale(0.0, top * 1.05, FRAME[3], FRAME[1])
    marks = []
    for name in ("impostor", "genuine"):
        outline = [(x.at(edge[filled[0]]), y.at(0))]
        for index in range(filled[0], filled[-1] + 1):
            outline += [
                (x.at(edge[index]), y.at(shares[name][index])),
                (x.at(edge[index + 1]), y.at(shares[name][index])),
            ]
        outline.append((x.at(edge[filled[-1] + 1]), y.at(0)))
        marks.append(Mark("path", name, path=polyline(outline)))
    for point in _placed(result):
        if point.threshold is not None and drawable(point.threshold):
            text = f"Threshold {point.threshold:.4f} at FAR {point.comparison} {point.far}"
            at = x.at(point.threshold)
            marks.append(Mark("line", "threshold", (at, FRAME[1], at, FRAME[3]), text=text))
    step = next(step for step in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if top / step < 7)
    keys = [Key("genuine", "genuine pairs"), Key("impostor", "impostor pairs"), Key("threshold", "threshold")]
    return Chart(
        title=f"Scores of {result.set}",
        description=f"Cosine similarity of {count(sum(found.genuine))} genuine and {count(sum(found.impostor))} "
        "impostor pairs, each as a share of its own number.",
        x_label="cosine similarity",
        y_label="share of pairs",
        frame=FRAME,
        x_ticks=x.steps(0.2, lambda value: f"{value:.1f}".replace("-0.0", "0.0").replace("-", "−")),
        y_ticks=y.steps(step, lambda value: f"{100 * value:.3g} %"),
        marks=tuple(marks),
        keys=tuple(keys),
        caption="Impostor scores are of a random sample of pairs." if found.sampled else "",
    )


def _curve(result: SetResult) -> list[CurvePoint]:
    return [point for point in result.curve if drawable(point.far, point.tar) and 0 < point.far <= 1]


def _far_scale(result: SetResult, points: Iterable[CurvePoint]) -> Scale:
    least = min([point.far for point in points] + [float(entry.far) for entry in _placed(result)])
    return Scale(10.0 ** math.floor(math.log10(least) + 1e-9), 1.0, FRAME[0], FRAME[2], logarithmic=True)


def _placed(result: SetResult) -> list[PointResult]:
    """Return the operating points that can be drawn: those that the pairs decide."""
    placed = []
    for point in result.points:
        try:
            far = float(point.far)
        except ValueError:
            continue
        if not point.undecided and drawable(point.tar, far) and 0 < far < 1:
            placed.append(point)
    return placed


def _operating_point(point: PointResult, x: Scale, y: Scale, *, error: bool) -> list[Mark]:
    def rate(value: float) -> float:
        return y.at(1 - value if error else value)

    assert point.tar is not None  # noqa: S101  # `_placed` left out those without
    at = x.at(float(point.far))
    text = f"TAR {percent(point.tar)} at FAR {point.comparison} {point.far}"
    marks = []
    if point.interval is not None:
        low, high = rate(point.interval.low), rate(point.interval.high)
        text += f", {point.interval.confidence:.0%} interval {percent(point.interval.low)} to "
        text += percent(point.interval.high)
        marks += [Mark("line", "whisker", (at, low, at, high))]
        marks += [Mark("line", "whisker", (at - 4, end, at + 4, end)) for end in (low, high)]
    return [*marks, Mark("circle", "point", (at, rate(point.tar), 4.5), text=text)]


def _hardly_known(result: SetResult, x: Scale) -> list[Mark]:
    """Return a shade over the FARs at which fewer than 30 impostor pairs are accepted."""
    if not result.pairs or not result.pairs.impostor:
        return []
    edge = x.at(min(1.0, RULE_OF_30 / result.pairs.impostor))
    if edge <= FRAME[0]:
        return []
    path = f"M{FRAME[0]:g} {FRAME[1]:g}H{edge:g}V{FRAME[3]:g}H{FRAME[0]:g}Z"
    return [Mark("path", "shade", path=path, text="Fewer than 30 false accepts: the FAR itself is hardly known here")]


def _effective_trials(result: SetResult) -> float:
    """Return of how many independent trials a TAR's interval is as wide as the one by resampling identities; 0: none.

    Pairs of one person depend on each other, so there are fewer than there are pairs.
    """
    for point in _placed(result):
        within = point.interval
        if within is not None and point.tar is not None and 0 < point.tar < 1 and within.high > within.low:
            half = (within.high - within.low) / 2
            return Z95**2 * point.tar * (1 - point.tar) / half**2
    return 0.0


def _wilson(rate: float, trials: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a rate (Journal of the American Statistical Association 22, 1927)."""
    square = Z95**2 / trials
    middle = (rate + square / 2) / (1 + square)
    half = Z95 / (1 + square) * math.sqrt(max(0.0, rate * (1 - rate) / trials + square / (4 * trials)))
    return max(0.0, middle - half), min(1.0, middle + half)


def _keys(result: SetResult, band: bool) -> tuple[Key, ...]:
    keys = []
    if _placed(result):
        keys.append(Key("point", "operating point, 95 % interval"))
    if band:
        keys.append(Key("band", "95 % band"))
    if result.pairs and result.pairs.impostor:
        keys.append(Key("shade", "under 30 false accepts"))
    return tuple(keys)


def _in_words(result: SetResult) -> str:
    return "; ".join(
        f"TAR {percent(point.tar or 0.0)} at FAR {point.comparison} {point.far}" for point in _placed(result)
    )
