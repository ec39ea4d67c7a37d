"""Taking times: warm-up, and interleaved rounds of several networks, so that all of them meet the same conditions."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence

from pytest_facechallenge.facts.latency import Series

Clock = Callable[[], int]

#: Rounds are spread over this many turns, in each of which every network is run: a disturbance hits all of them.
TURNS = 5
WARMUP_RUNS = 5


class Runner:
    """A network that is ready to be timed.

    Parameters
    ----------
    name
        See `Series.name`.
    run
        Runs it once on one picture, input and output copies included.
    load
        How long opening its session took, milliseconds.
    clock
        Nanoseconds, monotonic.
    """

    def __init__(
        self, name: str, run: Callable[[], object], load: float = 0.0, clock: Clock = time.perf_counter_ns
    ) -> None:
        self.name = name
        self.run = run
        self.load = load
        self.clock = clock
        self.warm: list[float] = []
        self.samples: list[float] = []

    def once(self) -> float:
        """Run once and return the milliseconds it took."""
        start = self.clock()
        self.run()
        return (self.clock() - start) / 1e6

    def warm_up(self, runs: int = WARMUP_RUNS) -> float:
        """Run ``runs`` times and return the shortest time, milliseconds."""
        self.warm += [self.once() for _ in range(runs)]
        return min(self.warm)

    def series(self) -> Series:
        """Return what was taken."""
        return Series(
            name=self.name,
            samples=tuple(round(sample, 6) for sample in self.samples),
            first=self.warm[0] if self.warm else 0.0,
            warmup=sum(self.warm),
            warmup_runs=len(self.warm),
            load=self.load,
        )


def interleave(runners: Sequence[tuple[Runner, int]], on_turn: Callable[[int], None] = lambda _turn: None) -> None:
    """Take samples of several networks in turns.

    In each of `TURNS` turns every network is run its share of times in a row, as the organisers' checker runs one
    network in a row; the first run after another network is not counted, because its weights have left the caches.

    Parameters
    ----------
    runners
        Warmed up, each with the number of samples to take.
    on_turn
        Called before each turn with its number.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        for turn in range(TURNS):
            on_turn(turn)
            for runner, rounds in runners:
                share = (turn + 1) * rounds // TURNS - turn * rounds // TURNS
                if share and len(runners) > 1:
                    runner.once()
                runner.samples += [runner.once() for _ in range(share)]
    finally:
        if was_on:
            gc.enable()


def rounds_within(seconds: float, each_ms: float, least: int, most: int) -> int:
    """Return how many rounds of a network fit into a time, between ``least`` and ``most``."""
    return int(min(most, max(least, seconds * 1000 / max(each_ms, 1e-6))))
