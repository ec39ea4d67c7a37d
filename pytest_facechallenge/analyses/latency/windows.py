"""Short windows of measurement: every network is run in each, and a busy machine gets a second look.

A measurement is `TURNS` windows, in each of which every network is run its share of times. Where the times scatter by
more than `LOOK_AGAIN`, more windows are taken, spread over time, and of all windows as many count as were asked for:
those during which other programs used the least of the processors.

The rule cannot favour a verdict. Whether there is a second look is decided by the scatter, once, before anything is
compared with a limit, and its length is fixed then. Which windows count is decided by the work of other programs alone,
which is no time of any network; a window counts for all networks or for none. Choosing the windows in which the times
were short would make whatever is judged look faster or, where the references are looked at, slower.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from pytest_facechallenge.analyses.latency.contention import Others
from pytest_facechallenge.analyses.latency.measure import TURNS, Runner, Sample
from pytest_facechallenge.latency_estimate.statistics import spread

#: Relative standard error of a judged time from which on a measurement is looked at again. Below, it is hidden by what
#: the map to the rulebook's GPU is off on a quiet machine (leave-one-out errors of 3 % and more).
LOOK_AGAIN = 0.03
#: Windows of a second look, and seconds between two of them: other programs come and go in seconds.
MORE_WINDOWS, PAUSE = 10, 0.5
#: A second look of slow networks has as many windows as fit into this many seconds, but `TURNS` at least.
MOST_SECONDS = 60.0


class Window(NamedTuple):
    """One window.

    Attributes
    ----------
    busy
        Share (0..1) of the processors that other programs used meanwhile.
    seconds
        How long it took.
    samples
        Of each network, in the order in which they were taken.
    """

    busy: float
    seconds: float
    samples: tuple[tuple[Sample, ...], ...]


class Measured(NamedTuple):
    """The windows that count, in order of time, and what is to be told of a second look ("" without)."""

    windows: tuple[Window, ...]
    remark: str

    @property
    def busy(self) -> float:
        """Share of the processors that other programs used during the windows that count."""
        seconds = sum(window.seconds for window in self.windows)
        return sum(window.busy * window.seconds for window in self.windows) / seconds if seconds > 0 else 0.0


def measure(
    runners: Sequence[tuple[Runner, int]],
    report: Callable[[str], None] = lambda _line: None,
    pause: Callable[[float], None] = time.sleep,
) -> Measured:
    """Time several networks beside each other; `Runner.samples` are those of the windows that count.

    Parameters
    ----------
    runners
        Warmed up, each with the number of samples to take, a multiple of `TURNS`.
    report
        Called with "iresnet50, window 2 of 5" before each network's share.
    pause
        Waits for so many seconds.
    """
    windows = [_window(runners, report, f"window {turn + 1} of {TURNS}") for turn in range(TURNS)]
    _count(runners, windows)
    worst = max(spread(np.asarray(runner.comparable(runner.samples))) for runner, _count in runners)
    if worst <= LOOK_AGAIN:
        return Measured(tuple(windows), "")
    each = sum(window.seconds for window in windows) / TURNS
    more = int(min(MORE_WINDOWS, max(TURNS, MOST_SECONDS / max(each, 1e-6))))
    for turn in range(more):
        pause(PAUSE)
        windows.append(_window(runners, report, f"second look, window {turn + 1} of {more}"))
    kept = quietest(windows, TURNS)
    _count(runners, kept)
    now = max(spread(np.asarray(runner.comparable(runner.samples))) for runner, _count in runners)
    busy = [window.busy for window in windows]
    remark = (
        f"The times scattered by {worst:.0%}, so the machine was looked at again: of {len(windows)} windows (other "
        f"programs used {min(busy):.0%} to {max(busy):.0%} of the processors) the {TURNS} with the least work of other "
        f"programs count, up to {max(window.busy for window in kept):.0%}, for all networks alike; they scatter by "
        f"{now:.0%}."
    )
    return Measured(tuple(kept), remark)


def quietest(windows: Sequence[Window], count: int) -> list[Window]:
    """Return the windows with the least work of other programs, in order of time; of equal ones the earlier."""
    ranked = sorted(range(len(windows)), key=lambda place: (windows[place].busy, place))
    return [windows[place] for place in sorted(ranked[:count])]


def _count(runners: Sequence[tuple[Runner, int]], windows: Sequence[Window]) -> None:
    """Make the samples of some windows those of the networks."""
    for place, (runner, _rounds) in enumerate(runners):
        runner.samples = [sample for window in windows for sample in window.samples[place]]


def _window(runners: Sequence[tuple[Runner, int]], report: Callable[[str], None], name: str) -> Window:
    """Run every network its share of times in a row, as the organisers' checker runs one network in a row.

    The first run after another network is not counted, because its weights have left the caches.
    """
    was_on = gc.isenabled()
    gc.disable()
    start = time.monotonic()
    taken: list[tuple[Sample, ...]] = []
    try:
        with Others() as others:
            for runner, rounds in runners:
                report(f"{runner.name}, {name}")
                if len(runners) > 1:
                    runner.once()
                taken.append(tuple(runner.once() for _ in range(rounds // TURNS)))
    finally:
        if was_on:
            gc.enable()
    return Window(others.share, time.monotonic() - start, tuple(taken))
