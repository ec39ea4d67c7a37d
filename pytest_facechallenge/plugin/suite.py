"""The packaged tests: a submission is collected as if it were a test module that holds these functions.

One test per rule of a track (and per case of a rule); all the judging happens in `engine`, all the observing in the
sandbox. What is left here is to ask for the outcome and to hand it to pytest.
"""

from __future__ import annotations

import pytest

from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.engine.gatherer import silent
from pytest_facechallenge.engine.plan import JudgedRule
from pytest_facechallenge.plugin.benchmark import play_back
from pytest_facechallenge.plugin.collection import RuleBroken
from pytest_facechallenge.plugin.progress import display
from pytest_facechallenge.plugin.run import ChallengeRun
from pytest_facechallenge.plugin.transport import record


def test_rule(judged: JudgedRule, facechallenge: ChallengeRun, request: pytest.FixtureRequest) -> None:
    """Judge one rule on one submission."""
    gatherer = facechallenge.gatherer
    with display(request.config, facechallenge.plan.names[judged.source, judged.number]) as shown:
        say = shown.say if shown is not None else silent
        trouble = gatherer.device_trouble(judged, say)
        if trouble:
            pytest.fail(trouble, pytrace=False)
        outcome = gatherer.judge(judged, say)
    record(request.node, judged, outcome)
    play_back(request, facechallenge, judged)
    if outcome.status is Status.FAILED:
        raise RuleBroken(judged, outcome)
    if outcome.status in (Status.UNDECIDED, Status.NOT_APPLICABLE):
        # All of it, and what would decide it, stands in the summary and the report; pytest's own lines stay short.
        pytest.skip(f"{outcome.status}: {outcome.message.split('. ')[0].rstrip('.')}.")
