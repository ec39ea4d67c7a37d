"""The packaged tests: a submission is collected as if it were a test module that holds these functions.

One test per rule of a track (and per case of a rule); all the judging happens in `judge`, all the observing in the
sandbox. What is left here is to ask for the facts and to hand pytest the outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.plugin import benchmark as replay
from pytest_facechallenge.plugin.collection import JudgedRule, RuleBroken
from pytest_facechallenge.plugin.progress import display

if TYPE_CHECKING:
    from pytest_facechallenge.engine.session import ChallengeSession


def test_rule(judged: JudgedRule, facechallenge: ChallengeSession, request: pytest.FixtureRequest) -> None:
    """Judge one rule on one submission."""
    with display(request.config, judged.source.name) as shown:
        say = shown.say if shown is not None else _silent
        trouble = facechallenge.device_trouble(judged, say)
        if trouble:
            pytest.fail(trouble, pytrace=False)
        outcome = facechallenge.judge(judged, say)
    facechallenge.record(request.node, judged, outcome)
    _show_in_pytest_benchmark(request, facechallenge, judged)
    if outcome.status is Status.FAILED:
        raise RuleBroken(judged, outcome)
    if outcome.status in (Status.UNDECIDED, Status.NOT_APPLICABLE):
        # All of it, and what would decide it, stands in the summary and the report; pytest's own lines stay short.
        pytest.skip(f"{outcome.status}: {outcome.message.split('. ')[0].rstrip('.')}.")


def _silent(_line: str) -> None:
    """Show nothing: where there is no terminal to show progress on."""


def _show_in_pytest_benchmark(
    request: pytest.FixtureRequest, facechallenge: ChallengeSession, judged: JudgedRule
) -> None:
    """Hand the recorded times to pytest-benchmark, where it is active and there are any; nothing is judged by it."""
    timer = replay.timer_of(request.node.get_closest_marker("benchmark"))
    if timer is None:
        return
    facts = facechallenge.facts_of(judged)
    samples = replay.samples_of(facts, judged.rule)
    if samples:
        benchmark = request.getfixturevalue("benchmark")
        benchmark.extra_info.update(replay.extra_info(facts, judged.rule))
        timer.load(samples)
        benchmark.pedantic(timer.nothing, rounds=len(samples), iterations=1)
