"""Two networks in one that activations beside each other carry together: as sum and difference, or put side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from evaluation.case import BATCH_RULE
from pytest_facechallenge.analyses.implicit_batch.channel_selection import selected
from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.gather import traced
from pytest_facechallenge.analyses.implicit_batch.linear_maps import beside, linear_maps, sources
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import Net
from tests.analyses.implicit_batch.test_detector import answer

Array = npt.NDArray[Any]

WIDTH = 12


def model_of(net: Net, embedding: str) -> TracedModel:
    made = net.model(embedding)
    (model,) = traced(made, Feed(made, Path(), 1, DEFAULTS), 1, DEFAULTS)
    assert isinstance(model, TracedModel)
    return model


def even_and_odd(net: Net, *, mirrored: bool) -> str:
    """Carry sum and difference of a network and its mirrored form (or of two that mix) from layer to layer."""
    total, apart = net.x, net.op("Mul", net.x, net.const(0.0 if mirrored else 1.0))
    for w in net.body_weights((3, WIDTH, WIDTH, WIDTH)):
        other = w[..., ::-1]
        even, odd = ((w + other) / 2, (w - other) / 2) if mirrored else (net.weights(*w.shape), net.weights(*w.shape))
        again = (even, odd) if mirrored else (net.weights(*w.shape), net.weights(*w.shape))
        y = net.op("Add", net.conv(total, even, stride=2), net.conv(apart, odd, stride=2))
        z = net.op("Add", net.conv(total, again[1], stride=2), net.conv(apart, again[0], stride=2))
        a, b = net.op("Relu", net.op("Add", y, z)), net.op("Relu", net.op("Sub", y, z))
        total, apart = (net.op("Mul", net.op(kind, a, b), net.const(0.5)) for kind in ("Add", "Sub"))
    return net.fc(net.op("Flatten", total), net.weights(WIDTH * 16, 16))


def sum_and_difference(net: Net) -> str:
    return even_and_odd(net, mirrored=True)


def two_streams_that_mix(net: Net) -> str:
    return even_and_odd(net, mirrored=False)


def put_side_by_side(net: Net, turn: Array) -> str:
    """Two halves that are put together, turned by a matrix, taken apart and turned back by the next layer."""
    w = net.weights(WIDTH, 3, 4, 4)
    x = net.conv(net.x, np.concatenate([w, w[..., ::-1]]), stride=4, pads=[0] * 4)
    for w in net.body_weights((WIDTH, WIDTH, WIDTH)):
        pair = np.zeros((2, len(w), 2, *w.shape[1:]))
        pair[0, :, 0], pair[1, :, 1] = w, w[..., ::-1]
        halves = net.op("Split", net.op("Relu", x), outputs=2, axis=1)
        swapped = net.op("Concat", *halves[::-1], axis=1)
        y = net.conv(swapped, np.einsum("po,oihw->pihw", turn, pair.reshape(2 * WIDTH, -1, 3, 3)).astype(np.float32))
        x = net.conv(y, np.linalg.inv(turn).astype(np.float32)[..., None, None])
    return net.fc(net.op("Flatten", net.op("Relu", x)), net.weights(2 * WIDTH * 64, 16))


def halves_turned_and_turned_back(net: Net) -> str:
    return put_side_by_side(net, np.linalg.qr(net.random.standard_normal((2 * WIDTH, 2 * WIDTH)))[0])


def signs_of_one_layer(net: Net) -> str:
    """The parts above and below zero of one layer's results, which the next layer reads (CReLU)."""
    x = net.x
    for w in net.body_weights((3, WIDTH, WIDTH, WIDTH)):
        w = w if w.shape[1] == 3 else np.concatenate([w, net.weights(*w.shape)], 1)
        y = net.conv(x, w, stride=2)
        x = net.op("Concat", net.op("Relu", y), net.op("Relu", net.op("Neg", y)), axis=1)
    return net.fc(net.pool(x), net.weights(2 * WIDTH, 16))


@pytest.mark.parametrize("build", [sum_and_difference, halves_turned_and_turned_back])
def test_activations_that_carry_two_views_together_are_two_views(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.FAILED, outcome.message
    assert "which no layer shows by itself" in outcome.message
    assert "on the image mirrored" in outcome.message
    assert "confirmed: with the second part fed another image" in outcome.message


@pytest.mark.parametrize("build", [two_streams_that_mix, signs_of_one_layer])
def test_activations_that_mix_are_one_network(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.PASSED, outcome.message


def test_activations_of_one_shape_that_do_not_read_each_other_stand_beside_each_other() -> None:
    net = Net()
    first, second = (net.op("Relu", net.conv(net.x, net.weights(8, 3, 3, 3))) for _ in range(2))
    third = net.op("Sigmoid", net.conv(net.op("Add", first, second), net.weights(8, 8, 3, 3)))
    model = model_of(net, net.fc(net.pool(net.op("Tanh", third)), net.weights(8, 10)))
    found = list(sources(model.structure, 8))
    assert [[source.value for source in each] for each in beside(model.structure, found, 100)] == [[first, second]]
    assert list(beside(model.structure, found, 15)) == []


def test_a_map_from_two_activations_has_the_channels_of_both() -> None:
    net = Net(size=32)
    first, second = (net.op("Relu", net.conv(net.x, net.weights(8, 3, 3, 3))) for _ in range(2))
    mixing = net.weights(8, 16, 1, 1)
    once = net.op("Concat", net.op("Sub", first, second), net.op("Add", first, second), axis=1)
    kept = net.op("Gather", once, net.ints(3, 1, 9), axis=1)
    y = net.conv(net.conv(once, mixing), net.weights(9, 8, 1, 1))
    z = net.conv(net.conv(kept, net.weights(8, 3, 1, 1)), net.weights(8, 8, 1, 1))
    ends = (
        net.fc(net.pool(net.op(kind, x)), net.weights(width, 4))
        for kind, x, width in (("Sigmoid", y, 9), ("Tanh", z, 8))
    )
    model = model_of(net, net.op("Add", *ends))
    pair = [source for source in sources(model.structure, 8) if source.value in (first, second)]
    maps = {each.value: each for each in linear_maps(model.structure, pair, np.zeros((1, 2)), 4)}
    assert maps.keys() == {y, z}
    assert all(each.reached == {first, second} for each in maps.values())
    both = np.block([[np.eye(8), -np.eye(8)], [np.eye(8), np.eye(8)]])
    constants = [np.asarray(model.structure.constant(layer.weight))[..., 0, 0] for layer in maps[y].layers]
    np.testing.assert_allclose(maps[y].work()[0], constants[1] @ constants[0] @ both, atol=1e-5)
    constants = [np.asarray(model.structure.constant(layer.weight))[..., 0, 0] for layer in maps[z].layers]
    np.testing.assert_allclose(maps[z].work()[0], constants[1] @ constants[0] @ both[[3, 1, 9]], atol=1e-5)


SELECTIONS: dict[str, tuple[Callable[[Net, str], list[str]], list[list[int]]]] = {
    "split": (lambda net, x: list(net.op("Split", x, outputs=2, axis=-3)), [[0, 1, 2, 3], [4, 5, 6, 7]]),
    "slice": (lambda net, x: [net.op("Slice", x, net.ints(1), net.ints(-1), net.ints(1), net.ints(2))], [[1, 3, 5]]),
    "reversed": (
        lambda net, x: [net.op("Slice", x, net.ints(-1), net.ints(-(2**63) + 1), net.ints(1), net.ints(-1))],
        [[7, 6, 5, 4, 3, 2, 1, 0]],
    ),
    "without axes": (lambda net, x: [net.op("Slice", x, net.ints(0, 2), net.ints(9, 5))], [[2, 3, 4]]),
    "gather": (lambda net, x: [net.op("Gather", x, net.ints(5, 5, -1), axis=1)], [[5, 5, 7]]),
    "other side": (lambda net, x: [net.op("Slice", x, net.ints(0), net.ints(4), net.ints(2))], []),
    "rows reversed": (
        lambda net, x: [net.op("Slice", x, net.ints(-1), net.ints(-(2**63) + 1), net.ints(2), net.ints(-1))], []
    ),
    "gather of rows": (lambda net, x: [net.op("Gather", x, net.ints(0, 1), axis=2)], []),
    "split of rows": (lambda net, x: list(net.op("Split", x, outputs=2, axis=2)), []),
}  # fmt: skip


@pytest.mark.parametrize("name", SELECTIONS)
def test_which_channels_a_node_takes(name: str) -> None:
    build, expected = SELECTIONS[name]
    net = Net(size=8)
    x = net.op("Relu", net.conv(net.x, net.weights(8, 3, 3, 3)))
    taken = build(net, x)
    width = sum(len(each) for each in expected) or 8 * len(taken)
    pooled = net.op("Concat", *(net.op("GlobalAveragePool", y) for y in taken), axis=1)
    model = model_of(net, net.fc(net.op("Flatten", pooled), net.weights(width, 4)))
    node = model.structure.producer[taken[0]]
    assert [list(each) for each in selected(model.structure, node, 1, 8)] == expected
