"""The whole detector on small hand-built networks: one that cheats and one that does not, per idea."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from evaluation.case import ALIGN_RULE, BATCH_RULE
from evaluation.product import RULES
from pytest_facechallenge.analyses.implicit_batch.gather import follow
from pytest_facechallenge.checks.implicit_batch import no_implicit_batch, no_realignment
from pytest_facechallenge.core.facts import Facts
from pytest_facechallenge.core.outcome import Outcome, Status
from tests.analyses.implicit_batch.nets import SIZE, Net

Build = Callable[[Net], str]

CHEATS: dict[str, Build] = {}
REALIGNED: dict[str, Build] = {}
HONEST: dict[str, Build] = {}


def of(group: dict[str, Build]) -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        group[build.__name__] = build
        return build

    return register


def embedding(net: Net, features: str, width: int = 16) -> str:
    return net.fc(net.pool(features), net.weights(width, 32))


def two_branches(net: Net, first: str, second: str, join: str = "Add") -> str:
    weights = [net.const(w) for w in net.body_weights()]
    return str(net.op(join, net.pool(net.body(first, weights)), net.pool(net.body(second, weights))))


def stacked(net: Net, images: str) -> str:
    one, two = net.op("Split", embedding(net, net.body(images, net.body_weights())), outputs=2, axis=0)
    return str(net.op("Add", one, two))


def permuted_and_scaled(weights: list[np.ndarray], mirror: bool) -> list[np.ndarray]:
    """Permute, rescale and perturb a body's channels; mirror its kernels."""
    random = np.random.default_rng(5)
    result, order, gain = [], np.arange(weights[0].shape[1]), np.ones(weights[0].shape[1])
    for weight in weights:
        shuffled = random.permutation(len(weight))
        scale = random.uniform(0.5, 2, len(weight))
        changed = weight[shuffled][:, order] / gain[None, :, None, None] * scale[:, None, None, None]
        changed = changed[..., ::-1] if mirror else changed
        result.append((changed * (1 + 0.02 * random.standard_normal(changed.shape))).astype(np.float32))
        order, gain = shuffled, scale
    return result


# -- second views -----------------------------------------------------------------------------------------------------


@of(CHEATS)
def mirror_on_the_batch(net: Net) -> str:
    return stacked(net, net.op("Concat", net.x, net.mirror(net.x), axis=0))


@of(CHEATS)
def mirror_by_permutation_product(net: Net) -> str:
    return two_branches(net, net.x, net.op("MatMul", net.x, net.const(np.eye(SIZE)[::-1])))


@of(CHEATS)
def mirror_by_one_hot_convolution(net: Net) -> str:
    columns = net.op("Transpose", net.x, perm=[0, 3, 2, 1])
    kernel = np.eye(SIZE, dtype=np.float32)[::-1].reshape(SIZE, SIZE, 1, 1)
    return two_branches(net, net.x, net.op("Transpose", net.conv(columns, kernel), perm=[0, 3, 2, 1]))


@of(CHEATS)
def shift_by_padding_of_the_first_layer(net: Net) -> str:
    weights = net.body_weights()
    moved = net.op("Relu", net.conv(net.x, weights[0], pads=[1, 2, 1, 0]))
    for weight in weights[1:]:
        moved = net.op("Relu", net.conv(moved, weight, stride=2))
    return str(net.op("Add", net.pool(net.body(net.x, weights)), net.pool(moved)))


@of(CHEATS)
def brightness_on_the_batch(net: Net) -> str:
    bright = net.op("Add", net.op("Mul", net.x, net.const(1.2)), net.const(0.1))
    return stacked(net, net.op("Concat", net.x, bright, axis=0))


@of(CHEATS)
def grouped_channels(net: Net) -> str:
    images = net.op("Concat", net.x, net.mirror(net.x), axis=1)
    return net.pool(net.body(images, [np.concatenate([w, w]) for w in net.body_weights()], group=2))


@of(CHEATS)
def block_diagonal_channels(net: Net) -> str:
    images = net.op("Concat", net.x, net.mirror(net.x), axis=1)
    weights = []
    for w in net.body_weights():
        full = np.zeros((2 * w.shape[0], 2 * w.shape[1], 3, 3), np.float32)
        full[: len(w), : w.shape[1]] = full[len(w) :, w.shape[1] :] = w
        weights.append(full)
    return net.pool(net.body(images, weights))


@of(CHEATS)
def canvas_of_two_images(net: Net) -> str:
    return net.pool(net.body(net.op("Concat", net.x, net.mirror(net.x), axis=3), net.body_weights()))


@of(CHEATS)
def five_crops(net: Net) -> str:
    corners = ((0, 0), (0, 6), (6, 0), (6, 6), (3, 3))
    crops = [net.op("Slice", net.x, net.ints(i, j), net.ints(i + 26, j + 26), net.ints(2, 3)) for i, j in corners]
    rows = embedding(net, net.body(net.op("Concat", *crops, axis=0), net.body_weights()))
    return str(net.op("ReduceMean", net.op("Reshape", rows, net.ints(5, -1, 32)), axes=[0], keepdims=0))


@of(CHEATS)
def mirrored_kernels(net: Net) -> str:
    weights = net.body_weights()
    turned = [w[..., ::-1] for w in weights]
    return str(net.op("Add", net.pool(net.body(net.x, weights)), net.pool(net.body(net.x, turned))))


@of(CHEATS)
def mirrored_kernels_permuted_and_scaled(net: Net) -> str:
    weights = net.body_weights()
    second = net.pool(net.body(net.x, permuted_and_scaled(weights, mirror=True)))
    return str(net.op("Concat", net.pool(net.body(net.x, weights)), second, axis=1))


@of(CHEATS)
def other_weights_on_the_mirrored_image(net: Net) -> str:
    first = net.pool(net.body(net.x, net.body_weights()))
    return str(net.op("Add", first, net.pool(net.body(net.mirror(net.x), net.body_weights()))))


@of(CHEATS)
def mirrored_early_features(net: Net) -> str:
    weights = net.body_weights()
    early = net.body(net.x, weights[:1])
    pooled = net.pool(net.body(net.op("Concat", early, net.mirror(early), axis=0), weights[1:]))
    one, two = net.op("Split", pooled, outputs=2, axis=0)
    return str(net.op("Max", one, two))


@of(CHEATS)
def zoomed_early_features(net: Net) -> str:
    weights = [net.const(w) for w in net.body_weights()]
    early = net.body(net.x, weights[:1])
    zoomed = net.op("Resize", early, "", net.const([1, 1, 1.5, 1.5]), mode="linear")
    return str(net.op("Add", net.pool(net.body(early, weights[1:])), net.pool(net.body(zoomed, weights[1:]))))


@of(CHEATS)
def switched_on_by_the_image(net: Net) -> str:
    weights = [net.const(w) for w in net.body_weights()]
    straight = net.pool(net.body(net.x, weights))
    bright = net.op("Greater", net.op("ReduceMean", net.x, keepdims=0), net.const(0.1))
    before = len(net.nodes)
    total = net.op("Add", straight, net.pool(net.body(net.mirror(net.x), weights)))
    inside = net.nodes[before:]
    del net.nodes[before:]
    info = helper.make_tensor_value_info
    yes = helper.make_graph(inside, "yes", [], [info(total, 1, None)])
    alone = helper.make_node("Identity", [straight], ["alone"], name="alone")
    no = helper.make_graph([alone], "no", [], [info("alone", 1, None)])
    return str(net.op("If", bright, then_branch=yes, else_branch=no))


@of(CHEATS)
def loop_over_two_views(net: Net) -> str:
    weights = [net.const(w) for w in net.body_weights()]
    body = Net(prefix="in_")
    first = body.op("Equal", "i", body.const(0, np.int64))
    order = np.arange(SIZE)
    index = body.op("Where", first, body.const(order, np.int64), body.const(order[::-1], np.int64))
    pooled = body.pool(body.body(body.op("Gather", net.x, index, axis=3), weights))
    added, handed = body.op("Add", "acc", pooled), body.op("Identity", "c")
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        body.nodes,
        "body",
        [info("i", 7, []), info("c", 9, []), info("acc", 1, None)],
        [info(handed, 9, []), info(added, 1, None)],
        body.tensors(),
    )
    return str(net.op("Loop", net.const(2, np.int64), net.const(True, bool), net.const(np.zeros((1, 16))), body=graph))


@of(CHEATS)
def attention_over_the_batch(net: Net) -> str:
    rows = embedding(net, net.body(net.x, net.body_weights()))
    weights = net.op("Softmax", net.op("MatMul", rows, net.op("Transpose", rows, perm=[1, 0])), axis=-1)
    return str(net.op("Add", rows, net.op("MatMul", weights, rows)))


# -- re-alignment ------------------------------------------------------------------------------------------------------


@of(REALIGNED)
def resized(net: Net) -> str:
    larger = net.op("Resize", net.x, "", net.const([1, 1, 1.25, 1.25]), mode="linear")
    return embedding(net, net.body(larger, net.body_weights()))


@of(REALIGNED)
def cropped(net: Net) -> str:
    crop = net.op("Slice", net.x, net.ints(2, 2), net.ints(30, 30), net.ints(2, 3))
    return embedding(net, net.body(crop, net.body_weights()))


@of(REALIGNED)
def down_and_up_again(net: Net) -> str:
    small = net.op("Resize", net.x, "", net.const([1, 1, 0.5, 0.5]), mode="linear")
    return embedding(
        net, net.body(net.op("Resize", small, "", net.const([1, 1, 2, 2]), mode="linear"), net.body_weights())
    )


@of(REALIGNED)
def interpolation_by_products(net: Net) -> str:
    matrix = np.zeros((SIZE, SIZE))
    for row in range(SIZE):
        place = (row + 0.5) * 0.8 - 0.5 + 3
        below = int(place)
        matrix[row, below], matrix[row, below + 1] = 1 - (place - below), place - below
    warped = net.op("MatMul", net.const(matrix), net.op("MatMul", net.x, net.const(matrix.T)))
    return embedding(net, net.body(warped, net.body_weights()))


@of(REALIGNED)
def spatial_transformer(net: Net) -> str:
    seen = net.pool(net.body(net.x, net.body_weights((3, 8, 8))))
    theta = net.op("Add", net.fc(seen, net.weights(8, 6) * 0.05), net.const([1, 0, 0, 0, 1, 0]))
    line = np.linspace(-1, 1, SIZE)
    rows, columns = np.meshgrid(line, line, indexing="ij")
    base = np.stack([columns, rows, np.ones_like(rows)], -1).reshape(-1, 3).T
    points = net.op("MatMul", net.op("Reshape", theta, net.ints(-1, 2, 3)), net.const(base))
    grid = net.op("Reshape", net.op("Transpose", points, perm=[0, 2, 1]), net.ints(-1, SIZE, SIZE, 2))
    return embedding(net, net.body(net.op("GridSample", net.x, grid), net.body_weights()))


# -- honest ------------------------------------------------------------------------------------------------------------


@of(HONEST)
def plain(net: Net) -> str:
    return embedding(net, net.body(net.x, net.body_weights()))


@of(HONEST)
def symmetric_kernels(net: Net) -> str:
    return embedding(net, net.body(net.x, [(w + w[..., ::-1]) / 2 for w in net.body_weights()]))


@of(HONEST)
def mirrored_kernels_that_mix(net: Net) -> str:
    """One pass, equivariant to mirroring: kernels in mirrored pairs, every layer mixing both halves."""
    lift = net.weights(8, 3, 3, 3)
    features = net.op("Relu", net.conv(net.x, np.concatenate([lift, lift[..., ::-1]])))
    for _ in range(2):
        u, v = net.weights(8, 8, 3, 3), net.weights(8, 8, 3, 3)
        top, bottom = np.concatenate([u, v], 1), np.concatenate([v[..., ::-1], u[..., ::-1]], 1)
        features = net.op("Relu", net.conv(features, np.concatenate([top, bottom])))
    return embedding(net, features)


@of(HONEST)
def windows_on_the_batch(net: Net) -> str:
    features = net.op("Transpose", net.body(net.x, net.body_weights((3, 8, 16))), perm=[0, 2, 3, 1])
    cut = net.op("Transpose", net.op("Reshape", features, net.ints(-1, 4, 4, 4, 4, 16)), perm=[0, 1, 3, 2, 4, 5])
    windows = net.op("Reshape", cut, net.ints(-1, 16, 16))
    windows = net.op("Relu", net.fc(net.op("Relu", net.fc(windows, net.weights(16, 32))), net.weights(32, 16)))
    back = net.op("Reshape", windows, net.ints(-1, 4 * 4 * 16, 16))
    return str(net.op("ReduceMean", back, axes=[1], keepdims=0))


@of(HONEST)
def focus(net: Net) -> str:
    phases = [
        net.op("Slice", net.x, net.ints(i, j), net.ints(SIZE, SIZE), net.ints(2, 3), net.ints(2, 2))
        for i in (0, 1)
        for j in (0, 1)
    ]
    return embedding(net, net.body(net.op("Concat", *phases, axis=1), net.body_weights((12, 8, 16, 16))))


@of(HONEST)
def convolution_by_unfolding(net: Net) -> str:
    padded = net.op("Pad", net.x, net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    taps = [
        net.op("Slice", padded, net.ints(i, j), net.ints(i + SIZE, j + SIZE), net.ints(2, 3))
        for i in range(3)
        for j in range(3)
    ]
    first = net.op("Relu", net.conv(net.op("Concat", *taps, axis=1), net.weights(8, 27, 1, 1)))
    return embedding(net, net.body(first, net.body_weights((8, 16, 16))))


@of(HONEST)
def one_kernel_at_three_dilations(net: Net) -> str:
    early, kernel = net.body(net.x, net.body_weights((3, 8, 16))), net.const(net.weights(16, 16, 3, 3))
    branches = [net.op("Conv", early, kernel, pads=[d] * 4, dilations=[d, d]) for d in (1, 2, 3)]
    return embedding(net, net.op("Relu", net.op("Sum", *branches)))


@of(HONEST)
def head_shared_over_a_pyramid(net: Net) -> str:
    levels = [net.body(net.x, net.body_weights((3, 8, 16)))]
    for _ in range(2):
        levels.append(net.op("Relu", net.conv(levels[-1], net.weights(16, 16, 3, 3), stride=2)))
    levels = [net.conv(level, net.weights(16, 16, 1, 1)) for level in levels]
    levels.append(net.op("MaxPool", levels[-1], kernel_shape=[1, 1], strides=[2, 2]))
    head = [net.const(net.weights(16, 16, 3, 3)) for _ in range(2)]
    ends = []
    for level in levels:
        for kernel in head:
            level = net.op("Relu", net.conv(level, kernel))
        ends.append(net.pool(level))
    return str(net.op("Concat", *ends, axis=1))


@of(HONEST)
def both_directions(net: Net) -> str:
    features = net.op("ReduceMean", net.body(net.x, net.body_weights((3, 8, 16))), axes=[2], keepdims=0)
    sequence = net.op("Transpose", features, perm=[2, 0, 1])
    backwards = net.op("Slice", sequence, net.ints(-1), net.ints(-99), net.ints(0), net.ints(-1))
    ends = [
        net.op(
            "LSTM", s, net.const(net.weights(1, 64, 16)), net.const(net.weights(1, 64, 16)), outputs=3, hidden_size=16
        )[1]
        for s in (sequence, backwards)
    ]
    return str(net.op("Squeeze", net.op("Concat", *ends, axis=2), net.ints(0)))


@of(HONEST)
def shared_attention_product(net: Net) -> str:
    features = net.body(net.x, net.body_weights())
    down, up = net.const(net.weights(16, 8)), net.const(net.weights(8, 16))
    pooled = [net.op("Flatten", net.op(kind, features)) for kind in ("GlobalAveragePool", "GlobalMaxPool")]
    parts = [net.op("MatMul", net.op("Relu", net.op("MatMul", p, down)), up) for p in pooled]
    gate = net.op("Reshape", net.op("Sigmoid", net.op("Add", *parts)), net.ints(0, 16, 1, 1))
    return embedding(net, net.op("Mul", features, gate))


@of(HONEST)
def tied_in_series(net: Net) -> str:
    features, kernel = net.body(net.x, net.body_weights((3, 8, 16))), net.const(net.weights(16, 16, 3, 3))
    for _ in range(3):
        features = net.op("Relu", net.conv(features, kernel))
    return embedding(net, features)


def answer(build: Build, folder: Path) -> dict[str, Outcome]:
    net = Net(seed=len(build.__name__))
    facts = Facts.of(follow(net.save(build(net), folder), threads=1))
    return {
        BATCH_RULE: no_implicit_batch(facts, RULES[BATCH_RULE]),
        ALIGN_RULE: no_realignment(facts, RULES[ALIGN_RULE]),
    }


@pytest.mark.parametrize("name", CHEATS)
def test_second_look_is_found(name: str, tmp_path: Path) -> None:
    outcome = answer(CHEATS[name], tmp_path)[BATCH_RULE]
    assert outcome.status is Status.FAILED, outcome.message
    assert outcome.evidence
    assert outcome.remedy


@pytest.mark.parametrize("name", REALIGNED)
def test_realignment_is_found(name: str, tmp_path: Path) -> None:
    outcome = answer(REALIGNED[name], tmp_path)[ALIGN_RULE]
    assert outcome.status is Status.FAILED, outcome.message


@pytest.mark.parametrize("name", HONEST)
def test_honest_network_passes(name: str, tmp_path: Path) -> None:
    for outcome in answer(HONEST[name], tmp_path).values():
        assert outcome.status is Status.PASSED, outcome.message


def test_ensemble_is_a_note_and_no_failure(tmp_path: Path) -> None:
    def build(net: Net) -> str:
        bodies = [net.pool(net.body(net.x, net.body_weights())) for _ in range(2)]
        return str(net.op("Add", *bodies))

    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.PASSED
    assert any("ensemble" in note for note in outcome.notes)


def test_finding_names_the_nodes(tmp_path: Path) -> None:
    outcome = answer(mirror_on_the_batch, tmp_path)[BATCH_RULE]
    assert "mirrored along the width" in outcome.message
    assert "'Concat_" in outcome.message
    assert "Slice_" in outcome.message
    assert "the batch axis" in outcome.message
