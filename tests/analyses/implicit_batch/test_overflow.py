"""Values that overflow hide what they hold: the answer is undecided, neither a pass, nor an accusation, nor a crash."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.product import judge
from pytest_facechallenge.analyses.implicit_batch.runner import Runner
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.core.facts.implicit_batch import ImplicitBatchFacts, Unseen
from pytest_facechallenge.core.facts.implicit_batch_kinds import Gap
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import Net


def network(net: Net, gain: float) -> str:
    """Two branches of early features, multiplied by ``gain`` on the way, and an embedding of what they give."""
    y = net.op("Relu", net.conv(net.x, net.weights(8, 3, 3, 3), stride=2))
    y = net.op("Mul", y, net.const(gain))
    pooled = net.op("MaxPool", y, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    y = net.op("Relu", net.conv(net.op("Concat", y, pooled, axis=1), net.weights(16, 16, 3, 3), stride=2))
    y = net.op("Relu", net.conv(y, net.weights(16, 16, 3, 3), stride=2))
    return str(net.op("Flatten", net.op("GlobalAveragePool", y)))


@pytest.mark.parametrize("gain", [1e20, 1e38, np.inf, np.nan])
def test_overflow_is_undecided(gain: float) -> None:
    net = Net()
    answer = judge(net.model(network(net, gain)))
    assert {outcome.status for outcome in answer.outcomes.values()} == {Status.UNDECIDED}
    gaps = answer.facts.need(ImplicitBatchFacts).of(Unseen)
    assert [(gap.gap, gap.limit) for gap in gaps] == [(Gap.OVERFLOW, 1e15)]
    assert all("not finite or beyond 1e+15" in outcome.message for outcome in answer.outcomes.values())


def test_the_same_network_passes_without() -> None:
    net = Net()
    answer = judge(net.model(network(net, 1.0)))
    assert {outcome.status for outcome in answer.outcomes.values()} == {Status.PASSED}


def test_what_a_mask_holds_on_purpose_is_no_overflow() -> None:
    net = Net()
    masked = net.op("Add", net.op("Flatten", net.x), net.const(-np.inf))
    model = net.model(net.op("Softmax", masked, axis=-1))
    runner = Runner(model, [masked])
    values = runner({net.x: np.zeros((1, 3, 32, 32), np.float32)})[masked]
    assert (values == -np.float32(DEFAULTS.running.largest)).all()
    assert runner.overflowed == set()
