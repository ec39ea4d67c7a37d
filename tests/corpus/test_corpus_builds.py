"""The corpus is what it says: every case runs, honest rows are independent, every evasion computes what it claims."""

from functools import lru_cache

import numpy as np
import onnx
import pytest

from .builder import session
from .case import Array
from .honest import HONEST
from .pictures import faces


@lru_cache
def pictures(raw: bool) -> Array:
    return faces(3, 5, raw=raw)


@pytest.mark.parametrize("name", HONEST)
def test_honest_runs_and_its_rows_are_independent(name: str) -> None:
    case = HONEST[name]
    model = case.build()
    onnx.checker.check_model(model, full_check=True)
    runner = session(model)
    batch = pictures(case.raw)
    (together,) = runner.run(None, {runner.get_inputs()[0].name: batch})
    (alone,) = runner.run(None, {runner.get_inputs()[0].name: batch[1:2]})
    assert together.shape[0] == 3
    assert np.isfinite(together).all()
    assert np.abs(together[0] - together[1]).max() > 1e-2
    np.testing.assert_allclose(together[1:2], alone, atol=1e-4)
