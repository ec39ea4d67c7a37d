"""Second views that leave no copy of the image and no weights in common, and the honest networks most like them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import helper

from evaluation.case import ALIGN_RULE, BATCH_RULE
from pytest_facechallenge.analyses.implicit_batch.channel_partition import Statistics
from pytest_facechallenge.analyses.implicit_batch.equivariant_channels import agreeing_channels, components
from pytest_facechallenge.analyses.implicit_batch.force_selection import select_everything
from pytest_facechallenge.analyses.implicit_batch.image_transforms import colour_changes, moved_kernels
from pytest_facechallenge.analyses.implicit_batch.layer_index import Structure
from pytest_facechallenge.analyses.implicit_batch.runner import Held
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.implicit_batch.tied_rnn_directions import tied
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.onnx_graph.ir import from_model
from tests.analyses.implicit_batch.nets import SIZE, Net
from tests.analyses.implicit_batch.test_detector import answer, embedding, permuted_and_scaled, stacked

Array = npt.NDArray[np.float32]


def two_in_one(net: Net, *, noise: float, second: Callable[[Array], Array]) -> str:
    """Build one wide network of two narrow ones, channels shuffled, with noise where there are no kernels."""
    x, before = net.x, np.arange(3)
    for index, w in enumerate(net.body_weights((3, 8, 12, 16))):
        both = np.zeros((2, len(w), 2, *w.shape[1:]), np.float32)
        both[0, :, 0], both[1, :, 1] = w, second(w)
        wide = both.sum(2) if index == 0 else both.reshape(2, len(w), -1, 3, 3)
        order = net.random.permutation(2 * len(w))
        wide = wide.reshape(2 * len(w), -1, 3, 3)[order][:, before]
        wide = wide + noise * net.random.standard_normal(wide.shape).astype(np.float32)
        x, before = net.op("Relu", net.conv(x, wide, stride=2 if index else 1)), order
    return net.pool(x)


def mirrored(w: Array) -> Array:
    return w[..., ::-1]


def hidden_channels(net: Net) -> str:
    return two_in_one(net, noise=1e-4, second=mirrored)


def two_networks_in_hidden_channels(net: Net) -> str:
    return two_in_one(net, noise=1e-4, second=lambda w: net.weights(*w.shape))


def mirrored_channels_that_mix(net: Net) -> str:
    return two_in_one(net, noise=0.3, second=mirrored)


def dense_pair(net: Net, matrix: npt.NDArray[np.float64]) -> str:
    turn = np.linalg.qr(net.random.standard_normal((SIZE, SIZE)))[0]
    return net.fc(net.fc(net.x, net.const(matrix @ turn)), net.const(turn.T))


def mirror_by_dense_products(net: Net) -> str:
    return stacked(net, net.op("Concat", net.x, dense_pair(net, np.eye(SIZE)[::-1]), axis=0))


def moved_by_dense_products(net: Net) -> str:
    """Scale the columns by 0.8 with two matrices, neither of which is an interpolation."""
    matrix = np.zeros((SIZE, SIZE))
    for column in range(SIZE):
        place = (column - SIZE / 2) * 0.8 + SIZE / 2
        below = int(place)
        matrix[below, column] += 1 - (place - below)
        matrix[min(below + 1, SIZE - 1), column] += place - below
    return embedding(net, net.body(dense_pair(net, matrix), net.body_weights()))


def depthwise_first(net: Net) -> str:
    features = net.conv(net.x, net.weights(3, 1, 3, 3), group=3)
    return embedding(net, net.body(features, net.body_weights()))


def tinted_rows(net: Net) -> str:
    """Give a second bank of first kernels other gains for the colours, and both to one body."""
    first, *rest = net.body_weights()
    tint = np.array([1.3, 1.0, 0.7], np.float32).reshape(1, 3, 1, 1)
    early = net.op("Relu", net.conv(net.x, np.concatenate([first, first * tint])))
    pooled = embedding(net, net.body(net.op("Reshape", early, net.ints(-1, 8, SIZE, SIZE)), rest))
    return str(net.op("ReduceMean", net.op("Reshape", pooled, net.ints(-1, 2, 32)), axes=[1], keepdims=0))


def rows_of_own_kernels(net: Net) -> str:
    first, *rest = net.body_weights()
    early = net.op("Relu", net.conv(net.x, np.concatenate([first, net.weights(*first.shape)])))
    pooled = embedding(net, net.body(net.op("Reshape", early, net.ints(-1, 8, SIZE, SIZE)), rest))
    return str(net.op("ReduceMean", net.op("Reshape", pooled, net.ints(-1, 2, 32)), axes=[1], keepdims=0))


def tied_recurrence(net: Net, second: Callable[[Array], Array]) -> str:
    width = 24
    columns = net.op("Reshape", net.op("Transpose", net.x, perm=[3, 0, 1, 2]), net.ints(SIZE, -1, 3 * SIZE))
    w, r = net.weights(3 * width, 3 * SIZE), net.weights(3 * width, width)
    order = net.random.permutation(width)
    gates = np.concatenate([order + k * width for k in range(3)])
    pair = [np.stack([w, second(w)[gates]]), np.stack([r, second(r)[gates][:, order]])]
    ends = net.op("GRU", columns, *map(net.const, pair), outputs=2, direction="bidirectional", hidden_size=width)[1]
    return str(net.op("ReduceSum", ends, net.ints(0), keepdims=0))


def tied_both_ways(net: Net) -> str:
    return tied_recurrence(net, lambda w: w)


def own_weights_both_ways(net: Net) -> str:
    return tied_recurrence(net, lambda w: net.weights(*w.shape))


def selected_rows_again(net: Net) -> str:
    """Run the images whose embedding is short through the body again, mirrored: none of the probes is one."""
    weights = [net.const(w) for w in net.body_weights()]
    once = net.pool(net.body(net.x, weights))
    short = net.op("Less", net.op("ReduceL2", once, axes=[1], keepdims=0), net.const(0.01))
    rows = net.op("Transpose", net.op("NonZero", short), perm=[1, 0])
    blank = net.op("Mul", net.op("Slice", net.x, net.ints(0), net.ints(1), net.ints(0)), net.const(0.0))
    again = net.op("Concat", net.mirror(net.op("GatherND", net.x, rows)), blank, axis=0)
    again = net.op("Slice", net.pool(net.body(again, weights)), net.ints(0), net.ints(-1), net.ints(0))
    return str(net.op("ScatterND", once, rows, net.op("Add", net.op("GatherND", once, rows), again)))


def recurrence_fed_in_turn(net: Net) -> str:
    """Feed one tied layer the features of the image and of its mirror image in turn."""
    first, inner = net.weights(16, 3, 4, 4), net.const(net.weights(16, 16, 3, 3))
    one = net.op("Conv", net.x, net.const(first), strides=[4, 4])
    other = net.op("Conv", net.x, net.const(mirrored(first)), strides=[4, 4])
    other = net.fc(other, net.const(np.eye(SIZE // 4)[::-1]))
    state = one
    for fed in (other, one, other):
        state = net.op("Tanh", net.conv(net.op("Add", net.op("Mul", state, net.const(0.5)), fed), inner))
    return embedding(net, state, 16)


def recurrence_fed_the_same(net: Net) -> str:
    inner = net.const(net.weights(16, 16, 3, 3))
    one = state = net.op("Conv", net.x, net.const(net.weights(16, 3, 4, 4)), strides=[4, 4])
    for _ in range(3):
        state = net.op("Tanh", net.conv(net.op("Add", net.op("Mul", state, net.const(0.5)), one), inner))
    return embedding(net, state, 16)


def pooled_vector_spread_out(net: Net) -> str:
    """Put a pooled vector beside the features at every place, as in a pyramid of dilated layers."""
    features = net.body(net.x, net.body_weights((3, 8, 16)))
    spread = net.op("Expand", net.op("GlobalAveragePool", features), net.op("Shape", features))
    both = net.op("Concat", features, net.op("Relu", net.conv(spread, net.weights(16, 16, 1, 1))), axis=1)
    return embedding(net, net.body(both, net.body_weights((32, 16))))


def orders_with_own_weights(net: Net) -> str:
    """Read the features in two orders, each with its own layer, both layers in one product."""
    features = net.op("Reshape", net.body(net.x, net.body_weights((3, 8, 16))), net.ints(0, 1, 16, -1))
    back = net.mirror(features)
    fed = net.op("MatMul", net.const(net.weights(2, 16, 16)), net.op("Concat", features, back, axis=1))
    total = net.op("CumSum", net.op("Relu", fed), net.const(3, np.int64))
    ends = net.op("ReduceMean", net.op("MatMul", net.const(net.weights(2, 16, 16)), total), axes=[3], keepdims=0)
    return str(net.op("Flatten", ends))


def centred(net: Net, rows: str) -> str:
    return str(net.op("Sub", rows, net.op("ReduceMean", rows, axes=[0], keepdims=1)))


def batch_size(net: Net) -> str:
    return str(net.op("Gather", net.op("Shape", net.x), net.const(0, np.int64), axis=0))


def centred_in_batches_of_a_thousand(net: Net) -> str:
    rows = embedding(net, net.body(net.x, net.body_weights()))
    many = net.op("Greater", batch_size(net), net.const(1000, np.int64))
    before = len(net.nodes)
    apart = centred(net, rows)
    inside = net.nodes[before:]
    del net.nodes[before:]
    info = helper.make_tensor_value_info
    yes = helper.make_graph(inside, "yes", [], [info(apart, 1, None)])
    no = helper.make_graph([helper.make_node("Identity", [rows], ["alone"])], "no", [], [info("alone", 1, None)])
    return str(net.op("If", many, then_branch=yes, else_branch=no))


def centred_in_batches_of_a_hundred(net: Net) -> str:
    rows = embedding(net, net.body(net.x, net.body_weights()))
    many = net.op("Greater", batch_size(net), net.const(100, np.int64))
    return str(net.op("Where", many, centred(net, rows), rows))


def second_branch_that_waits(net: Net) -> str:
    """Mirror the kernels of a second branch, shuffle its channels, and let its image depend on the first answer."""
    weights = net.body_weights()
    first = net.pool(net.body(net.x, weights))
    answer_of_the_first = net.op("ReduceMean", first, axes=[1], keepdims=1)
    waiting = net.op("Mul", net.op("Reshape", answer_of_the_first, net.ints(-1, 1, 1, 1)), net.const(1e-6))
    second = net.pool(net.body(net.op("Add", net.x, waiting), permuted_and_scaled(weights, mirror=True)))
    return str(net.op("Concat", first, second, axis=1))


def at_its_own_brightness(net: Net) -> str:
    centre = net.op("Sub", net.x, net.op("ReduceMean", net.x, axes=[1, 2, 3], keepdims=1))
    spread = net.op("Sqrt", net.op("ReduceMean", net.op("Mul", centre, centre), axes=[1, 2, 3], keepdims=1))
    return str(net.op("Div", centre, net.op("Add", spread, net.const(1e-5))))


def normalised_and_scaled(net: Net) -> str:
    """Scale the image about its centre, behind a normalisation that takes the level out of every probe."""
    larger = net.op("Resize", at_its_own_brightness(net), "", net.const([1, 1, 1.25, 1.25]), mode="linear")
    middle = net.op("Slice", larger, net.ints(4, 4), net.ints(4 + SIZE, 4 + SIZE), net.ints(2, 3))
    return embedding(net, net.body(middle, net.body_weights()))


def normalised(net: Net) -> str:
    return embedding(net, net.body(at_its_own_brightness(net), net.body_weights()))


SECOND_VIEWS = (
    second_branch_that_waits,
    centred_in_batches_of_a_thousand, centred_in_batches_of_a_hundred,
    hidden_channels, mirror_by_dense_products, tinted_rows, tied_both_ways, selected_rows_again, recurrence_fed_in_turn,
)  # fmt: skip
HONEST = (
    normalised,
    two_networks_in_hidden_channels, mirrored_channels_that_mix, depthwise_first, rows_of_own_kernels,
    own_weights_both_ways, recurrence_fed_the_same, pooled_vector_spread_out, orders_with_own_weights,
)  # fmt: skip


@pytest.mark.parametrize("build", SECOND_VIEWS, ids=lambda build: build.__name__)
def test_hidden_second_view_is_found(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.FAILED, outcome.message


@pytest.mark.parametrize("build", [moved_by_dense_products, normalised_and_scaled], ids=lambda build: build.__name__)
def test_hidden_warp_is_found(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[ALIGN_RULE]
    assert outcome.status is Status.FAILED, outcome.message


@pytest.mark.parametrize("build", HONEST, ids=lambda build: build.__name__)
def test_honest_likeness_passes(build: Callable[[Net], str], tmp_path: Path) -> None:
    for outcome in answer(build, tmp_path).values():
        assert outcome.status is Status.PASSED, outcome.message


@pytest.mark.parametrize("apart", [0.003, 0.03, 0.3])
def test_network_that_is_nearly_blind_to_mirroring_passes(apart: float, tmp_path: Path) -> None:
    """Training on mirrored images makes such kernels: what they miss to be symmetric is a part of what they are."""

    def build(net: Net) -> str:
        features = net.x
        for index, w in enumerate(net.body_weights((3, 16, 24, 32, 32))):
            even = (w + mirrored(w)) / 2
            kernel = (even + apart * (w - even)).astype(np.float32)
            features = net.op("Relu", net.conv(features, kernel, stride=1 + (index % 2 == 0)))
            gate = net.conv(net.op("GlobalAveragePool", features), net.weights(len(w), len(w), 1, 1))
            features = net.op("Mul", features, net.op("Sigmoid", gate))
        return net.pool(features)

    for outcome in answer(build, tmp_path).values():
        assert outcome.status is Status.PASSED, outcome.message


def test_nothing_told_apart_is_undecided(tmp_path: Path) -> None:
    """The same features twice, told apart only by a mask: a crop, or a waste of time."""

    def build(net: Net) -> str:
        tokens = net.op("Transpose", net.op("Reshape", net.x, net.ints(0, 1, 3 * SIZE, SIZE)), perm=[0, 1, 3, 2])
        twice = net.op("Expand", tokens, net.ints(1, 2, 1, 1))
        deep = net.op("Relu", net.fc(net.op("Relu", net.fc(twice, net.weights(3 * SIZE, 64))), net.weights(64, 16)))
        mask = np.ones((1, 2, SIZE, 1))
        mask[0, 1, SIZE // 2 :] = 0
        return str(net.op("ReduceSum", net.op("Mul", deep, net.const(mask)), net.ints(1, 2), keepdims=0))

    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.UNDECIDED
    assert "Expand_" in outcome.message
    assert outcome.remedy


def test_selection_that_cannot_be_forced_is_told(tmp_path: Path) -> None:
    """One chosen place fills one slot: with all places chosen the model does not run."""

    def build(net: Net) -> str:
        rows = embedding(net, net.body(net.x, net.body_weights()))
        flat = net.op("Reshape", rows, net.ints(-1))
        largest = net.op("TopK", flat, net.ints(3), outputs=2, axis=0)[0]
        chosen = net.op("NonZero", net.op("Equal", flat, net.op("ReduceMax", largest, keepdims=0)))
        value = net.op("Reshape", net.op("Gather", flat, chosen), net.ints(1, 1))
        return str(net.op("Mul", rows, value))

    outcome = answer(build, tmp_path)[ALIGN_RULE]
    assert outcome.status is Status.UNDECIDED
    assert "with everything selected the runtime does not run the model" in outcome.message


def test_components_follow_chains_of_shared_inputs() -> None:
    matrix = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0.001, 1], [0, 0, 0, 1]], np.float32)
    label = components(matrix, DEFAULTS)
    assert label[0] == label[1]
    assert label[2] == label[3]
    assert label[0] != label[2]


def structure(net: Net, output: str) -> Structure:
    graph = from_model(net.model(output), Path())
    survey = {name: Held.of(np.zeros((1, 1, 1, 1), np.float32)) for node in graph.nodes for name in node.outputs}
    return Structure(graph, survey | {net.x: Held.of(np.zeros((1, 3, SIZE, SIZE), np.float32))}, net.x, DEFAULTS)


def first_layer(kernels: Array) -> Structure:
    net = Net()
    return structure(net, net.conv(net.x, kernels))


def test_kernels_moved_within_their_window_are_noticed() -> None:
    net = Net()
    small = net.weights(6, 3, 3, 3)
    places = np.zeros((2, 6, 3, 7, 7), np.float32)
    places[0, ..., 2:5, 2:5] = places[1, ..., 2:5, 0:3] = small
    moved, own = first_layer(places.reshape(12, 3, 7, 7)), first_layer(net.weights(12, 3, 7, 7))
    assert moved_kernels(moved, moved.layers[0], DEFAULTS)
    assert not moved_kernels(own, own.layers[0], DEFAULTS)


def test_colour_mix_between_kernel_banks_is_recovered() -> None:
    net = Net()
    bank, grey = net.weights(8, 3, 5, 5), np.full((3, 3), [0.299, 0.587, 0.114])
    mixed = np.einsum("oihw,ij->ojhw", bank, grey).astype(np.float32)
    found = first_layer(np.concatenate([bank, mixed]))
    (candidate,) = colour_changes(found, found.layers, DEFAULTS)
    image = net.random.random((1, 3, 4, 4))
    assert np.allclose(candidate.change(image), np.einsum("ij,njhw->nihw", grey, image), atol=1e-6)
    for others in (net.weights(8, 3, 5, 5), 2 * bank):
        plain = first_layer(np.concatenate([bank, others]))
        assert colour_changes(plain, plain.layers, DEFAULTS) == []


def test_tied_units_are_found_in_any_order() -> None:
    units = np.random.default_rng(0).standard_normal((16, 24))
    assert tied(units, units[::-1], DEFAULTS)
    assert not tied(units, np.random.default_rng(1).standard_normal((16, 24)), DEFAULTS)
    assert not tied(np.zeros((0, 0)), np.zeros((0, 0)), DEFAULTS)


def test_selection_is_forced_only_where_the_image_selects() -> None:
    net = Net()
    net.op("NonZero", net.op("Greater", net.x, net.const(0.5)))
    forced = select_everything(net.model(net.pool(net.x)), net.x)
    assert forced is not None
    assert [node.op_type for node in forced.graph.node][:4] == ["Greater", "Shape", "ConstantOfShape", "NonZero"]
    assert forced.graph.node[3].input[0] == forced.graph.node[2].output[0]
    constant = Net()
    constant.op("NonZero", constant.const([1.0, 0.0]))
    assert select_everything(constant.model(constant.pool(constant.x)), constant.x) is None


def statistics(numbers: npt.NDArray[Any]) -> Statistics:
    return Statistics.of(numbers[0], numbers[1], DEFAULTS)


@pytest.mark.parametrize("channels", [64, 4096])
def test_repeated_channels_are_found_among_very_many(channels: int) -> None:
    random = np.random.default_rng(4)
    half = random.standard_normal((2, 24, 1, channels // 2))
    turned = random.standard_normal((2, 24, 1, channels // 2))
    plain = statistics(np.concatenate([half, turned], axis=-1))
    changed = statistics(np.concatenate([turned, half], axis=-1))
    pairs = agreeing_channels(plain, changed, DEFAULTS)
    assert len(pairs) == min(channels, DEFAULTS.equivariance.sample)
    assert all(abs(one - other) == channels // 2 for one, other in pairs)
    unrelated = statistics(random.standard_normal((2, 24, 1, channels)))
    assert not agreeing_channels(plain, unrelated, DEFAULTS)
