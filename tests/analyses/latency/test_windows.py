"""The second look of a busy machine: when there is one, which windows count, and that the rule favours nobody."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pytest_facechallenge.analyses.latency import windows
from pytest_facechallenge.analyses.latency.contention import Others
from pytest_facechallenge.analyses.latency.measure import TURNS, Runner, Sample
from pytest_facechallenge.analyses.latency.windows import LOOK_AGAIN, MORE_WINDOWS, Window, measure, quietest
from pytest_facechallenge.latency_estimate.statistics import judged, spread


class Machine:
    """A machine whose other programs come and go: a share for each window, and runs that it stretches."""

    def __init__(self, patch: pytest.MonkeyPatch, shares: list[float], seed: int = 0, noise: float = 0.005) -> None:
        self.shares: Iterator[float] = iter(shares)
        self.now = 0.0
        self.windows = 0
        self.paused: list[float] = []
        self.rng = np.random.default_rng(seed)
        self.noise = noise
        patch.setattr(Others, "__enter__", lambda others: self._enter(others))
        patch.setattr(Others, "__exit__", lambda others, *_failure: setattr(others, "share", self.now))

    def _enter(self, others: Others) -> Others:
        self.now = next(self.shares)
        self.windows += 1
        return others

    def runner(self, name: str, ms: float) -> Runner:
        runner = Runner(name, lambda: None)

        def once() -> Sample:
            slower = 1 + self.now * (0.3 + self.rng.random()) + self.noise * self.rng.random()
            return Sample(float(ms * slower), 0.0)

        runner.once = once  # type: ignore[method-assign]
        return runner

    def measure(self, *runners: Runner) -> windows.Measured:
        return measure([(runner, 50) for runner in runners], pause=self.paused.append)


def test_a_quiet_machine_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, [0.0] * TURNS)
    one = machine.runner("one", 10.0)
    found = machine.measure(one)
    assert (machine.windows, machine.paused, found.remark, found.busy) == (TURNS, [], "", 0.0)
    assert len(one.samples) == 50


def test_a_busy_machine_is_looked_at_again_and_its_quietest_windows_count(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = [0.9, 0.1, 0.8, 0.9, 0.7, 0.9, 0.0, 0.9, 0.0, 0.8, 0.9, 0.05, 0.9, 0.02, 0.9]
    machine = Machine(monkeypatch, shares)
    one, two = machine.runner("one", 10.0), machine.runner("two", 20.0)
    found = machine.measure(one, two)
    assert machine.windows == TURNS + MORE_WINDOWS
    assert len(machine.paused) == MORE_WINDOWS
    assert [window.busy for window in found.windows] == [0.1, 0.0, 0.0, 0.05, 0.02]
    assert (len(one.samples), len(two.samples)) == (50, 50)
    assert spread(np.array(one.comparable(one.samples))) < LOOK_AGAIN
    assert judged(two.comparable(two.samples)) / judged(one.comparable(one.samples)) == pytest.approx(2, rel=0.02)
    assert "of 15 windows" in found.remark
    assert "up to 10%, for all networks alike" in found.remark


def test_a_second_look_has_a_fixed_length_and_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, [0.9] * (TURNS + MORE_WINDOWS))
    machine.measure(machine.runner("one", 10.0))
    assert machine.windows == TURNS + MORE_WINDOWS


def test_slow_networks_get_fewer_windows_more(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, [0.9] * (TURNS + MORE_WINDOWS))
    monkeypatch.setattr(windows, "MOST_SECONDS", 0.0)
    machine.measure(machine.runner("one", 10.0))
    assert machine.windows == 2 * TURNS


def test_windows_are_chosen_by_the_work_of_others_and_never_by_the_times() -> None:
    slow, fast = ((Sample(9.0, 9.0),),), ((Sample(1.0, 1.0),),)
    given = [Window(0.2, 1.0, slow), Window(0.6, 1.0, fast), Window(0.1, 1.0, slow), Window(0.7, 1.0, fast)]
    assert quietest(given, 2) == [given[0], given[2]]
    assert quietest([given[1], given[1], given[3]], 1) == [given[1]]


def test_the_ratio_of_two_networks_is_not_moved_by_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many busy machines the ratio of two equal networks is 1 on average, within its standard error."""
    ratios = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        machine = Machine(monkeypatch, rng.uniform(0.0, 1.0, TURNS + MORE_WINDOWS).tolist(), seed)
        one, two = machine.runner("one", 10.0), machine.runner("two", 10.0)
        machine.measure(one, two)
        ratios.append(np.log(judged(one.comparable(one.samples)) / judged(two.comparable(two.samples))))
    assert abs(np.mean(ratios)) < 3 * np.std(ratios) / np.sqrt(len(ratios))
    assert np.std(ratios) < 0.1
