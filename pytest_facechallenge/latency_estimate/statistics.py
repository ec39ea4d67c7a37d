"""What a series of times says: the judged statistic, its spread, and what went wrong while it was taken.

Pure functions of recorded samples in the order they were taken; no clock is touched here.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: The organisers' checker times 50 runs and judges the 6th smallest (onnx_helper.py).
ORGANISERS_ROUNDS = 50
ORGANISERS_RANK = 6
#: Smaller changes than this are what any machine shows.
NOTABLE = 0.05
#: Chance of calling a steady series drifting.
DRIFT_LEVEL = 1e-3
#: Resamples for the spread; seeded, so that the same samples give the same figures.
RESAMPLES = 200


def judged(samples: Sequence[float]) -> float:
    """Return the organisers' statistic, the 6th smallest of 50, in the unit of the samples.

    Every 50 samples in a row are one measurement as the organisers make it; of several the median is returned, and what
    is left over after the last whole one is not judged. Fewer than 50 (reference networks that take long) give the same
    quantile: the 2nd smallest of 10.

    Raises
    ------
    ValueError
        There are no samples.
    """
    if not len(samples):
        raise ValueError("a time cannot be judged without samples")
    return float(_judged(np.asarray(samples, np.float64)))


def _judged(values: Floats) -> Floats:
    """Return the statistic along the last axis."""
    count = values.shape[-1]
    if count < ORGANISERS_ROUNDS:
        return np.asarray(np.sort(values)[..., rank(count) - 1])
    series = count // ORGANISERS_ROUNDS
    whole = values[..., : series * ORGANISERS_ROUNDS].reshape(*values.shape[:-1], series, ORGANISERS_ROUNDS)
    return np.asarray(np.median(np.sort(whole)[..., ORGANISERS_RANK - 1], axis=-1))


def rank(count: int) -> int:
    """Return which smallest sample of at most 50 is judged, counted from 1: 6 of 50, 2 of 10, 1 of 5."""
    return max(1, -(-ORGANISERS_RANK * min(count, ORGANISERS_ROUNDS) // ORGANISERS_ROUNDS))


def rule_in_words(count: int) -> str:
    """Return how ``count`` samples are judged: "no. 6 of 50 by size", "median of 4 times no. 6 of 50 by size"."""
    series = count // ORGANISERS_ROUNDS
    times = f"median of {series} times " if series > 1 else ""
    return f"{times}no. {rank(count)} of {min(count, ORGANISERS_ROUNDS)} by size"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a series says.

    Attributes
    ----------
    rounds, judged, median, p95, smallest, largest
        Number of samples; milliseconds.
    spread
        Relative standard error of ``judged``.
    outliers
        Samples far above the rest.
    drift
        Relative change from the first to the last fifth of the series; 0 when it is not significant.
    modes
        The two speeds between which the samples jump, in milliseconds; empty when there is one.
    """

    rounds: int
    judged: float
    median: float
    p95: float
    smallest: float
    largest: float
    spread: float
    outliers: int = 0
    drift: float = 0.0
    modes: tuple[float, ...] = ()


def summarise(samples: Sequence[float]) -> Summary:
    """Describe a series of at least one time in milliseconds."""
    values = np.asarray(samples, np.float64)
    far = outliers(values)
    changed = drift(values)
    # A series that slows down has two speeds as well, but one after the other: that is drift.
    speeds = () if changed else modes(values) or modes(values[~far])
    if speeds:
        far &= values > 1.2 * speeds[1]
    return Summary(
        rounds=len(values),
        judged=judged(samples),
        median=float(np.median(values)),
        p95=float(np.quantile(values, 0.95)),
        smallest=float(values.min()),
        largest=float(values.max()),
        spread=spread(values),
        outliers=int(far.sum()),
        drift=changed,
        modes=speeds,
    )


def outliers(values: Floats) -> npt.NDArray[np.bool_]:
    """Return which samples lie more than 8 robust standard deviations, and a fifth, above the median."""
    median = np.median(values)
    deviation = 1.4826 * np.median(np.abs(values - median))
    return np.asarray(values > max(median + 8 * deviation, 1.2 * median))


def drift(values: Floats) -> float:
    """Return the relative change of the median from the first to the last fifth, where the whole series shows it.

    Positive: it became slower, as a processor does that is throttled. The change counts when the samples' rank
    correlation with their order (Kendall's tau, robust against outliers) is significant at `DRIFT_LEVEL` and the change
    is at least `NOTABLE`; otherwise 0 is returned.
    """
    fifth = len(values) // 5
    if fifth < 2 or np.ptp(values) == 0:
        return 0.0
    change = float(np.median(values[-fifth:]) / np.median(values[:fifth]) - 1)
    from scipy import stats

    significance = float(stats.kendalltau(np.arange(len(values)), values).pvalue)
    return change if significance < DRIFT_LEVEL and abs(change) >= NOTABLE else 0.0


def modes(values: Floats) -> tuple[float, ...]:
    """Return the means of the two groups that the samples fall into, or nothing when they form one.

    The groups are those with the least squares within them. They count as two speeds when each holds at least 15 % of
    the samples, the means differ by at least `NOTABLE`, and Ashman's D (distance of the means over their common
    standard deviation, times the root of 2) is above 5; splitting one normal distribution gives about 2.7, an
    exponential 2.6, a uniform 3.5.
    """
    ordered = np.sort(values)
    least = max(2, int(np.ceil(0.15 * len(ordered))))
    if len(ordered) < 2 * least:
        return ()
    splits = range(least, len(ordered) - least + 1)
    within = [ordered[:k].var() * k + ordered[k:].var() * (len(ordered) - k) for k in splits]
    split = splits[int(np.argmin(within))]
    low, high = ordered[:split], ordered[split:]
    distance = float(high.mean() - low.mean())
    common = float(np.sqrt(low.var() + high.var()))
    if distance < NOTABLE * low.mean() or distance * np.sqrt(2) <= 5 * common:
        return ()
    return (float(low.mean()), float(high.mean()))


def spread(values: Floats) -> float:
    """Return the relative standard error of the judged statistic.

    The larger of two estimates: from resampling single samples (bootstrap), and from comparing fifths of the series,
    which also sees disturbances that last longer than one run.
    """
    centre = judged(values.tolist())
    if len(values) < 2 or centre <= 0:
        return 0.0
    rng = np.random.Generator(np.random.PCG64(0))
    errors = [float(_judged(rng.choice(values, (RESAMPLES, len(values)))).std())]
    if len(values) >= 10:
        parts = [judged(part.tolist()) for part in np.array_split(values, 5)]
        errors.append(float(np.std(parts, ddof=1)) / np.sqrt(5))
    return float(max(errors)) / centre
