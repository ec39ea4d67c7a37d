"""The impostor pairs cut into parts: ranges of rows x ranges of rows, scanned each by itself; their results add up.

A part is what a thread takes, what is kept when a computation is stopped, and what another machine is asked for.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.verification.backends.tile import GRID, Candidates, Tile, TileFilter, TileWorker
from pytest_facechallenge.verification.false_accepts import AcceptSample, SampledAccepts
from pytest_facechallenge.verification.tail import ExtremePairs, ImpostorTail, TailContents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_facechallenge.verification.protocol import PairPlan
    from pytest_facechallenge.verification.rows import Float64Array, IntArray, UnitRows

#: Pairs of a part: about this share of all, within these bounds. The largest takes some seconds of one core.
_PARTS = 256
_LEAST_PAIRS, _MOST_PAIRS = 1 << 23, 1 << 30
#: Candidates that are scored together.
_BATCH = 512
_SCORED_AT_ONCE = 1 << 16


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of positions, stops excluded; ``number`` is its place in the list of all parts."""

    number: int
    left_start: int
    left_stop: int
    right_start: int
    right_stop: int


@dataclasses.dataclass(frozen=True, eq=False)
class PartResult:
    """What scanning a part found.

    Attributes
    ----------
    tail
        Its largest scores.
    sample
        Which identities they are of, of some pairs of identities.
    scores : float64 [h]
    left, right : int64 [h]
        Its impostor pairs of highest score: scores and row numbers.
    start : float
        The guessed cutoff of the pass: what lies below it may be missing here.
    backend
        Which filter chose the candidates.
    """

    tail: TailContents
    sample: SampledAccepts
    scores: Float64Array
    left: IntArray
    right: IntArray
    start: float
    backend: str


def cut(plan: PairPlan) -> list[Part]:
    """Cut the pairs of a plan into parts; of all-to-all those with a pair above the diagonal.

    The parts depend on the numbers of rows alone, so another process or machine means the same by them.
    """
    pairs = len(plan.left) * len(plan.right) // (2 if plan.symmetric else 1)
    wanted = min(max(pairs // _PARTS, _LEAST_PAIRS), _MOST_PAIRS)
    width = max(1, round(wanted / GRID**2)) * GRID
    found: list[Part] = []
    for left in range(0, len(plan.left), GRID):
        for right in range(left if plan.symmetric else 0, len(plan.right), width):
            left_stop, right_stop = min(left + GRID, len(plan.left)), min(right + width, len(plan.right))
            found.append(Part(len(found), left, left_stop, right, right_stop))
    return found


def whole(plan: PairPlan) -> Part:
    """Give all pairs of a plan as one part."""
    return Part(0, 0, len(plan.left), 0, len(plan.right))


def tiles(part: Part, left_block: int, right_block: int, *, symmetric: bool) -> Iterator[Tile]:
    """Cut a part into tiles; of all-to-all only those with a pair above the diagonal."""
    step = min(right_block, GRID)
    for left in range(part.left_start, part.left_stop, left_block):
        left_stop = min(left + left_block, part.left_stop)
        first = max(part.right_start, left // step * step) if symmetric else part.right_start
        for right in range(first, part.right_stop, right_block):
            yield Tile(left, left_stop, right, min(right + right_block, part.right_stop))


def scan(
    unit: UnitRows,
    plan: PairPlan,
    backend: TileFilter,
    worker: TileWorker,
    part: Part,
    *,
    keep: int,
    hardest: int,
    start: float,
    cutoff: Callable[[], float],
) -> PartResult:
    """Find the `keep` largest impostor scores of a part, exactly, and its `hardest` impostor pairs.

    Parameters
    ----------
    unit, plan, backend
        What is compared, and by which backend.
    worker
        Of the backend; of this thread.
    keep : int
        At least `hardest` and at least 1.
    start : float
        The guessed cutoff of the pass.
    cutoff : callable
        Asked for every tile: what scores need not reach any more. It may rise, and is never below `start`.
    """
    scanner = _Scanner(unit, plan, keep, start, hardest, cutoff)
    for tile in tiles(part, backend.left_block, backend.right_block, symmetric=plan.symmetric):
        scanner.take(worker.candidates(tile, scanner.cutoff()))
    scanner.finish()
    tail = scanner.tail.contents()
    sample = scanner.sample.contents(scanner.tail.last)
    return PartResult(tail, sample, *scanner.extreme.arrays(), start, backend.name)


class _Scanner:
    """Scores candidates in batches."""

    def __init__(
        self, unit: UnitRows, plan: PairPlan, keep: int, start: float, hardest: int, floor: Callable[[], float]
    ) -> None:
        self.tail = ImpostorTail(keep, start)
        self.sample = AcceptSample(keep)
        self.extreme = ExtremePairs(hardest, highest=True)
        self._unit = unit
        self._plan = plan
        self._floor = floor
        self._batch: list[Candidates] = []
        self._waiting = 0

    def cutoff(self) -> float:
        """Give what a score has to reach now."""
        return max(self._floor(), self.tail.cutoff)

    def take(self, candidates: Candidates) -> None:
        """Take a tile's candidates; genuine pairs, and of all-to-all what is not above the diagonal, are left out."""
        left, right = candidates
        if not len(left):
            return
        kept = self._plan.left.identities[left] != self._plan.right.identities[right]
        if self._plan.symmetric:
            kept &= left < right
        if kept.any():
            self._batch.append((left[kept], right[kept]))
            self._waiting += len(self._batch[-1][0])
        if self._waiting >= _BATCH:
            self.finish()

    def finish(self) -> None:
        """Score what waits."""
        if not self._waiting:
            return
        left = np.concatenate([pairs[0] for pairs in self._batch])
        right = np.concatenate([pairs[1] for pairs in self._batch])
        self._batch, self._waiting = [], 0
        for part in (slice(k, k + _SCORED_AT_ONCE) for k in range(0, len(left), _SCORED_AT_ONCE)):
            places = left[part], right[part]
            rows = self._plan.left.rows[places[0]], self._plan.right.rows[places[1]]
            cutoff = self.cutoff()
            reach = np.flatnonzero(self._unit.may_reach(*rows, cutoff))
            scores = self._unit.scores(rows[0][reach], rows[1][reach])
            high = scores >= cutoff
            scores, reach = scores[high], reach[high]
            rows = rows[0][reach], rows[1][reach]
            if self._plan.symmetric:  # named with the smaller row number first, whatever the order of identities
                rows = np.minimum(*rows), np.maximum(*rows)
            self.tail.add(scores)
            left_people, right_people = self._plan.left.identities, self._plan.right.identities
            self.sample.add(scores, left_people[places[0][reach]], right_people[places[1][reach]], self.tail.last)
            self.extreme.add(scores, *rows)
