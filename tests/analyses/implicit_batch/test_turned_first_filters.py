"""Two branches that begin with one layer of filters, turned: honest where what follows has nothing in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.case import BATCH_RULE
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import Net
from tests.analyses.implicit_batch.test_detector import Build, answer


def turned(weights: np.ndarray, how: str) -> np.ndarray:
    made = {
        "transposed": weights.transpose(0, 1, 3, 2),
        "mirrored": weights[..., ::-1],
        "flipped": weights[..., ::-1, :],
    }
    return np.ascontiguousarray(made[how])


def branches(how: str, *, same_body: bool, trickle: float) -> Build:
    """Return a builder of two branches; their last maps are pooled and joined."""

    def build(net: Net) -> str:
        first = net.weights(8, 3, 3, 3)
        bodies = [net.body_weights((8, 16, 16, 16)), net.body_weights((8, 16, 16, 16))]
        if same_body:
            bodies[1] = [turned(w, how) for w in bodies[0]]
        a = net.op("Relu", net.conv("image", first))
        b = net.op("Relu", net.conv("image", turned(first, how)))
        for one, other in zip(*bodies, strict=True):
            if trickle:
                b = net.op("Add", b, net.op("Mul", a, net.const(np.float32(trickle))))
            a, b = net.op("Relu", net.conv(a, one)), net.op("Relu", net.conv(b, other))
        return net.fc(net.op("Concat", net.pool(a), net.pool(b), axis=1), net.weights(32, 32))

    build.__name__ = f"{how}_{same_body}_{trickle}"
    return build


@pytest.mark.parametrize(("how", "trickle"), [("transposed", 0.0), ("transposed", 1e-3), ("mirrored", 1e-3)])
def test_only_the_first_filters_are_turned(how: str, trickle: float, tmp_path: Path) -> None:
    outcome = answer(branches(how, same_body=False, trickle=trickle), tmp_path)[BATCH_RULE]
    assert outcome.status is not Status.FAILED, outcome.message


@pytest.mark.parametrize(("how", "trickle"), [("transposed", 0.0), ("transposed", 1e-3), ("mirrored", 1e-3)])
def test_all_filters_are_turned(how: str, trickle: float, tmp_path: Path) -> None:
    outcome = answer(branches(how, same_body=True, trickle=trickle), tmp_path)[BATCH_RULE]
    assert outcome.status is Status.FAILED, outcome.message
