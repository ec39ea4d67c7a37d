"""The streaming pass over all impostor pairs: parts, a rising cutoff, exact scores of what passes."""

from __future__ import annotations

import os
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pytest_facechallenge.core.freed_memory import give_back
from pytest_facechallenge.verification.backends import TileFilter
from pytest_facechallenge.verification.backends.products import float_product
from pytest_facechallenge.verification.errors import BackendUnavailableError
from pytest_facechallenge.verification.false_accepts import AcceptSample
from pytest_facechallenge.verification.parts import Part, PartResult, cut, scan
from pytest_facechallenge.verification.tail import ExtremePairs, ImpostorTail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_facechallenge.verification.backends.products import FloatProduct
    from pytest_facechallenge.verification.kept_parts import PartFiles
    from pytest_facechallenge.verification.protocol import PairPlan
    from pytest_facechallenge.verification.rows import Float32Array, UnitRows

_SAMPLE_BLOCK = 1024
#: One pair of so many is sampled at most, for up to three blocks; and one of so many for more.
_SAMPLED_SHARE, _MORE_SAMPLED_SHARE = 256, 1024
_FEW_BLOCKS, _MOST_BLOCKS = 3, 32
#: Sampled scores above the cutoff that make a good guess: with 300 it lets a quarter more through than are kept.
_ENOUGH = 300
_GUESS_FROM_PAIRS = 1 << 20
_MAX_WORKERS = 8


def default_workers() -> int:
    """Give the number of worker threads: one per usable core, at most 8 (each has a few MB of scratch memory)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MAX_WORKERS)


class Pass:
    """One pass over the parts: the tail and the sample that they share, and where what is finished is kept.

    Parameters
    ----------
    keep, hardest : int
        See `impostor_tail`.
    start : float
        The guessed cutoff.
    kept : PartFiles or None
        Where results of parts are kept.
    """

    def __init__(self, keep: int, hardest: int, start: float, kept: PartFiles | None) -> None:
        self.keep, self.hardest, self.start = keep, hardest, start
        self.tail = ImpostorTail(keep, start)
        self.sample = AcceptSample(keep)
        self.extreme = ExtremePairs(hardest, highest=True)
        self.backends: set[str] = set()
        self._kept = kept
        self._lock = threading.Lock()

    def cutoff(self) -> float:
        """Give what a score has to reach now: it only rises."""
        with self._lock:
            return self.tail.cutoff

    def take(self, result: PartResult) -> None:
        """Add the result of a part."""
        with self._lock:
            self.tail.merge(result.tail)
            self.sample.merge(result.sample, self.tail.last)
            self.extreme.add(result.scores, result.left, result.right)
            self.backends.add(result.backend)

    def found_elsewhere(self, part: Part) -> bool:
        """Whether the result of a part is kept, of an earlier process or of another one, and then add it."""
        result = None if self._kept is None else self._kept.get(part)
        # Under a higher guess than now, what is needed now may have been left out.
        if result is None or result.start > self.start:
            return False
        self.take(result)
        return True

    def finish(self, part: Part, result: PartResult) -> None:
        """Keep the result of a part, and add it."""
        if self._kept is not None:
            self._kept.put(part, result)
        self.take(result)

    def remaining(self, parts: Iterable[Part]) -> list[Part]:
        """Add what is kept of a pass that was stopped, and give the parts that are left to do."""
        return [part for part in parts if not self.found_elsewhere(part)]


class PartRunner(Protocol):
    """Where parts are scanned: in threads here, or on other machines."""

    def run(self, parts: Iterable[Part], done: Pass) -> None:
        """Scan every part and add its result to the pass (`Pass.finish`, or `Pass.take` where it was kept already)."""
        ...


class Threads:
    """Scans parts in threads of this process, which take them from one iterator.

    Parameters
    ----------
    unit, plan
        What is compared.
    make_backend : callable
        Makes the filter; called when there is something to scan.
    workers : int
        Threads.
    offer : callable or None
        Told what is about to be scanned, so that others may take a part.
    spare : callable or None
        Makes a filter that goes on where the first one fails in the middle, as a GPU may whose memory others fill.
    """

    def __init__(
        self,
        unit: UnitRows,
        plan: PairPlan,
        make_backend: Callable[[], TileFilter],
        workers: int,
        offer: Callable[[list[Part], float], None] | None = None,
        spare: Callable[[], TileFilter] | None = None,
    ) -> None:
        self._offer = offer
        self._spare = spare
        self._unit = unit
        self._plan = plan
        self._make_backend = make_backend
        self._workers = workers
        self._lock = threading.Lock()

    def run(self, parts: Iterable[Part], done: Pass) -> None:
        """Scan every part, but for those whose results others leave meanwhile."""
        waiting = list(parts)
        if self._offer is not None:
            self._offer(waiting, done.start)
        finished: set[int] = set()
        give_back()  # what the guess held, before rows in 8 bits are made beside it
        try:
            self._scan(waiting, done, self._make_backend(), finished)
        except BackendUnavailableError:
            if self._spare is None:
                raise
            self._scan([part for part in waiting if part.number not in finished], done, self._spare(), finished)

    def _scan(self, parts: list[Part], done: Pass, backend: TileFilter, finished: set[int]) -> None:
        """Scan parts by a filter, and add the numbers of those whose result is there to ``finished``."""
        source = iter(parts)
        stopped = threading.Event()
        give_back()

        def cutoff() -> float:
            if stopped.is_set():
                raise CancelledError
            return done.cutoff()

        def work() -> None:
            worker = backend.worker()
            while True:
                with self._lock:
                    part = next(source, None)
                if part is None:
                    return
                if not done.found_elsewhere(part):
                    found = scan(
                        self._unit, self._plan, backend, worker, part,
                        keep=done.keep, hardest=done.hardest, start=done.start, cutoff=cutoff,
                    )  # fmt: skip
                    done.finish(part, found)
                with self._lock:
                    finished.add(part.number)

        if self._workers == 1:
            work()
            return
        with ThreadPoolExecutor(self._workers) as pool:
            try:
                for each in [pool.submit(work) for _ in range(self._workers)]:
                    each.result()
            finally:
                stopped.set()  # an error or an interrupt ends the other workers after their tile


def impostor_tail(
    unit: UnitRows,
    plan: PairPlan,
    runner: PartRunner,
    keep: int,
    *,
    hardest: int,
    seed: int,
    kept: PartFiles | None = None,
) -> Pass:
    """Find the `keep` largest impostor scores, exactly, and the `hardest` impostor pairs.

    Parameters
    ----------
    unit, plan, runner
        What is compared, and where.
    keep : int
        Scores kept; at least `hardest`, at most the impostor pairs of the plan, at least 1.
    seed : int
        Of the sample that the starting cutoff is guessed from. It can cost time, never change the result: a guess that
        was too high leaves the tail incomplete, which is noticed, and the pass is done again from a lower one.
    kept : PartFiles or None
        Where results of parts are kept, so that a computation that was stopped goes on.

    Returns
    -------
    Pass
        With the ``tail``, the ``extreme`` pairs and the names of the ``backends``.
    """
    parts = cut(plan)
    guesses = partial(_starting_cutoffs, unit, plan, keep, seed)
    for start in guesses() if kept is None else kept.guesses(guesses):
        done = Pass(keep, hardest, start, kept)
        if left := done.remaining(parts):
            runner.run(left, done)
        if done.tail.complete:
            break
    return done


def _starting_cutoffs(unit: UnitRows, plan: PairPlan, keep: int, seed: int) -> Iterator[float]:
    """Guess where the tail begins, then lower, then nowhere.

    Some random blocks of pairs are scored. If m of the sample's impostor pairs are expected among the `keep` largest
    of all, its (m + 4 sqrt(m) + 4)-th largest score lies, very probably, below them all.
    """
    pairs = len(plan.left) * len(plan.right)
    if pairs >= _GUESS_FROM_PAIRS and keep < plan.counts.impostor // 4:
        rng = np.random.default_rng(seed)
        share = keep / plan.counts.impostor
        blocks = min(_FEW_BLOCKS, max(1, pairs // _SAMPLED_SHARE // _SAMPLE_BLOCK**2))
        wanted = int(_ENOUGH / (share * _SAMPLE_BLOCK**2))
        blocks = max(blocks, min(wanted, pairs // _MORE_SAMPLED_SHARE // _SAMPLE_BLOCK**2, _MOST_BLOCKS))
        expected = share * blocks * _SAMPLE_BLOCK**2
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
