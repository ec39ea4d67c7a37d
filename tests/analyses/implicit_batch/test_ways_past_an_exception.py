"""Second looks beside which something stands that makes an exception of them, were it looked at alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from evaluation.case import BATCH_RULE
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import SIZE, Net
from tests.analyses.implicit_batch.test_detector import answer

Array = npt.NDArray[Any]

WIDTH = 24


def tokens(net: Net, features: str) -> str:
    return str(net.op("Transpose", net.op("Reshape", features, net.ints(-1, WIDTH, 16)), perm=[0, 2, 1]))


def read_by(net: Net, own: str, other: str) -> str:
    """Queries of one set of tokens, keys and values of the other."""
    q, k, v = (net.fc(t, net.weights(WIDTH, WIDTH)) for t in (own, other, other))
    near = net.op("Softmax", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1])), axis=2)
    t = net.op("Relu", net.op("Add", own, net.op("MatMul", near, v)))
    return net.fc(net.op("ReduceMean", t, axes=[1], keepdims=0), net.weights(WIDTH, 16))


def two_sets(net: Net, images: tuple[str, str]) -> tuple[str, str]:
    kernel = net.weights(WIDTH, 3, 8, 8)
    one, two = (
        net.conv(image, k, stride=8, pads=[0] * 4) for image, k in zip(images, (kernel, kernel[..., ::-1]), strict=True)
    )
    return one, two


def beside_a_spare_sum(net: Net) -> str:
    """Tokens of kernels and of the mirrored kernels, which are added up for a trifle of the embedding as well."""
    one, two = two_sets(net, (net.x, net.x))
    spare = net.fc(net.pool(net.op("Add", one, two)), net.weights(WIDTH, 16))
    return str(net.op("Add", read_by(net, tokens(net, one), tokens(net, two)), net.op("Mul", spare, net.const(1e-4))))


def less_a_stripe(net: Net) -> str:
    """The same of an image without a stripe on the left, and without one on the right."""
    stripe = np.ones((1, 1, SIZE, SIZE))
    stripe[..., 5:10] = 0
    images = tuple(net.op("Mul", net.x, net.const(each)) for each in (stripe, stripe[..., ::-1]))
    return read_by(net, *(tokens(net, each) for each in two_sets(net, (images[0], images[1]))))


def turned_back_in_groups(net: Net) -> str:
    """Maps of mirrored kernels, turned back while their channels stand in two groups, and added at once."""
    kernel = net.weights(WIDTH, 3, 3, 3)
    one, two = (
        net.op("Reshape", net.conv(net.x, k), net.ints(-1, 2, WIDTH // 2, SIZE, SIZE))
        for k in (kernel, kernel[..., ::-1])
    )
    y = net.op("Reshape", net.op("Add", one, net.mirror(two, 4)), net.ints(-1, WIDTH, SIZE, SIZE))
    return net.fc(net.pool(net.body(net.op("Relu", y), net.body_weights((WIDTH, 16, 16)))), net.weights(16, 32))


def activation_by_a_maximum(net: Net) -> str:
    """Two networks in one stream whose channels are turned; their activation is the larger of x and x / 10."""
    turn = np.linalg.qr(net.random.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)

    def both(inputs: int, outputs: int) -> Array:
        w = net.weights(inputs, outputs)
        return np.block([[w, np.zeros_like(w)], [np.zeros_like(w), w]])

    kernel = net.weights(WIDTH // 2, 3, 8, 8)
    first = np.einsum("po,oihw->pihw", turn.T, np.concatenate([kernel, kernel[..., ::-1]]))
    t = tokens(net, net.conv(net.x, first, stride=8, pads=[0] * 4))
    for _ in range(3):
        hidden = net.op("Unsqueeze", net.fc(t, turn.T @ both(WIDTH // 2, 20)), net.ints(3))
        pair = net.op("Concat", hidden, net.op("Mul", hidden, net.const(0.1)), axis=3)
        larger = net.op("ReduceMax", pair, axes=[3], keepdims=0)
        t = net.op("Add", t, net.fc(larger, both(20, WIDTH // 2) @ turn))
    return net.fc(net.op("ReduceMean", t, axes=[1], keepdims=0), net.weights(WIDTH, 16))


@pytest.mark.parametrize("build", [beside_a_spare_sum, less_a_stripe, turned_back_in_groups, activation_by_a_maximum])
def test_a_second_look_is_found_beside_what_would_excuse_it(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.FAILED, outcome.message


@pytest.mark.parametrize("axis", [2, 3])
def test_features_and_their_mirror_image_about_a_strip_of_others_are_not_passed(axis: int, tmp_path: Path) -> None:
    def build(net: Net) -> str:
        one, other = (net.op("Relu", net.conv(net.x, net.weights(12, 3, 3, 3), stride=2)) for _ in range(2))
        strip = net.op("Slice", other, net.ints(0), net.ints(12), net.ints(axis))
        h = net.op("Concat", one, strip, net.mirror(one, axis), axis=axis)
        for kernel in net.body_weights((12, 16, 16, 16)):
            h = net.op("Relu", net.conv(h, kernel))
        return net.fc(net.pool(h), net.weights(16, 32))

    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status in (Status.FAILED, Status.UNDECIDED), outcome.message


def test_a_gated_block_in_a_stream_is_followed(tmp_path: Path) -> None:
    """What one activation leads to by itself is joined with something else where all of them are followed."""

    def build(net: Net) -> str:
        def mixed(t: str) -> str:
            return net.fc(t, 0.7 * net.weights(WIDTH, WIDTH))

        def block(t: str) -> tuple[str, str]:
            hidden = net.op("Relu", mixed(t))
            return str(net.op("Add", t, mixed(hidden))), hidden

        t = tokens(net, net.conv(net.x, net.weights(WIDTH, 3, 8, 8), stride=8, pads=[0] * 4))
        t, hidden = block(t)
        gate = mixed(mixed(hidden))
        t, _ = block(t)
        joined = net.op("Concat", net.op("Add", mixed(t), gate), gate, axis=2)
        value, opened = net.op("Split", joined, net.ints(WIDTH, WIDTH), outputs=2, axis=2)
        t = net.op("Add", t, mixed(net.op("Mul", value, net.op("Sigmoid", opened))))
        for _ in range(3):
            t, _ = block(t)
        return net.fc(net.op("ReduceMean", t, axes=[1], keepdims=0), net.weights(WIDTH, 16))

    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.PASSED, outcome.message
