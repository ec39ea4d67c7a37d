"""Showing recorded times in pytest-benchmark: its table, JSON, saving and comparing work on samples taken elsewhere.

The samples were taken in the sandbox. pytest-benchmark asks its timer before and after each round; the timer here plays
the recorded times back, so that every round takes exactly as long as it did there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_facechallenge.analyses.table import ANALYSES, ANALYSIS_OF
from pytest_facechallenge.core.analysis import Analysis, load
from pytest_facechallenge.core.tables import TimedSamples
from pytest_facechallenge.engine.plan import JudgedRule
from pytest_facechallenge.plugin.run import ChallengeRun


class Playback:
    """A timer, in seconds, that gives 0 at the start of a round and the recorded time at its end."""

    __name__ = "playback of times taken in the sandbox"

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._calls = 0

    def load(self, milliseconds: Sequence[float]) -> None:
        """Take the times to play back."""
        self._seconds = [sample / 1000 for sample in milliseconds]
        self._calls = 0

    def __call__(self) -> float:
        """Return the next reading of the clock.

        Raises
        ------
        IndexError
            More rounds are asked for than were recorded.
        """
        turn, at_end = divmod(self._calls, 2)
        self._calls += 1
        return self._seconds[turn] if at_end else 0.0

    @staticmethod
    def nothing() -> None:
        """Do what a played-back round does."""


def timed_by(run: ChallengeRun, judged: JudgedRule) -> Analysis | None:
    """Return the analysis whose recorded times a rule's outcome rests on, or None."""
    steps = run.plan.steps_of(judged)
    return next((ANALYSIS_OF[step] for step in steps if ANALYSIS_OF[step].samples), None)


def play_back(request: pytest.FixtureRequest, run: ChallengeRun, judged: JudgedRule) -> None:
    """Hand the recorded times to pytest-benchmark, where it is active and there are any; nothing is judged by it."""
    mark = request.node.get_closest_marker("benchmark")
    timer = mark.kwargs.get("timer") if mark is not None else None
    analysis = timed_by(run, judged)
    if not isinstance(timer, Playback) or analysis is None:
        return
    found: TimedSamples | None = load(analysis.samples)(run.gatherer.facts_for(judged), judged.rule)
    if found is not None:
        benchmark = request.getfixturevalue("benchmark")
        benchmark.extra_info.update(found.about)
        timer.load(found.milliseconds)
        benchmark.pedantic(timer.nothing, rounds=len(found.milliseconds), iterations=1)


def machine_info_of(run: ChallengeRun) -> dict[str, Any]:
    """Return what the recorded times depend on beside the processor, which pytest-benchmark describes itself."""
    recorded = [run.gatherer.recorded(path, number) for path, number in run.plan.names]
    info: dict[str, Any] = {}
    for analysis in ANALYSES:
        if analysis.machine:
            info |= load(analysis.machine)(run.values, recorded)
    return info
