"""Warm-up and interleaving, under a clock that the test turns."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_facechallenge.analyses.latency.coverage import enough
from pytest_facechallenge.analyses.latency.measure import TURNS, Runner, Sample, rounds_within
from pytest_facechallenge.analyses.latency.windows import measure

#: Threads that the fake runs keep busy.
WORKERS = 2


class Clock:
    """Nanoseconds that only runs move forward."""

    def __init__(self) -> None:
        self.now = 0
        self.ran: list[str] = []

    def runner(self, name: str, ms: float, first: float = 0.0, *, on_cpu: bool = False) -> Runner:
        def run() -> None:
            self.now += int((first if name not in self.ran and first else ms) * 1e6)
            self.ran.append(name)

        return Runner(name, run, on_cpu=on_cpu, clock=lambda: self.now, work_clock=lambda: WORKERS * self.now)


def test_warm_up_is_kept_apart_from_the_samples_and_its_cost_is_told() -> None:
    runner = Clock().runner("submission", 10.0, first=3000.0)
    runner.warm_up(5)
    assert runner.rough == 10.0
    measure([(runner, 50)])
    series = runner.series()
    assert series.samples == (10.0,) * 50
    assert (series.first, series.warmup, series.warmup_runs) == (3000.0, 3040.0, 5)


def test_networks_take_turns_and_the_first_run_after_another_is_not_counted() -> None:
    clock = Clock()
    one, two = clock.runner("one", 1.0), clock.runner("two", 2.0)
    turns: list[str] = []
    measure([(one, 50), (two, 10)], turns.append)
    assert (len(one.samples), len(two.samples)) == (50, 10)
    assert turns[:3] == ["one, window 1 of 5", "two, window 1 of 5", "one, window 2 of 5"]
    assert len(turns) == 2 * TURNS
    assert clock.ran[:15] == ["one"] * 11 + ["two"] * 3 + ["one"]
    assert set(two.samples) == {Sample(2.0, 2.0 * WORKERS)}


def test_on_a_cpu_processor_time_is_compared_and_elsewhere_time() -> None:
    clock = Clock()
    here, there = clock.runner("here", 3.0, on_cpu=True), clock.runner("there", 3.0)
    measure([(here, 10), (there, 10)])
    assert here.comparable(here.samples) == [3.0 * WORKERS] * 10
    assert here.series().work == (3.0 * WORKERS,) * 10
    assert there.comparable(there.samples) == [3.0] * 10
    assert there.series().work == ()


def test_rounds_fill_the_time_within_bounds() -> None:
    assert rounds_within(10, 100, 10, 50) == 50
    assert rounds_within(2, 100, 10, 50) == 20
    assert rounds_within(2, 5000, 10, 50) == 10
    assert rounds_within(7.5, 100, 10, 200) == 50  # 25 more would not be judged
    assert rounds_within(1.3, 100, 10, 50) == 10  # every window has as many
    assert rounds_within(15, 100, 10, 200) == 150


def test_auto_stops_at_the_first_reference_slower_than_the_submission() -> None:
    assert not enough([40, 66], 1, "auto")
    assert not enough([40, 66, 90], 80, "auto")
    assert enough([40, 66, 90, 170], 80, "auto")
    assert not enough([40, 66, 90, 170], 200, "auto")
    assert not enough([40, 66, 90], 80, "scaled")
    assert enough([40, 66, 90, 170, 330], 1000, "scaled")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's process clock is what this is about")
def test_processor_time_stays_fine_under_a_limit_of_processor_time() -> None:
    # time.process_time() advances by whole timer ticks there: some milliseconds, longer than a small network runs.
    # Where that is so, a clock that is read again and again shows a few values only. Steps are not looked at: another
    # program may take the processor between any two readings.
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (4000, 5000))\n"
        "from pytest_facechallenge.analyses.latency.measure import processor_time_ns as now\n"
        "print(len({now() for _ in range(20_000)}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 1_000
