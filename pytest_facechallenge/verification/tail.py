"""The largest impostor scores of a pass: what thresholds are read from, in bounded memory."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pytest_facechallenge.verification.rows import Float64Array, IntArray

EPS = 1e-12
"""Scores closer than this cannot be told apart by another library, which sums in another order."""

_MIN_PENDING = 1 << 12


@dataclasses.dataclass(frozen=True, eq=False)
class TailContents:
    """What a tail holds, as arrays that can be kept in a file.

    Attributes
    ----------
    top : float64 [at most keep]
        The largest scores, in no order.
    surplus : float64 [m]
        Different scores that rank after them, within `EPS` of the last.
    surplus_counts : int64 [m]
        How many pairs have each.
    """

    top: Float64Array
    surplus: Float64Array
    surplus_counts: IntArray


class ImpostorTail:
    """Keeps the `keep` largest scores seen, and what lies within `EPS` below the smallest of them.

    Memory: about 10 bytes per kept score, however many scores are added and however many are equal.

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
        # Negated scores: the top, then what was added since. A partition in place brings the largest to the front, so
        # that no second array of this size is ever needed.
        self._buffer = np.empty(0)
        self._size = self._top = 0
        self._last = -np.inf
        # Scores that rank after the kept ones but lie within EPS of the last: values with their numbers, since any
        # number of pairs may tie there. They never come back into the top, whose last score only rises.
        self._surplus = np.empty(0)
        self._surplus_counts = np.empty(0, np.int64)

    @property
    def cutoff(self) -> float:
        """Scores below this cannot matter any more; it only rises."""
        return max(self._start, self._last - EPS)

    @property
    def last(self) -> float:
        """The smallest of `keep` kept scores, minus infinity before there are so many; it only rises.

        No threshold that is read from here lies below it.
        """
        return self._last

    @property
    def complete(self) -> bool:
        """Whether the kept scores are the largest of all, given that all scores from `start` on were added."""
        self._compact()
        return self._start == -np.inf or self._last - EPS >= self._start

    def add(self, scores: Float64Array) -> None:
        """Add scores, float64 [n]; those below the cutoff are left out."""
        room = max(_MIN_PENDING, self._keep // 8)
        for begin in range(0, len(scores), room):
            part = scores[begin : begin + room]
            part = part[part >= self.cutoff]
            self._reserve(self._size + len(part), self._keep + 2 * room)
            np.negative(part, out=self._buffer[self._size : self._size + len(part)])
            self._size += len(part)
            if self._size - self._top > room:
                self._compact()

    def contents(self) -> TailContents:
        """Give everything that is kept."""
        self._compact()
        return TailContents(-self._buffer[: self._top], self._surplus, self._surplus_counts)

    def merge(self, found: TailContents) -> None:
        """Add what another tail of the same `keep` holds, whose pairs are none of those that were added here.

        In whatever order pairs are added and tails are merged, the result is the same: a pair that another tail left
        out lies below the `keep` largest scores there, and so below those of all.
        """
        self.add(found.top)
        if len(found.surplus):  # then the other top is full, so this one is, too
            self._compact()
            self._merge_surplus(found.surplus, found.surplus_counts)

    def largest(self) -> Float64Array:
        """Give the kept scores, largest first: float64 [at most keep]."""
        self._compact()
        scores = np.sort(self._buffer[: self._top])
        return np.negative(scores, out=scores)

    def count(self, low: float, high: float) -> int:
        """Count the scores within low <= score <= high, where low is at least the last kept score minus `EPS`."""
        self._compact()
        top = self._buffer[: self._top]
        surplus = (self._surplus >= low) & (self._surplus <= high)
        return int(np.count_nonzero((top <= -low) & (top >= -high))) + int(self._surplus_counts[surplus].sum())

    def _reserve(self, size: int, most: int) -> None:
        """Make room for `size` scores; `most` is never gone beyond."""
        if size > len(self._buffer):
            # In place where the system can: a copy would be held twice. No view of the buffer outlives a call here.
            self._buffer.resize(min(max(2 * size, _MIN_PENDING), most), refcheck=False)

    def _compact(self) -> None:
        """Bring the largest scores to the front and leave out the others, but for those near the last."""
        if self._size == self._top:
            return
        rest = np.empty(0)
        if self._size >= self._keep:
            used = self._buffer[: self._size]
            used.partition(self._keep - 1)
            self._last = -float(used[self._keep - 1])
            rest = -used[self._keep :]
            rest = rest[rest >= self._last - EPS]
            self._size = self._keep
        self._top = self._size
        self._merge_surplus(rest, np.ones(len(rest), np.int64))

    def _merge_surplus(self, values: Float64Array, counts: IntArray) -> None:
        values, counts = np.concatenate([self._surplus, values]), np.concatenate([self._surplus_counts, counts])
        near = values >= self._last - EPS
        self._surplus, places = np.unique(values[near], return_inverse=True)
        self._surplus_counts = np.zeros(len(self._surplus), np.int64)
        np.add.at(self._surplus_counts, places, counts[near])


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

    def arrays(self) -> tuple[Float64Array, IntArray, IntArray]:
        """Give scores, left and right rows of the kept pairs, the most extreme first: arrays [at most keep]."""
        return self._sign * self._keys, self._left, self._right

    def ranked(self) -> list[tuple[int, int, float]]:
        """Give (left row, right row, score), the most extreme first."""
        scores, left, right = self.arrays()
        return list(zip(left.tolist(), right.tolist(), scores.tolist(), strict=True))
