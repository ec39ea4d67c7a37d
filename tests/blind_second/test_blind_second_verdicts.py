"""The detector's answers on a second set of cases that were written by somebody who had not read it.

They were run once, on a frozen detector that had learned from the first blind set: 37 of 44 evasions were found (one of
the other seven stopped it with an error), and 40 of 42 honest networks passed. The false alarms and five of the missed
ideas have been dealt with since; what is not found today stands here as an expected failure.
"""

from __future__ import annotations

import pytest

from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.table import judge
from tests.blind_second import EVASIONS, HONEST

#: Evasions that the detector does not find, and what hides them.
MISSED = {
    "upper_tokens_again": "a crop made by an attention mask on a copy of the tokens: seen as a doubt, so undecided",
    "polyphase_looks": "the phases of a layer without stride on the batch axis: what dilated networks compute, too",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EVASIONS)
def test_evasion(name: str, request: pytest.FixtureRequest) -> None:
    if name in MISSED:
        request.applymarker(pytest.mark.xfail(reason=MISSED[name], strict=True))
    case = EVASIONS[name]
    assert judge(case.build()).outcomes[case.rule].status is Status.FAILED


@pytest.mark.slow
@pytest.mark.parametrize("name", HONEST)
def test_honest(name: str) -> None:
    answer = judge(HONEST[name].build())
    assert {outcome.status for outcome in answer.outcomes.values()} == {Status.PASSED}
