"""Charts as data: scales, ticks, paths and marks. A template draws them; every colour comes from the style sheet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

#: How far (in pixels) a path may leave out a point: less than the width of its line.
TOLERANCE = 0.3
WIDTH, HEIGHT = 400, 290

Pixels = tuple[float, float]


class Tick(NamedTuple):
    """Where a tick lies, in pixels, and what stands at it."""

    at: float
    text: str


class Mark(NamedTuple):
    """One drawn thing.

    Attributes
    ----------
    kind
        "path", "line", "circle" or "text".
    css
        Its class in the style sheet.
    numbers
        line: x1, y1, x2, y2; circle: x, y, radius; text: x, y.
    path
        The path's data.
    text
        Of a text; of anything else what is shown when it is pointed at.
    anchor
        Of a text: "start", "middle" or "end".
    """

    kind: str
    css: str
    numbers: tuple[float, ...] = ()
    path: str = ""
    text: str = ""
    anchor: str = "start"


class Key(NamedTuple):
    """One entry of a chart's key: class of the sample, and what it stands for."""

    css: str
    text: str


class Chart(NamedTuple):
    """A chart.

    Attributes
    ----------
    title, description
        The figure's caption, and what a reader who cannot see it is told.
    frame
        Left, top, right and bottom of the plot.
    """

    title: str
    description: str
    x_label: str
    y_label: str
    frame: tuple[float, float, float, float]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    keys: tuple[Key, ...] = ()
    width: int = WIDTH
    height: int = HEIGHT
    caption: str = ""


class Scale(NamedTuple):
    """From values to pixels; values outside are drawn at the edge."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high, given = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, given = math.log10(low), math.log10(high), math.log10(given)
        share = (given - low) / (high - low) if high > low else 0.0
        return round(self.start + share * (self.end - self.start), 1)

    def decades(self, word: Callable[[int], str]) -> tuple[Tick, ...]:
        """Return a tick at every power of ten."""
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        return tuple(Tick(self.at(10.0**power), word(power)) for power in range(first, last + 1))

    def steps(self, step: float, word: Callable[[float], str]) -> tuple[Tick, ...]:
        """Return a tick at every multiple of ``step``."""
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(Tick(self.at(number * step), word(number * step)) for number in range(first, last + 1))


def power_of_ten(power: int) -> str:
    """Return "10⁻⁴"."""
    raised = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if power else "1"


def drawable(*values: float | None) -> bool:
    """Whether all values are finite numbers."""
    return all(value is not None and math.isfinite(value) for value in values)


def polyline(points: Sequence[Pixels]) -> str:
    """Return a path through the points, without those that it would pass within `TOLERANCE` anyway."""
    return _data(simplified(points))


def area(upper: Sequence[Pixels], lower: Sequence[Pixels]) -> str:
    """Return a closed path between two lines."""
    around = [*simplified(upper), *reversed(simplified(lower))]
    return f"{_data(around)}Z" if around else ""


def simplified(points: Sequence[Pixels]) -> list[Pixels]:
    """Return the points that a line needs (Ramer, Douglas and Peucker)."""
    if len(points) < 3:
        return list(points)
    kept = {0, len(points) - 1}
    open_parts = [(0, len(points) - 1)]
    while open_parts:
        first, last = open_parts.pop()
        farthest, at = TOLERANCE, 0
        for index in range(first + 1, last):
            away = _distance(points[index], points[first], points[last])
            if away > farthest:
                farthest, at = away, index
        if at:
            kept.add(at)
            open_parts += [(first, at), (at, last)]
    return [points[index] for index in sorted(kept)]


def _distance(point: Pixels, start: Pixels, end: Pixels) -> float:
    along, across = end[0] - start[0], end[1] - start[1]
    length = math.hypot(along, across)
    if not length:
        return math.hypot(point[0] - start[0], point[1] - start[1])
    return abs(along * (start[1] - point[1]) - across * (start[0] - point[0])) / length


def _data(points: Iterable[Pixels]) -> str:
    written, before = "", (0, 0)
    # In tenths of a pixel and relative to the point before: half the text, and rounding does not add up.
    for x, y in points:
        now = (round(10 * x), round(10 * y))
        right, down = now[0] - before[0], now[1] - before[1]
        if not written:
            written = f"M{right / 10:g} {down / 10:g}"
        elif not down:
            written += f"h{right / 10:g}" if right else ""
        elif not right:
            written += f"v{down / 10:g}"
        else:
            written += f"l{right / 10:g} {down / 10:g}"
        before = now
    return written
