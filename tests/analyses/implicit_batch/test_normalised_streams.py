"""Two networks in one residual stream whose channels are turned as a whole, under one normalisation of the places."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
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
Norm = Callable[[Net, str], str]

WIDTH, HIDDEN = 12, 20


def root_mean_square(net: Net, t: str) -> str:
    size = net.op("ReduceMean", net.op("Mul", t, t), axes=[2], keepdims=1)
    return str(net.op("Div", t, net.op("Sqrt", net.op("Add", size, net.const(1e-5)))))


def root_mean_square_by_powers(net: Net, t: str) -> str:
    size = net.op("ReduceMean", net.op("Pow", t, net.const(2.0)), axes=[2], keepdims=1)
    scale = net.op("Reciprocal", net.op("Sqrt", net.op("Add", size, net.const(1e-5))))
    return str(net.op("Mul", scale, t))


def layer_norm_written_out(net: Net, t: str) -> str:
    t = net.op("Sub", t, net.op("ReduceMean", t, axes=[2], keepdims=1))
    return root_mean_square(net, t)


def layer_norm(net: Net, t: str) -> str:
    ones = np.ones(2 * WIDTH)
    return str(net.op("LayerNormalization", t, net.const(ones), net.const(0 * ones), axis=-1))


NORMS: list[Norm] = [root_mean_square, root_mean_square_by_powers, layer_norm_written_out, layer_norm]


def turned_but_for_the_mean(random: np.random.Generator, size: int) -> Array:
    """Return an orthogonal matrix that keeps the sum of all channels, which a layer norm takes away from each."""
    basis = np.linalg.qr(np.concatenate([np.ones((size, 1)), random.standard_normal((size, size - 1))], 1))[0]
    inner = np.eye(size)
    inner[1:, 1:] = np.linalg.qr(random.standard_normal((size - 1, size - 1)))[0]
    turn: Array = (basis @ inner @ basis.T).astype(np.float32)
    return turn


def stream(net: Net, norm: Norm, *, mirrored: bool) -> str:
    """Three blocks of a hidden layer over tokens of 24 channels, which are two times 12 where asked."""
    turn = turned_but_for_the_mean(net.random, 2 * WIDTH)

    def matrix(inputs: int, outputs: int) -> Array:
        if not mirrored:
            return net.weights(2 * inputs, 2 * outputs)
        w = net.weights(inputs, outputs)
        nothing = np.zeros_like(w)
        return np.block([[w, nothing], [nothing, w]])

    kernel = net.weights(WIDTH, 3, 8, 8)
    other = kernel[..., ::-1] if mirrored else net.weights(WIDTH, 3, 8, 8)
    first = np.einsum("po,oihw->pihw", turn.T, np.concatenate([kernel, other]))
    t = net.conv(net.x, first, stride=8, pads=[0] * 4)
    t = net.op("Transpose", net.op("Reshape", t, net.ints(-1, 2 * WIDTH, 16)), perm=[0, 2, 1])
    for _ in range(3):
        hidden = net.op("Relu", net.fc(norm(net, t), turn.T @ matrix(WIDTH, HIDDEN)))
        t = net.op("Add", t, net.fc(hidden, matrix(HIDDEN, WIDTH) @ turn))
    return net.fc(net.op("ReduceMean", norm(net, t), axes=[1], keepdims=0), net.weights(2 * WIDTH, 16))


@pytest.mark.parametrize("norm", NORMS)
def test_two_looks_in_a_turned_stream_are_told_under_a_norm(norm: Norm, tmp_path: Path) -> None:
    outcome = answer(lambda net: stream(net, norm, mirrored=True), tmp_path)[BATCH_RULE]
    assert outcome.status is Status.FAILED, outcome.message
    assert "which no layer shows by itself" in outcome.message
    assert "on the image mirrored" in outcome.message
    assert "confirmed: with the second part fed another image" in outcome.message


@pytest.mark.parametrize("norm", NORMS)
def test_one_stream_under_a_norm_is_one_look(norm: Norm, tmp_path: Path) -> None:
    outcome = answer(lambda net: stream(net, norm, mirrored=False), tmp_path)[BATCH_RULE]
    assert outcome.status is Status.PASSED, outcome.message


def test_a_norm_over_maps_laid_out_flat_takes_no_memory_by_the_square_of_their_size(tmp_path: Path) -> None:
    """A norm of one group over all channels and places (PoolFormer), each element of which would be a channel."""

    def build(net: Net) -> str:
        y = net.op("Relu", net.conv(net.x, net.weights(32, 3, 3, 3)))
        for _ in range(2):
            flat = net.op("Reshape", y, net.ints(-1, 1, 32 * 32 * 32))
            one, nothing = net.const(np.ones(1)), net.const(np.zeros(1))
            normed = net.op("InstanceNormalization", flat, one, nothing)
            y = net.op("Relu", net.conv(net.op("Reshape", normed, net.ints(-1, 32, 32, 32)), net.weights(32, 32, 3, 3)))
        return net.fc(net.pool(y), net.weights(32, 16))

    tracemalloc.start()
    outcome = answer(build, tmp_path)[BATCH_RULE]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcome.status is Status.PASSED, outcome.message
    assert most < 1 << 30
