"""The largest impostor scores of a pass: what thresholds are read from, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pytest_facechallenge.verification.rows import Float64Array, IntArray

EPS = 1e-12
"""Scores closer than this cannot be told apart by another library, which sums in another order."""

_MIN_PENDING = 1 << 12


class ImpostorTail:
    """Keeps the `keep` largest scores seen, and what lies within `EPS` below the smallest of them.

    Memory: about 12 bytes per kept score, however many scores are added and however many are equal.

    Parameters
    ----------
    keep : int
        At least 1.
    start : float
        Scores below it need not be added; `complete` tells whether that was justified.
    """

    def __init__(self, keep: int, start: float = -np.inf) -> None:
        self._keep = keep
        self._start = start
        self._top = np.empty(0)
        self._pending: list[Float64Array] = []
        self._pending_size = 0
        # Scores that rank after the kept ones but lie within EPS of the last: values with their numbers, since any
        # number of pairs may tie there. They never come back into the top, whose last score only rises.
        self._surplus = np.empty(0)
        self._surplus_counts = np.empty(0, np.int64)

    @property
    def cutoff(self) -> float:
        """Scores below this cannot matter any more; it only rises."""
        return max(self._start, self._last - EPS)

    @property
    def complete(self) -> bool:
        """Whether the kept scores are the largest of all, given that all scores from `start` on were added."""
        self._compact()
        return self._start == -np.inf or self._last - EPS >= self._start

    @property
    def _last(self) -> float:
        return float(self._top[0]) if len(self._top) == self._keep else -np.inf

    def add(self, scores: Float64Array) -> None:
        """Add scores, float64 [n]; those below the cutoff are left out."""
        scores = scores[scores >= self.cutoff]
        self._pending.append(scores)
        self._pending_size += len(scores)
        if self._pending_size > max(_MIN_PENDING, self._keep // 4):
            self._compact()

    def largest(self) -> Float64Array:
        """Give the kept scores, largest first: float64 [at most keep]."""
        self._compact()
        return np.sort(self._top)[::-1]

    def count(self, low: float, high: float) -> int:
        """Count the scores within low <= score <= high, where low is at least the last kept score minus `EPS`."""
        self._compact()
        top = np.count_nonzero((self._top >= low) & (self._top <= high))
        surplus = (self._surplus >= low) & (self._surplus <= high)
        return int(top) + int(self._surplus_counts[surplus].sum())

    def _compact(self) -> None:
        if not self._pending:
            return
        scores = np.concatenate([self._top, *self._pending])
        self._pending, self._pending_size = [], 0
        rest = np.empty(0)
        if len(scores) >= self._keep:
            split = len(scores) - self._keep
            # The smallest kept score comes to stand at `split`, so it stays first in the top.
            scores.partition(split)
            rest = scores[:split]
            rest = rest[rest >= scores[split] - EPS]
            scores = scores[split:].copy() if split else scores
        self._top = scores
        near = self._surplus >= self._last - EPS
        self._merge_surplus(rest, self._surplus[near], self._surplus_counts[near])

    def _merge_surplus(self, rest: Float64Array, surplus: Float64Array, counts: IntArray) -> None:
        values, places = np.unique(np.concatenate([rest, surplus]), return_inverse=True)
        merged = np.zeros(len(values), np.int64)
        np.add.at(merged, places, np.concatenate([np.ones(len(rest), np.int64), counts]))
        self._surplus, self._surplus_counts = values, merged


class ExtremePairs:
    """Keeps the `keep` pairs of lowest or highest score; equal scores are ranked by row numbers.

    Parameters
    ----------
    keep : int
        How many.
    highest : bool
        The highest scores, or the lowest.
    """

    def __init__(self, keep: int, *, highest: bool) -> None:
        self._keep = keep
        self._sign = -1.0 if highest else 1.0
        self._keys = np.empty(0)
        self._left = self._right = np.empty(0, np.int64)

    def add(self, scores: Float64Array, left: IntArray, right: IntArray) -> None:
        """Add pairs of row numbers with their scores; arrays [n]."""
        keys = self._sign * scores
        if len(self._keys) == self._keep:
            near = keys <= (self._keys[-1] if self._keep else -np.inf)
            keys, left, right = keys[near], left[near], right[near]
        if not len(keys):
            return
        keys = np.concatenate([self._keys, keys])
        left, right = np.concatenate([self._left, left]), np.concatenate([self._right, right])
        if len(keys) > 4 * self._keep + 64:  # a partition first, so that only ties and the best are sorted
            best = keys <= np.partition(keys, self._keep)[self._keep]
            keys, left, right = keys[best], left[best], right[best]
        order = np.lexsort((right, left, keys))[: self._keep]
        self._keys, self._left, self._right = keys[order], left[order], right[order]

    def ranked(self) -> list[tuple[int, int, float]]:
        """Give (left row, right row, score), the most extreme first."""
        return list(zip(self._left.tolist(), self._right.tolist(), (self._sign * self._keys).tolist(), strict=True))
