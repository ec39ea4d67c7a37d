"""Grade 2, scaled: from times on this machine to times on the rulebook's GPU.

    time there = fixed + factor * time here + overhead * launches

fitted on the reference networks, whose times there were published. The estimate is that of overhead 0, the plain line.
As in `roofline`, the references cannot tell a dear launch from a slow kernel, so every overhead that explains them
about as well as the plain line is kept too, and the interval spans what they predict.

Half the interval is Student's quantile (95 %, two parameters fitted) times the root of three summed squares: the
root mean square of the leave-one-out errors, the spread of published rows, the spread of the measurement. The first
already holds part of the others, and a leave-one-out error is larger than the deviation it stands for, so the interval
is wider than it need be: `tests/latency/test_coverage.py` finds it to hold the true time more often than stated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.latency_estimate.estimate import Estimate, Held
from pytest_facechallenge.latency_estimate.roofline import AS_GOOD, UNFAMILIAR_FACTOR

Floats = npt.NDArray[np.float64]

#: Candidates, in milliseconds. Beyond 10 microseconds the launches alone would be most of a reference's time, and the
#: time here would hardly matter.
OVERHEADS = np.arange(0.0, 0.0101, 0.001)
#: Fewer references than this give no error estimate.
LEAST_REFERENCES = 3
CONFIDENCE = 0.95
#: Below this root mean square error all fits count as equal: it is what repeated measurements differ by.
NOISE = 0.02


class Point(NamedTuple):
    """A network: its time here (ms), that time's relative standard error, its launches, and its time there (ms)."""

    name: str
    here: float
    spread: float
    launches: int
    there: float


class Line(NamedTuple):
    """One fitted map."""

    fixed: float
    factor: float
    overhead: float
    error: float

    def at(self, here: float, launches: int) -> float:
        """Return the time there, milliseconds."""
        return self.fixed + self.factor * here + self.overhead * launches


def fit(points: Sequence[Point]) -> list[Line]:
    """Return the plain line, then every map with an overhead that explains the points about as well.

    Least squares of relative errors, fixed part and factor not negative.
    """
    from scipy import optimize  # here, because importing it takes longer than judging most rules

    there = np.array([point.there for point in points])
    lines = []
    for overhead in OVERHEADS:
        rest = there - overhead * np.array([point.launches for point in points])
        design = np.column_stack([np.ones(len(points)), [point.here for point in points]]) / there[:, None]
        (fixed, factor), norm = optimize.nnls(design, rest / there)
        lines.append(Line(float(fixed), float(factor), float(overhead), float(norm) / np.sqrt(len(points))))
    plain, *others = lines
    return [plain, *(line for line in others if line.factor > 0 and line.error <= max(AS_GOOD * plain.error, NOISE))]


def held_out(points: Sequence[Point]) -> tuple[Held, ...]:
    """Predict each reference's time there from the map fitted on the others."""
    results = []
    for point in points:
        line = fit([other for other in points if other is not point])[0]
        results.append(Held(name=point.name, published=point.there, predicted=line.at(point.here, point.launches)))
    return tuple(results)


def fit_deviation(points: Sequence[Point], here: float) -> float:
    """Return how far a prediction depends on the fit's own uncertainty, in ms per unit of relative deviation.

    Small among the references, large outside: the standard deviation of ``fixed + factor * here`` over that of the
    points' relative errors.
    """
    times = np.array([point.there for point in points])
    design = np.column_stack([np.ones(len(points)), [point.here for point in points]]) / times[:, None]
    row = np.array([1.0, here])
    return float(np.sqrt(row @ np.linalg.pinv(design.T @ design) @ row))


def scale(
    here: float, spread: float, launches: int, points: Sequence[Point], published_spread: float, unfamiliar: float
) -> Estimate:
    """Predict the time there of a network that was timed here.

    Parameters
    ----------
    here, spread
        Its time here in milliseconds, and that time's relative standard error.
    launches
        How many kernels it launches.
    points
        At least `LEAST_REFERENCES` reference networks.
    published_spread
        How far published times of one network differ, relative (see `published.row_spread`).
    unfamiliar
        Share of its time in kernels of kinds that no reference has.

    Raises
    ------
    ValueError
        Too few references.
    """
    if len(points) < LEAST_REFERENCES:
        raise ValueError(f"at least {LEAST_REFERENCES} reference networks are needed, there are {len(points)}")
    lines = fit(points)
    values = [line.at(here, launches) for line in lines]
    held = held_out(points)
    # The measured spread reaches the prediction through the part of it that is proportional to the time here.
    proportional = lines[0].factor * here / values[0]
    deviations = {
        "leave-one-out error": float(np.sqrt(np.mean([entry.error**2 for entry in held]))),
        "published spread": published_spread,
        "measurement spread": proportional * float(np.hypot(spread, np.mean([point.spread for point in points]))),
    }
    deviation = float(np.sqrt(sum(value**2 for value in deviations.values())))
    from scipy import stats  # as above

    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(points) - 2))
    # Of a tiny time the fixed part's uncertainty is a multiple, so it is added in milliseconds.
    own = fit_deviation(points, here)
    halves = [quantile * deviation * float(np.hypot(value, own)) for value in values]
    strange = 1 + (UNFAMILIAR_FACTOR - 1) * unfamiliar
    return Estimate(
        ms=values[0],
        low=min(value / (1 + half / value) for value, half in zip(values, halves, strict=True)) / strange,
        high=max(value + half for value, half in zip(values, halves, strict=True)) * strange,
        held_out=held,
        parts={
            **deviations,
            "maps that fit as well": max(values) / min(values) - 1,
            "unfamiliar kernels": (UNFAMILIAR_FACTOR - 1) * unfamiliar,
        },
        unfamiliar=unfamiliar,
    )
