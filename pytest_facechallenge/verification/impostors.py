"""The streaming pass over all impostor pairs: tiles, a rising cutoff, exact scores of what passes."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.verification.backends import Candidates, Tile, TileFilter
from pytest_facechallenge.verification.backends.products import float_product
from pytest_facechallenge.verification.tail import ExtremePairs, ImpostorTail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_facechallenge.verification.backends.products import FloatProduct
    from pytest_facechallenge.verification.protocol import PairPlan
    from pytest_facechallenge.verification.rows import Float32Array, UnitRows

_BATCH = 512
_SAMPLE_BLOCK = 1024
_SAMPLED_SHARE = 256
_MAX_SAMPLE_BLOCKS = 3
_GUESS_FROM_PAIRS = 1 << 20
_MAX_WORKERS = 8


def default_workers() -> int:
    """Give the number of worker threads: one per usable core, at most 8 (each has a few MB of scratch memory)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MAX_WORKERS)


def tiles(plan: PairPlan, left_block: int, right_block: int) -> Iterator[Tile]:
    """Cut the pairs of a plan into tiles; of all-to-all only those with a pair above the diagonal."""
    for left in range(0, len(plan.left), left_block):
        left_stop = min(left + left_block, len(plan.left))
        first = left // right_block * right_block if plan.symmetric else 0
        for right in range(first, len(plan.right), right_block):
            yield Tile(left, left_stop, right, min(right + right_block, len(plan.right)))


def impostor_tail(
    unit: UnitRows, plan: PairPlan, backend: TileFilter, keep: int, *, hardest: int, workers: int, seed: int
) -> tuple[ImpostorTail, ExtremePairs]:
    """Find the `keep` largest impostor scores, exactly, and the `hardest` impostor pairs.

    Parameters
    ----------
    unit, plan, backend
        What is compared, and by which backend.
    keep : int
        Scores kept; at least `hardest`, at most the impostor pairs of the plan, at least 1.
    workers : int
        Threads.
    seed : int
        Of the sample that the starting cutoff is guessed from. It can cost time, never change the result: a guess that
        was too high leaves the tail incomplete, which is noticed, and the pass is done again from a lower one.
    """
    for start in _starting_cutoffs(unit, plan, keep, seed):
        scan = _Scan(unit, plan, backend, ImpostorTail(keep, start), ExtremePairs(hardest, highest=True))
        scan.run(workers)
        if scan.tail.complete:
            break
    return scan.tail, scan.extreme


class _Scan:
    """One pass: workers take tiles from one iterator and share one tail."""

    def __init__(
        self, unit: UnitRows, plan: PairPlan, backend: TileFilter, tail: ImpostorTail, extreme: ExtremePairs
    ) -> None:
        self.tail = tail
        self.extreme = extreme
        self._unit = unit
        self._plan = plan
        self._backend = backend
        self._tiles = tiles(plan, backend.left_block, backend.right_block)
        self._lock = threading.Lock()

    def run(self, workers: int) -> None:
        if workers == 1:
            self._work()
            return
        with ThreadPoolExecutor(workers) as pool:
            try:
                for done in [pool.submit(self._work) for _ in range(workers)]:
                    done.result()
            finally:
                self._tiles = iter(())  # an error or an interrupt ends the other workers after their tile

    def _work(self) -> None:
        worker = self._backend.worker()
        batch: list[Candidates] = []
        waiting = 0
        while True:
            with self._lock:
                tile = next(self._tiles, None)
                cutoff = self.tail.cutoff
            if tile is None:
                break
            pairs = self._impostors(worker.candidates(tile, cutoff))
            if len(pairs[0]):
                batch.append(pairs)
                waiting += len(pairs[0])
            if waiting >= _BATCH:
                self._score(batch)
                batch, waiting = [], 0
        if batch:
            self._score(batch)

    def _impostors(self, candidates: Candidates) -> Candidates:
        """Leave out genuine pairs, and of all-to-all what lies on or below the diagonal."""
        left, right = candidates
        kept = self._plan.left.identities[left] != self._plan.right.identities[right]
        if self._plan.symmetric:
            kept &= left < right
        return left[kept], right[kept]

    def _score(self, batch: list[Candidates]) -> None:
        left = self._plan.left.rows[np.concatenate([pairs[0] for pairs in batch])]
        right = self._plan.right.rows[np.concatenate([pairs[1] for pairs in batch])]
        for part in (slice(k, k + (1 << 16)) for k in range(0, len(left), 1 << 16)):
            rows = left[part], right[part]
            with self._lock:
                cutoff = self.tail.cutoff
            reach = self._unit.may_reach(*rows, cutoff)
            rows = rows[0][reach], rows[1][reach]
            scores = self._unit.scores(*rows)
            if self._plan.symmetric:  # named with the smaller row number first, whatever the order of identities
                rows = np.minimum(*rows), np.maximum(*rows)
            with self._lock:
                self.tail.add(scores)
                self.extreme.add(scores, *rows)


def _starting_cutoffs(unit: UnitRows, plan: PairPlan, keep: int, seed: int) -> Iterator[float]:
    """Guess where the tail begins, then lower, then nowhere.

    Some random blocks of pairs are scored. If m of the sample's impostor pairs are expected among the `keep` largest
    of all, its (m + 4 sqrt(m) + 4)-th largest score lies, very probably, below them all.
    """
    pairs = len(plan.left) * len(plan.right)
    if pairs >= _GUESS_FROM_PAIRS and keep < plan.counts.impostor // 4:
        rng = np.random.default_rng(seed)
        blocks = min(_MAX_SAMPLE_BLOCKS, max(1, pairs // _SAMPLED_SHARE // _SAMPLE_BLOCK**2))
        expected = keep / plan.counts.impostor * blocks * _SAMPLE_BLOCK**2
        rank = int(np.ceil(expected + 4 * np.sqrt(expected) + 4))
        product = float_product()
        tops = [_sample_block(unit, plan, rng, 4 * rank, product) for _ in range(blocks)]
        sample = np.sort(np.concatenate(tops))[::-1]
        for guess in (rank, 4 * rank):
            if guess < len(sample):
                yield float(sample[guess])
    yield -np.inf


def _sample_block(
    unit: UnitRows, plan: PairPlan, rng: np.random.Generator, keep: int, product: FloatProduct
) -> Float32Array:
    """Give the `keep` largest float32 scores of a random block of impostor pairs; a guess needs no more digits."""
    left, right = (
        np.sort(rng.choice(len(side), min(len(side), _SAMPLE_BLOCK), replace=False)) for side in (plan.left, plan.right)
    )
    scores = np.empty((len(left), len(right)), np.float32)
    product(unit.take(plan.left.rows[left]), unit.take(plan.right.rows[right]), scores)
    # Of all-to-all a block may hold a pair in both directions; for a guess that does not matter.
    scores[plan.left.identities[left][:, None] == plan.right.identities[right]] = -np.inf
    flat = scores.ravel()
    if keep < len(flat):
        flat.partition(len(flat) - keep)
    return flat[-keep:].copy()
