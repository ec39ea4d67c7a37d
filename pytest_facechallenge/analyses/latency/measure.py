"""Taking the time of single runs: wall time and processor time, warm-up, and how many runs fit into a time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pytest_facechallenge.core.facts.latency import Series
from pytest_facechallenge.latency_estimate.statistics import ORGANISERS_ROUNDS

Clock = Callable[[], int]

#: Rounds are spread over this many windows, in each of which every network is run: a disturbance hits all of them.
TURNS = 5
WARMUP_RUNS = 5


def processor_time_ns() -> int:
    """Return the processor time of this process's threads, in nanoseconds; 0 where it is too coarse to compare.

    From getrusage: Linux keeps the process's CPU clock (`time.process_time`) only to the timer tick once a limit of
    processor time is set, as the sandbox does. Windows counts in 15.6 ms.
    """
    if sys.platform == "win32":
        return 0
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    return int((used.ru_utime + used.ru_stime) * 1e9)


class Sample(NamedTuple):
    """One run: how long it took, and the processor time of all threads meanwhile; milliseconds."""

    wall: float
    work: float


class Runner:
    """A network that is ready to be timed.

    Parameters
    ----------
    name
        See `Series.name`.
    run
        Runs it once on one image, input and output copies included.
    load
        How long opening its session took, milliseconds.
    on_cpu
        Whether the CPU does the work, so that processor time can be compared.
    clock, work_clock
        Nanoseconds: monotonic time, and processor time of this process.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], object],
        *,
        load: float = 0.0,
        on_cpu: bool = False,
        clock: Clock = time.perf_counter_ns,
        work_clock: Clock = processor_time_ns,
    ) -> None:
        self.name = name
        self.run = run
        self.load = load
        self.on_cpu = on_cpu
        self.clock = clock
        self.work_clock = work_clock
        self.warm: list[Sample] = []
        self.samples: list[Sample] = []

    def once(self) -> Sample:
        """Run once."""
        work, start = self.work_clock(), self.clock()
        self.run()
        end = self.clock()
        return Sample((end - start) / 1e6, (self.work_clock() - work) / 1e6)

    def warm_up(self, runs: int = WARMUP_RUNS) -> None:
        """Run ``runs`` times; the samples are kept apart."""
        self.warm += [self.once() for _ in range(runs)]

    def comparable(self, samples: Sequence[Sample]) -> list[float]:
        """Return what is compared between networks: processor time where the CPU does the work, else time."""
        return [sample.work if self.on_cpu else sample.wall for sample in samples]

    @property
    def rough(self) -> float:
        """The shortest comparable time of the warm-up, milliseconds."""
        return max(1e-6, min(self.comparable(self.warm)))

    def series(self) -> Series:
        """Return what was taken."""
        return Series(
            name=self.name,
            samples=tuple(round(sample.wall, 6) for sample in self.samples),
            work=tuple(round(sample.work, 6) for sample in self.samples) if self.on_cpu else (),
            first=self.warm[0].wall if self.warm else 0.0,
            warmup=sum(sample.wall for sample in self.warm),
            warmup_runs=len(self.warm),
            load=self.load,
        )


def rounds_within(seconds: float, each_ms: float, least: int, most: int) -> int:
    """Return how many rounds of a network fit into a time, between ``least`` and ``most``; whole series where possible.

    A multiple of `TURNS`, so that every window has as many. Rounds after the last whole series of the organisers' would
    not be judged.
    """
    fitting = int(min(most, max(least, seconds * 1000 / max(each_ms, 1e-6))))
    return fitting - fitting % (ORGANISERS_ROUNDS if fitting > ORGANISERS_ROUNDS else TURNS)
