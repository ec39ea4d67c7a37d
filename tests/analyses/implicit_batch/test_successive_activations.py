"""Two networks whose blocks take turns in one residual stream with turned channels, and honest streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from evaluation.case import BATCH_RULE
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import Net
from tests.analyses.implicit_batch.test_detector import answer

Array = npt.NDArray[Any]

WIDTH, HIDDEN = 8, 12


def turned(net: Net) -> Array:
    made: Array = np.linalg.qr(net.random.standard_normal((2 * WIDTH, 2 * WIDTH)))[0].astype(np.float32)
    return made


def begun(net: Net, kernels: Array, turn: Array) -> str:
    return net.conv(net.x, np.einsum("po,oihw->pihw", turn, kernels), stride=4, pads=[0] * 4)


def block(net: Net, x: str, up: Array, down: Array, *, read: Array, written: Array) -> str:
    """Add a block that reads some directions of the stream, [channels, WIDTH], and writes some."""
    y = net.op("Relu", net.conv(x, np.einsum("oihw,pi->ophw", up, read)))
    return str(net.op("Add", x, net.conv(y, np.einsum("po,oihw->pihw", written, down))))


def ended(net: Net, x: str) -> str:
    return net.fc(net.op("Flatten", x), net.weights(2 * WIDTH * 64, 16))


def two_looks_in_turn(net: Net) -> str:
    turn = turned(net)
    w = net.weights(WIDTH, 3, 4, 4)
    x = begun(net, np.concatenate([w, w[..., ::-1]]), turn)
    for _ in range(3):
        up, down = net.weights(HIDDEN, WIDTH, 3, 3), net.weights(WIDTH, HIDDEN, 3, 3)
        for half, step in ((turn[:, :WIDTH], 1), (turn[:, WIDTH:], -1)):
            x = block(net, x, up[..., ::step], down[..., ::step], read=half, written=half)
    return ended(net, x)


def halves_that_write_for_each_other(net: Net) -> str:
    """A reversible network (RevNet), in a stream whose channels are turned."""
    turn = turned(net)
    x = begun(net, net.weights(2 * WIDTH, 3, 4, 4), turn)
    for number in range(6):
        one, other = (turn[:, :WIDTH], turn[:, WIDTH:])[:: -1 if number % 2 else 1]
        up, down = net.weights(HIDDEN, WIDTH, 3, 3), net.weights(WIDTH, HIDDEN, 3, 3)
        x = block(net, x, up, down, read=one, written=other)
    return ended(net, x)


def one_stream(net: Net) -> str:
    turn = turned(net)
    x = begun(net, net.weights(2 * WIDTH, 3, 4, 4), turn)
    for _ in range(6):
        up, down = net.weights(HIDDEN, 2 * WIDTH, 3, 3), net.weights(2 * WIDTH, HIDDEN, 3, 3)
        x = block(net, x, up, down, read=turn, written=turn)
    return ended(net, x)


def attention_from_one_layer(net: Net) -> str:
    """A transformer of five blocks, each of which makes queries, keys and values by one layer."""
    width = 2 * WIDTH
    t = net.op("Reshape", net.conv(net.x, net.weights(width, 3, 8, 8), stride=8, pads=[0] * 4), net.ints(-1, width, 16))
    t = net.op("Transpose", t, perm=[0, 2, 1])
    for _ in range(5):
        heads = net.op("Reshape", net.fc(t, net.weights(width, 3 * width)), net.ints(-1, 16, 3, width))
        q, k, v = (net.op("Gather", heads, net.const(at, np.int64), axis=2) for at in range(3))
        near = net.op("Mul", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1])), net.const(0.05))
        t = net.op("Add", t, net.fc(net.op("MatMul", net.op("Softmax", near, axis=2), v), net.weights(width, width)))
    return net.fc(net.op("Flatten", t), net.weights(16 * width, 16))


def test_two_looks_whose_blocks_take_turns_are_not_passed(tmp_path: Path) -> None:
    outcome = answer(two_looks_in_turn, tmp_path)[BATCH_RULE]
    assert outcome.status in (Status.FAILED, Status.UNDECIDED), outcome.message
    assert "which no layer shows by itself" in outcome.message
    assert "on the image mirrored" in outcome.message


@pytest.mark.parametrize("build", [halves_that_write_for_each_other, one_stream, attention_from_one_layer])
def test_one_network_in_a_stream_is_one_look(build: Any, tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.PASSED, outcome.message
    assert "two networks in one" not in " ".join(outcome.notes)
