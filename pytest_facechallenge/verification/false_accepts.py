"""Which identities false accepts are of: a sample in bounded memory, the same pairs of identities for every network.

Thresholds are read from scores alone (`tail`). How uncertain a threshold is, though, shows only in who is taken for
whom: a hundred false accepts of a hundred people say more than a hundred of one.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pytest_facechallenge.verification.rows import Float64Array, IntArray

#: False accepts that are expected in a sample, and its memory: 24 bytes for each, twice as many at most for a moment.
MOST_SAMPLED = 1 << 15
_HASHES = 1 << 32


@dataclasses.dataclass(frozen=True, eq=False)
class SampledAccepts:
    """Impostor pairs of high score whose pair of identities was drawn.

    Attributes
    ----------
    scores : float64 [m]
    one, other : int64 [m]
        Ordinals of the two identities, the smaller one first.
    """

    scores: Float64Array
    one: IntArray
    other: IntArray

    @classmethod
    def none(cls) -> SampledAccepts:
        """Return a sample without pairs."""
        return cls(np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))


def share_of(keep: int) -> float:
    """Return the share of pairs of identities that is drawn where `keep` scores are kept: 0..1."""
    return min(1.0, MOST_SAMPLED / keep)


class AcceptSample:
    """Keeps the impostor pairs that may be false accepts, of the pairs of identities that a hash draws.

    The hash is of the two ordinals alone: two networks on one testset are sampled at the same pairs of identities, and
    parts of a pass add up in any order.

    Parameters
    ----------
    keep : int
        Scores that the pass keeps.
    """

    def __init__(self, keep: int) -> None:
        self._limit = int(share_of(keep) * _HASHES)
        self._parts: list[SampledAccepts] = []
        self._size = 0

    def add(self, scores: Float64Array, left: IntArray, right: IntArray, floor: float) -> None:
        """Add pairs above a floor; arrays [n], ordinals of their identities.

        The floor is `ImpostorTail.last`. Only pairs strictly above it can be false accepts, fewer than the scores that
        are kept, however many tie.
        """
        high = scores > floor
        scores, one, other = scores[high], np.minimum(left, right)[high], np.maximum(left, right)[high]
        if self._limit < _HASHES:
            drawn = _hashed(one, other) < self._limit
            scores, one, other = scores[drawn], one[drawn], other[drawn]
        if len(scores):
            self._parts.append(SampledAccepts(scores, one, other))
            self._size += len(scores)
        if self._size > 2 * MOST_SAMPLED:
            self.contents(floor)

    def merge(self, found: SampledAccepts, floor: float) -> None:
        """Add what the sample of another part holds, drawn with the same `keep`."""
        self._parts.append(found)
        self._size += len(found.scores)
        if self._size > 2 * MOST_SAMPLED:
            self.contents(floor)

    def contents(self, floor: float) -> SampledAccepts:
        """Forget what does not lie above the floor, and give the rest, in no order."""
        whole = self._parts or [SampledAccepts.none()]
        scores = np.concatenate([part.scores for part in whole])
        high = scores > floor
        one, other = (np.concatenate([getattr(part, side) for part in whole])[high] for side in ("one", "other"))
        self._parts, self._size = [SampledAccepts(scores[high], one, other)], int(np.count_nonzero(high))
        return self._parts[0]


def _hashed(one: IntArray, other: IntArray) -> npt.NDArray[np.uint64]:
    """Return 32 bits for each pair: uint64 [n]; multiplying and shifting as in Steele, Lea and Flood's SplitMix64."""
    mixed = one.astype(np.uint64) << np.uint64(32) ^ other.astype(np.uint64)
    for factor, shift in ((0xBF58476D1CE4E5B9, 30), (0x94D049BB133111EB, 27)):
        mixed = (mixed ^ mixed >> np.uint64(shift)) * np.uint64(factor)
    return mixed >> np.uint64(32)
