"""The streaming pass over all genuine pairs, every one scored in float64."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.verification.rows import Float64Array, IntArray, UnitRows, row_dots
from pytest_facechallenge.verification.tail import ExtremePairs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_facechallenge.verification.protocol import PairPlan

_LEFT_BLOCK = 256
_RIGHT_BLOCK = 512
_DOT_ELEMENTS = 1 << 17


@dataclasses.dataclass(frozen=True)
class GenuineScores:
    """What the pass over the genuine pairs leaves.

    Attributes
    ----------
    accepted : int64 [thresholds, identities]
        Genuine pairs of an identity with a score strictly above a threshold.
    pairs : int64 [identities]
        Genuine pairs of an identity.
    histogram : int64 [bins]
        Of the exact scores over [-1, 1]; scores that rounding carries beyond are counted in the outer bins.
    hardest : ExtremePairs
        The pairs of lowest score.
    """

    accepted: IntArray
    pairs: IntArray
    histogram: IntArray
    hardest: ExtremePairs


def genuine_scores(
    unit: UnitRows, plan: PairPlan, thresholds: Float64Array, *, bins: int, hardest: int, workers: int
) -> GenuineScores:
    """Score all genuine pairs against thresholds that are known already, so that no score has to be kept.

    Parameters
    ----------
    unit, plan
        What is compared.
    thresholds : float64 [T]
        In any order; minus infinity accepts every pair.
    bins : int
        Of the histogram over [-1, 1].
    hardest : int
        Pairs of lowest score to keep.
    workers : int
        Threads.
    """
    result = GenuineScores(
        accepted=np.zeros((len(thresholds), plan.identity_count), np.int64),
        pairs=np.bincount(plan.left.identities, weights=plan.last - plan.first, minlength=plan.identity_count).astype(
            np.int64
        ),
        histogram=np.zeros(bins, np.int64),
        hardest=ExtremePairs(hardest, highest=False),
    )
    lock = threading.Lock()

    def work(left_start: int) -> None:
        for scores, left, right in _block_scores(unit, plan, left_start):
            identities = plan.left.identities[left]
            rows = plan.left.rows[left], plan.right.rows[right]
            if plan.symmetric:
                rows = np.minimum(*rows), np.maximum(*rows)
            base = int(identities[0])  # positions are sorted by identity: the block touches few of them
            span = int(identities[-1]) - base + 1
            counted = [np.bincount(identities[scores > limit] - base, minlength=span) for limit in thresholds]
            histogram = histogram_of(scores, bins)
            with lock:
                for accepted, counts in zip(result.accepted, counted, strict=True):
                    accepted[base : base + span] += counts
                result.histogram[:] += histogram
                result.hardest.add(scores, *rows)

    starts = range(0, len(plan.left), _LEFT_BLOCK)
    if workers == 1:
        for start in starts:
            work(start)
    else:
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(work, starts):
                pass
    return result


def histogram_of(scores: Float64Array, bins: int) -> IntArray:
    """Count scores in equal bins over [-1, 1]: int64 [bins]. A bin holds low <= score < high, the last one also 1."""
    places = np.clip(((scores + 1) * (bins / 2)).astype(np.int64), 0, bins - 1)
    return np.bincount(places, minlength=bins)


def _runs(first: IntArray, last: IntArray) -> tuple[IntArray, IntArray]:
    """Give the pairs (k, p) with first[k] <= p < last[k], by k and then by p: int64 [n] each."""
    counts = np.maximum(last - first, 0)
    ends = np.cumsum(counts)
    places = np.repeat(np.arange(len(counts)), counts)
    return places, np.arange(len(places)) - np.repeat(ends - counts - first, counts)


def _block_scores(unit: UnitRows, plan: PairPlan, left_start: int) -> Iterator[tuple[Float64Array, IntArray, IntArray]]:
    """Give the scores and positions of a block's genuine pairs, by left position, in bounded pieces."""
    left = slice(left_start, min(left_start + _LEFT_BLOCK, len(plan.left)))
    first, last = plan.first[left], plan.last[left]
    used = last > first
    if not used.any():
        return
    x = unit.take(plan.left.rows[left]).astype(np.float64)
    step = max(1, _DOT_ELEMENTS // unit.width)
    begin, end = int(first[used].min()), int(last[used].max())
    for start in range(begin, end, _RIGHT_BLOCK):
        columns = np.arange(start, min(start + _RIGHT_BLOCK, end))
        places, partners = _runs(np.clip(first - start, 0, len(columns)), np.clip(last - start, 0, len(columns)))
        if not len(places):
            continue
        y = unit.take(plan.right.rows[columns]).astype(np.float64)
        for part in (slice(k, k + step) for k in range(0, len(places), step)):
            scores = row_dots(x[places[part]], y[partners[part]])
            yield scores, places[part] + left.start, columns[partners[part]]
