"""A sample of the product host x injection; the whole is ``python -m tests.dataflow.mutation``."""

import pytest

from tests.corpus import HONEST, INJECTIONS
from tests.dataflow.mutation import try_pair

HOSTS = list(HONEST)


@pytest.mark.slow
@pytest.mark.parametrize("injection", INJECTIONS)
def test_injected_evasion_is_found(injection: str) -> None:
    start = 5 * list(INJECTIONS).index(injection)
    for step in range(len(HOSTS)):
        _, _, result, reason = try_pair((HOSTS[(start + step) % len(HOSTS)], injection))
        if result != "cannot carry":
            assert result == "found", reason
            return
    pytest.fail(f"no host carries {injection}")
