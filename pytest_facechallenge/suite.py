"""The packaged tests: a submission is collected as if it were a test module that holds these functions.

One test per rule of a track (and per case of a rule); all the judging happens in `judge`, all the observing in the
sandbox. What is left here is to ask for the facts and to hand pytest the outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_facechallenge.collect import JudgedRule, RuleBroken
from pytest_facechallenge.outcome import Status
from pytest_facechallenge.report.progress import display

if TYPE_CHECKING:
    from pytest_facechallenge.session import ChallengeSession


def test_rule(judged: JudgedRule, facechallenge: ChallengeSession, request: pytest.FixtureRequest) -> None:
    """Judge one rule on one submission."""
    with display(request.config, judged.source.name) as shown:
        outcome = facechallenge.judge(judged, shown.say if shown is not None else lambda _line: None)
    facechallenge.record(request.node, judged, outcome)
    if outcome.status is Status.FAILED:
        raise RuleBroken(judged, outcome)
    if outcome.status in (Status.UNDECIDED, Status.NOT_APPLICABLE):
        pytest.skip(f"{outcome.status}: {outcome.message}{' ' + outcome.remedy if outcome.remedy else ''}")
