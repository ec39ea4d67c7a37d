"""Every case of the corpus gets the right answer; undecided is a wrong one."""

import pytest

from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.table import judge, wrong
from tests.corpus import BATCH_RULE, EVASIONS, HONEST


@pytest.mark.slow
@pytest.mark.parametrize("name", HONEST)
def test_honest_network_is_let_pass(name: str) -> None:
    case = HONEST[name]
    answer = judge(case.build())
    assert not wrong(case, answer), [outcome.message for outcome in answer.outcomes.values()]
    if case.expected_note:
        assert answer.outcomes[BATCH_RULE].notes


@pytest.mark.slow
@pytest.mark.parametrize("name", EVASIONS)
def test_evasion_is_found(name: str) -> None:
    case = EVASIONS[name]
    answer = judge(case.build())
    assert not wrong(case, answer), [outcome.message for outcome in answer.outcomes.values()]
    assert case.expected is not None
    assert answer.outcomes[case.expected].status is Status.FAILED
    assert answer.outcomes[case.expected].evidence
