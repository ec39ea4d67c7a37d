"""Second views that meet the first one early, or that no single kernel shows, and honest networks most like them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper

from evaluation.case import BATCH_RULE
from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.gather import traced
from pytest_facechallenge.analyses.implicit_batch.linear_maps import linear_maps, sources
from pytest_facechallenge.analyses.implicit_batch.runner import evaluate
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.checks.implicit_batch.signs import Weight
from pytest_facechallenge.checks.implicit_batch.weighers import weigh_equivariant_features
from pytest_facechallenge.core.facts.implicit_batch import EquivariantFeatures
from pytest_facechallenge.core.facts.implicit_batch_kinds import FeatureHome, Transform
from pytest_facechallenge.core.facts.interventions import Exchanged
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import Net
from tests.analyses.implicit_batch.test_detector import answer

Array = npt.NDArray[Any]

WIDTH, TOKENS = 12, 16


def first(net: Net, kernel: Array) -> str:
    return net.conv(net.x, kernel, stride=8, pads=[0] * 4)


def tokens(net: Net, features: str, width: int = WIDTH) -> str:
    """Turn [N, width, 4, 4] into [N, 16, width]."""
    rows = net.op("Reshape", features, net.ints(-1, width, TOKENS))
    return str(net.op("Transpose", rows, perm=[0, 2, 1]))


def turned(net: Net, features: str) -> str:
    """Turn a map by half a circle."""
    return net.mirror(net.mirror(features, 2), 3)


def blocks(net: Net, t: str) -> str:
    """Two blocks of an attention and a hidden layer over tokens, and their mean."""
    for _ in range(2):
        q, k, v = (net.fc(t, net.weights(WIDTH, WIDTH)) for _ in range(3))
        near = net.op("Mul", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1])), net.const(0.05))
        t = net.op("Add", t, net.op("MatMul", net.op("Softmax", near, axis=2), v))
        hidden = net.op("Relu", net.fc(t, net.weights(WIDTH, 24)))
        t = net.op("Add", t, net.fc(hidden, net.weights(24, WIDTH)))
    return net.fc(net.op("ReduceMean", t, axes=[1], keepdims=0), net.weights(WIDTH, 16))


def mirrored_tokens_in_one_sequence(net: Net) -> str:
    kernel = net.weights(WIDTH, 3, 8, 8)
    views = tokens(net, first(net, kernel)), tokens(net, net.mirror(first(net, kernel[..., ::-1])))
    return blocks(net, net.op("Concat", *views, axis=1))


def mirrored_channels_in_one_sequence(net: Net) -> str:
    """The same with one layer of twice the kernels, whose halves become tokens."""
    kernel = net.weights(WIDTH, 3, 8, 8)
    one, two = net.op("Split", first(net, np.concatenate([kernel, kernel[..., ::-1]])), outputs=2, axis=1)
    return blocks(net, net.op("Concat", tokens(net, one), tokens(net, net.mirror(two)), axis=1))


def half_turn_on_an_axis_of_its_own(net: Net) -> str:
    """Two sets of tokens on an axis that layers over places and over channels leave alone."""
    kernel = net.weights(WIDTH, 3, 8, 8)
    views = tokens(net, first(net, kernel)), tokens(net, turned(net, first(net, kernel[..., ::-1, ::-1])))
    t = net.op("Concat", *(net.op("Unsqueeze", view, net.ints(1)) for view in views), axis=1)
    for _ in range(2):
        places = net.op("Transpose", t, perm=[0, 1, 3, 2])
        places = net.fc(net.op("Relu", net.fc(places, net.weights(TOKENS, 20))), net.weights(20, TOKENS))
        t = net.op("Add", t, net.op("Transpose", places, perm=[0, 1, 3, 2]))
        t = net.op("Add", t, net.fc(net.op("Relu", net.fc(t, net.weights(WIDTH, 20))), net.weights(20, WIDTH)))
    return net.fc(net.op("ReduceMean", t, axes=[1, 2], keepdims=0), net.weights(WIDTH, 16))


@pytest.mark.parametrize(
    "build",
    [mirrored_tokens_in_one_sequence, mirrored_channels_in_one_sequence, half_turn_on_an_axis_of_its_own],
)
def test_two_sets_of_tokens_that_go_on_beside_each_other_are_two_views(
    build: Callable[[Net], str], tmp_path: Path
) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.FAILED, outcome.message
    assert "confirmed: with the second part fed another image" in outcome.message


def mirrored_kernels_added_up(net: Net) -> str:
    """One layer of symmetric kernels, written as two."""
    kernel = net.weights(WIDTH, 3, 8, 8)
    return blocks(net, tokens(net, net.op("Add", first(net, kernel), first(net, kernel[..., ::-1]))))


def mirrored_kernels_mixed_at_once(net: Net) -> str:
    """Kernels in mirrored pairs, all of which the next layer reads."""
    kernel = net.weights(WIDTH // 2, 3, 3, 3)
    pairs = net.op("Relu", net.conv(net.x, np.concatenate([kernel, kernel[..., ::-1]]), stride=2))
    return net.fc(net.pool(net.body(pairs, net.body_weights((WIDTH, 16, 16)))), net.weights(16, 16))


@pytest.mark.parametrize("build", [mirrored_kernels_added_up, mirrored_kernels_mixed_at_once])
def test_one_layer_of_symmetric_kernels_is_one_view(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.PASSED, outcome.message


def gated_sum(net: Net, kernel: Array, other: str) -> str:
    """Tokens of one layer, and those of another one under a gate of their own added to them at once."""
    one, two = (tokens(net, features, len(kernel)) for features in (first(net, kernel), other))
    t = net.op("Add", one, net.op("Mul", two, net.op("Sigmoid", two)))
    hidden = net.op("Relu", net.fc(t, net.weights(len(kernel), 24)))
    return net.fc(net.op("ReduceMean", hidden, axes=[1], keepdims=0), net.weights(24, 16))


@pytest.mark.parametrize("back", [False, True])
def test_mirrored_maps_added_at_once_are_a_second_look_where_they_are_turned_back(back: bool, tmp_path: Path) -> None:
    """Without it they are one layer of kernels in mirrored pairs."""

    def build(net: Net) -> str:
        kernel = net.weights(24, 3, 8, 8)
        other = first(net, kernel[..., ::-1])
        return gated_sum(net, kernel, net.mirror(other) if back else other)

    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is (Status.FAILED if back else Status.PASSED), outcome.message
    assert not back or "24 of them turned back to the image's places" in outcome.message


def attended(net: Net, own: str, other: str) -> str:
    """Queries of one set of tokens, keys and values of another."""
    q, k, v = (net.fc(t, net.weights(WIDTH, WIDTH)) for t in (own, other, other))
    near = net.op("Softmax", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1])), axis=2)
    t = net.op("Add", own, net.op("MatMul", near, v))
    return net.fc(net.op("ReduceMean", net.op("Relu", t), axes=[1], keepdims=0), net.weights(WIDTH, 16))


def queries_of_one_image_keys_of_its_mirror_image(net: Net) -> str:
    kernel = net.const(net.weights(WIDTH, 3, 8, 8))
    one, two = (net.op("Conv", x, kernel, strides=[8, 8]) for x in (net.x, net.mirror(net.x)))
    return attended(net, tokens(net, one), tokens(net, two))


def queries_of_one_kernel_keys_of_its_mirror_image(net: Net) -> str:
    kernel = net.weights(WIDTH, 3, 8, 8)
    return attended(net, tokens(net, first(net, kernel)), tokens(net, net.mirror(first(net, kernel[..., ::-1]))))


@pytest.mark.parametrize(
    "build", [queries_of_one_image_keys_of_its_mirror_image, queries_of_one_kernel_keys_of_its_mirror_image]
)
def test_views_that_meet_in_one_product_are_not_passed(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.UNDECIDED, outcome.message
    assert "not confirmed: with the second part fed another image" in outcome.message


@pytest.mark.parametrize(("pairs", "weight"), [(1, Weight.UNSURE), (2, Weight.PROOF)])
def test_first_layers_alone_accuse_nobody(pairs: int, weight: Weight) -> None:
    apart = Exchanged(
        pairs=8, alone=(0.5, 0.5), stages=3, pure=1.0, moved=((0.4, 0.5, 0.6), (0.4, 0.5, 0.6)), apart=-1.0
    )
    found = EquivariantFeatures(
        home=FeatureHome.LAYERS, layers=("Conv_0", "Conv_1"), transform=Transform.TRANSPOSED, share=0.4, pairs=pairs,
        intervention=apart,
    )  # fmt: skip
    (sign,) = weigh_equivariant_features([found])
    assert sign.weight is weight
    assert ("as streams of an ensemble do" in sign.what) is (weight is Weight.UNSURE)


def stream(net: Net, second: Callable[[Array], Array] | None) -> str:
    """A residual network of three blocks that nothing normalises; two of them with turned channels, where asked."""
    turn = np.linalg.qr(net.random.standard_normal((16, 16)))[0]

    def both(w: Array) -> Array:
        if second is None:
            return net.weights(2 * len(w), 2 * w.shape[1], *w.shape[2:])
        pair = np.zeros((2, len(w), 2, *w.shape[1:]))
        pair[0, :, 0], pair[1, :, 1] = w, second(w)
        return pair.reshape(2 * len(w), -1, *w.shape[2:])

    w = net.weights(8, 3, 4, 4)
    kernels = np.concatenate([w, net.weights(*w.shape) if second is None else second(w)])
    x = net.conv(net.x, np.einsum("po,oihw->pihw", turn, kernels).astype(np.float32), stride=4, pads=[0] * 4)
    for _ in range(3):
        up = np.einsum("oihw,ji->ojhw", both(net.weights(12, 8, 3, 3)), turn).astype(np.float32)
        down = np.einsum("po,oihw->pihw", turn, both(net.weights(8, 12, 3, 3))).astype(np.float32)
        x = net.op("Add", x, net.conv(net.op("Relu", net.conv(x, up)), down))
    return net.fc(net.op("Flatten", x), net.weights(16 * 64, 16))


def two_streams_turned(net: Net) -> str:
    return stream(net, lambda w: w[..., ::-1])


def one_stream_turned(net: Net) -> str:
    return stream(net, None)


def two_in_one_of_split_kernels(net: Net) -> str:
    """Each layer is the sum of two, whose kernels share the groups at random."""
    x = net.x
    for index, w in enumerate(net.body_weights((3, 8, 12, 16))):
        both = np.zeros((2, len(w), 2, *w.shape[1:]), np.float32)
        both[0, :, 0], both[1, :, 1] = w, w[..., ::-1]
        wide = both.sum(2) if index == 0 else both.reshape(2, len(w), -1, 3, 3)
        wide = wide.reshape(2 * len(w), -1, 3, 3)
        part = net.weights(*wide.shape)
        stride = 2 if index else 1
        x = net.op("Relu", net.op("Add", net.conv(x, wide - part, stride=stride), net.conv(x, part, stride=stride)))
    return net.pool(x)


@pytest.mark.parametrize(
    ("build", "status"),
    [
        (two_streams_turned, Status.FAILED),
        (two_in_one_of_split_kernels, Status.FAILED),
        (one_stream_turned, Status.PASSED),
    ],
)
def test_two_networks_that_no_kernel_shows_are_told(
    build: Callable[[Net], str], status: Status, tmp_path: Path
) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is status, outcome.message
    if status is Status.FAILED:
        assert "which no layer shows by itself" in outcome.message
        assert "on the image mirrored" in outcome.message
        assert "confirmed: with the second part fed another image" in outcome.message


def test_a_map_through_layers_is_what_the_network_makes_of_a_wave() -> None:
    net = Net(size=64)
    x = net.op("Relu", net.conv(net.x, net.weights(8, 3, 3, 3)))
    grouped = net.conv(x, net.weights(8, 2, 3, 3), group=4, dilations=[2, 2], pads=[2] * 4)
    both = net.op("Sub", net.conv(x, net.weights(8, 8, 1, 1)), net.op("Mul", grouped, net.const(0.5)))
    y = net.conv(both, net.weights(10, 8, 3, 3), stride=2)
    made = net.model(net.fc(net.pool(net.op("Sigmoid", y)), net.weights(10, 8)))
    (model,) = traced(made, Feed(made, Path(), 1, DEFAULTS), 1, DEFAULTS)
    assert isinstance(model, TracedModel)
    start = next(each for each in sources(model.structure, 8) if each.value == x)
    wave = np.array([[2 * np.pi / 8, -2 * np.pi / 16]])

    (found,) = linear_maps(model.structure, [start], wave, 4)

    assert (found.value, found.axis, found.channels, len(found.layers)) == (y, 1, 10, 3)
    assert np.allclose(found.waves, 2 * wave)
    for channel in (0, 7):
        plane = np.exp(1j * (wave[0, 0] * np.arange(64)[:, None] + wave[0, 1] * np.arange(64)))
        here = found.waves[0] @ (16, 16)
        got = behind(made, x, y, plane, channel)[:, 16, 16] * np.exp(-1j * here)
        np.testing.assert_allclose(found.work()[0, :, channel], got, atol=1e-4)


def behind(made: onnx.ModelProto, source: str, value: str, plane: Array, channel: int) -> Array:
    """Return what a value is when its source is a plane of complex numbers in one channel, zero in the others."""
    part = onnx.ModelProto()
    part.CopyFrom(made)
    kept = [node for node in part.graph.node if source not in node.output]
    del part.graph.node[:]
    part.graph.node.extend(kept)
    part.graph.input.append(helper.make_tensor_value_info(source, TensorProto.FLOAT, [1, 8, 64, 64]))
    given = np.zeros((1, 8, 64, 64), np.complex128)
    given[0, channel] = plane
    real, imaginary = (evaluate(part, [value], {source: half.astype(np.float32)}) for half in (given.real, given.imag))
    return np.asarray(real[value][0] + 1j * imaginary[value][0])


def test_a_reshape_that_takes_channels_apart_ends_a_map() -> None:
    net = Net()
    t = net.op("Relu", tokens(net, first(net, net.weights(WIDTH, 3, 8, 8))))
    up = net.fc(net.fc(t, net.weights(WIDTH, 8)), net.weights(8, WIDTH))
    heads = net.op("Reshape", net.op("Identity", up), net.ints(-1, TOKENS, 2, WIDTH // 2))
    made = net.model(net.fc(net.op("Flatten", heads), net.weights(WIDTH * TOKENS, 8)))
    (model,) = traced(made, Feed(made, Path(), 1, DEFAULTS), 1, DEFAULTS)
    assert isinstance(model, TracedModel)
    (start,) = sources(model.structure, 8)
    (found,) = linear_maps(model.structure, [start], np.zeros((1, 2)), 4)
    assert (found.axis, found.channels, len(found.layers)) == (2, WIDTH, 2)
