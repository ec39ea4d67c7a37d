"""Networks of the references' own kernels: what their launches take there was published, if only in sums.

An iResNet of another depth launches the kernels of the published ones, in other numbers. Their times on the rulebook's
GPU need no map from this machine: `roofline`, fitted on the published times, adds them up. How far such a sum is off
is known from leaving each reference out in turn, and holds for networks that are as like the references. So three
things are asked for here:

- the kernels that sum products are the references' own, but for a small share of the time, which widens the interval;
- the time is no further outside of the references' than that of the smallest or largest one, when left out, was;
- the kernels come in about the proportions of a mixture of references (`MOST_DISTANT`).

Half the interval is Student's quantile (95 %) times the root mean square of the leave-one-out errors, with as many
degrees of freedom as there are errors. They hold all that is uncertain: how the organisers' own times repeat, and what
the kernels' times are. A few errors may be small by luck, so no less is taken than published times of one network
differ by. What all constants that fit as well say is added as independent of that: it is much where a network has many
launches in little time, whose cost the references do not tell.

`tests/latency_estimate/test_known_kernels.py` finds the interval to hold the true time as often as stated on made-up
GPUs whose every kernel has a rate of its own. The time here is no part of the figure; it has to agree
(`evidence_grades.scaled`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.core.facts.latency import LaunchGroup, LaunchKind
from pytest_facechallenge.latency_estimate import roofline
from pytest_facechallenge.latency_estimate.estimate import Estimate, is_familiar
from pytest_facechallenge.latency_estimate.published import Published, row_spread
from pytest_facechallenge.latency_estimate.references import launches

CONFIDENCE = 0.95
#: Of the time, in kernels that no reference has: more than this and the network's kernels are others.
MOST_NEW = 0.05
#: How much of its time a network may have too much or too little of, compared with the nearest mixture of references.
#: On made-up GPUs the interval holds the true time less often than stated from about twice as much on.
MOST_DISTANT = 0.30
#: Rounding of shares and ratios that are compared with their limits.
SLACK = 1e-9

Kernel = tuple[LaunchKind, int, int, int]
Floats = npt.NDArray[np.float64]


def kernel(group: LaunchGroup) -> Kernel:
    """Return what makes launches equal."""
    return group.kind, group.flops, group.bytes, group.outputs


def estimate(groups: Sequence[LaunchGroup], points: Sequence[Published], gpu: roofline.Gpu) -> Estimate | str:
    """Estimate the time of a network that consists of the references' kernels; or say why it does not.

    Parameters
    ----------
    groups
        Its launches.
    points
        Published times of at least four reference networks, by growing time (one is left out at a time).
    """
    if not all(group.outputs for group in groups if group.kind == "conv"):
        return "the launches were counted by an earlier version, without what each computes"
    names = tuple(point.name for point in points)
    found = roofline.fit(points, gpu)
    best = roofline.Constants(*(values[:1] for values in roofline.constants_of(found)))
    times = roofline.predict(groups, found, gpu)
    ms = float(times[0])
    new = sum(_time(group, best, gpu) for group in groups if not _of_a_reference(group, names)) / ms
    if new > MOST_NEW:
        return f"{new:.0%} of its time is in kernels that no reference has"
    below, above = points[1].ms / points[0].ms, points[-1].ms / points[-2].ms
    if not points[0].ms / below - SLACK <= ms <= points[-1].ms * above + SLACK:
        return f"it takes {ms:.3g} ms, which is further from the references than leaving one out has tried"
    distance = _distance(groups, names, best, gpu)
    if distance > MOST_DISTANT:
        return f"its kernels come in other proportions: {distance:.0%} of its time is in no mixture of references"
    from scipy import stats  # here, because importing it takes longer than judging most rules

    held = roofline.held_out(points, gpu)
    error = float(np.sqrt(np.mean([entry.error**2 for entry in held])))
    spread = row_spread(points)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(held))) * max(error, spread) + new
    return Estimate(
        ms=ms,
        low=ms / (1 + float(np.hypot(half, ms / times.min() - 1))),
        high=ms * (1 + float(np.hypot(half, times.max() / ms - 1))),
        held_out=held,
        parts={
            "leave-one-out error": error,
            "published spread": spread,
            "constants that fit as well": float(times.max() / times.min() - 1),
            "kernels that no reference has": new,
        },
        of_kernels=True,
    )


def _time(group: LaunchGroup, best: roofline.Constants, gpu: roofline.Gpu) -> float:
    return float(roofline.variable_part([group], gpu, best)[0])


def _of_a_reference(group: LaunchGroup, names: Iterable[str]) -> bool:
    """Whether a reference launches this kernel; one for each value is of a reference whatever its size."""
    return group.kind == "pointwise" or (is_familiar(group) and kernel(group) in _kernels(tuple(names)))


@lru_cache(maxsize=16)
def _kernels(names: tuple[str, ...]) -> frozenset[Kernel]:
    return frozenset(kernel(group) for name in names for group in launches()[name])


def _distance(
    groups: Sequence[LaunchGroup], names: Sequence[str], best: roofline.Constants, gpu: roofline.Gpu
) -> float:
    """Return which share of a network's time the nearest mixture of references has too much or too little of.

    Kernels that one network has and another has not count; a mixture has weights of at least 0.
    """
    from scipy import optimize

    counts = [Counter[Kernel]() for _ in range(len(names) + 1)]
    for counter, rows in zip(counts, [groups, *(launches()[name] for name in names)], strict=True):
        for group in rows:
            counter[kernel(group)] += group.count
    kernels = sorted(set().union(*counts))
    times = np.array(
        [_time(LaunchGroup(kind=k, flops=f, bytes=b, outputs=o, count=1), best, gpu) for k, f, b, o in kernels]
    )
    table = times * np.array([[counter[each] for each in kernels] for counter in counts], np.float64)
    own, others = table[0], table[1:]
    weights, _norm = optimize.nnls(others.T, own)
    return float(np.abs(own - weights @ others).sum() / own.sum())
