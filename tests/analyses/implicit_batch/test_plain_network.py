"""Chains in which versions of the image have nowhere to stay apart, and each thing that makes a network none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pytest_facechallenge.analyses.implicit_batch import equivariant_features
from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.gather import traced
from pytest_facechallenge.analyses.implicit_batch.plain_network import is_plain
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from tests.analyses.implicit_batch.nets import SIZE, Net

#: What is put between the two halves of a chain: (net, a map of 8 channels, the map behind the first layer) -> a map.
Between = Callable[[Net, str, str], str]
BLOCKS, WIDTH = 12, 8


def block(net: Net, x: str) -> str:
    """Write a residual block with PRelu, BatchNormalization, and a gate for each channel."""
    y = net.op("PRelu", net.conv(x, net.weights(WIDTH, WIDTH, 3, 3)), net.const(np.full((WIDTH, 1, 1), 0.25)))
    y = net.conv(y, net.weights(WIDTH, WIDTH, 3, 3))
    y = net.op("BatchNormalization", y, *(np.ones(WIDTH, np.float32) for _ in range(4)))
    gate = net.conv(net.op("GlobalAveragePool", y), net.weights(4, WIDTH, 1, 1))
    gate = net.op("Sigmoid", net.conv(net.op("Relu", gate), net.weights(WIDTH, 4, 1, 1)))
    return str(net.op("Add", x, net.op("Mul", y, gate)))


def chain(between: Between | None = None, *, kernels: Callable[[np.ndarray], np.ndarray] | None = None) -> TracedModel:
    """Build a chain of blocks, with something between its halves, and trace it."""
    net = Net()
    first = net.weights(WIDTH, 3, 3, 3)
    x = early = net.op("Relu", net.conv("image", first if kernels is None else kernels(first)))
    for number in range(BLOCKS):
        if number == BLOCKS // 2 and between is not None:
            x = between(net, x, early)
        x = block(net, x)
    x = net.conv(x, net.weights(WIDTH, 1, 3, 3), group=WIDTH, stride=2)
    x = net.op("MaxPool", net.conv(x, net.weights(16, WIDTH, 1, 1)), kernel_shape=[2, 2], strides=[2, 2])
    rows = net.op("Flatten", x)
    return trace(net, net.op("LpNormalization", net.fc(rows, net.weights(32, 16 * (SIZE // 4) ** 2).T.copy()), axis=1))


def trace(net: Net, output: str) -> TracedModel:
    made = net.model(output)
    (found,) = traced(made, Feed(made, Path(), 1, DEFAULTS), 1, DEFAULTS)
    assert isinstance(found, TracedModel)
    return found


def apart(net: Net, x: str, _early: str) -> str:
    weights = net.weights(WIDTH, WIDTH, 3, 3)
    weights[:4, 4:] = weights[4:, :4] = 0
    return net.conv(x, weights)


def weakly_coupled(net: Net, x: str, _early: str) -> str:
    weights = net.weights(WIDTH, WIDTH, 3, 3)
    weights[:4, 4:] *= 1e-3
    weights[4:, :4] *= 1e-3
    return net.conv(x, weights)


def grouped(net: Net, x: str, _early: str) -> str:
    return net.conv(x, net.weights(WIDTH, 4, 3, 3), group=2)


def sliced_and_joined(net: Net, x: str, _early: str) -> str:
    return str(net.op("Concat", *net.op("Split", x, outputs=2, axis=1)[::-1], axis=1))


def turned(net: Net, x: str, _early: str) -> str:
    return str(net.op("Transpose", x, perm=[0, 1, 3, 2]))


def mirrored(net: Net, x: str, _early: str) -> str:
    return net.mirror(x)


def rearranged(net: Net, x: str, _early: str) -> str:
    y = net.op("Reshape", x, net.ints(-1, WIDTH, SIZE * 2, SIZE // 2))
    return str(net.op("Reshape", y, net.ints(-1, WIDTH, SIZE, SIZE)))


def product_along_the_width(net: Net, x: str, _early: str) -> str:
    return net.fc(x, net.weights(SIZE, SIZE))


def weighted_by_place(net: Net, x: str, _early: str) -> str:
    return str(net.op("Mul", x, net.const(net.random.uniform(0, 1, (1, 1, SIZE, SIZE)))))


def wide_kernel(net: Net, x: str, _early: str) -> str:
    return net.conv(x, net.weights(WIDTH, WIDTH, 17, 17))


def spread_kernel(net: Net, x: str, _early: str) -> str:
    return net.conv(x, net.weights(WIDTH, WIDTH, 3, 3), dilations=[8, 8], pads=[8] * 4)


def first_features_again(net: Net, x: str, early: str) -> str:
    return str(net.op("Add", x, early))


def image_again(net: Net, x: str, _early: str) -> str:
    return str(net.op("Add", x, net.conv("image", net.weights(WIDTH, 3, 3, 3))))


def two_streams(net: Net, x: str, _early: str) -> str:
    sides = [net.op("Relu", net.conv(x, net.weights(WIDTH, WIDTH, 1, 1))) for _ in range(2)]
    return str(net.op("Add", *(net.conv(side, net.weights(WIDTH, WIDTH, 1, 1)) for side in sides)))


def weighed_by_a_map(net: Net, x: str, _early: str) -> str:
    return str(net.op("Mul", x, net.op("Sigmoid", net.conv(x, net.weights(1, WIDTH, 3, 3)))))


def two_sides_of_one_layer(net: Net, x: str, _early: str) -> str:
    return str(net.op("Add", net.conv(x, net.weights(WIDTH, WIDTH, 1, 1)), net.op("Relu", x)))


def test_a_chain_is_plain() -> None:
    assert is_plain(chain(), DEFAULTS)
    assert is_plain(chain(two_sides_of_one_layer), DEFAULTS)


@pytest.mark.parametrize(
    "between",
    [
        apart,
        weakly_coupled,
        grouped,
        sliced_and_joined,
        turned,
        mirrored,
        rearranged,
        product_along_the_width,
        weighted_by_place,
        wide_kernel,
        spread_kernel,
        first_features_again,
        image_again,
        two_streams,
        weighed_by_a_map,
    ],
    ids=lambda between: between.__name__,
)
def test_what_makes_it_none(between: Between) -> None:
    assert not is_plain(chain(between), DEFAULTS)


def test_nothing_is_found_in_a_plain_chain_by_running_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where half of the first filters are the other half mirrored."""
    model = chain(kernels=lambda first: np.concatenate([first[:4], first[:4, ..., ::-1]]))
    assert is_plain(model, DEFAULTS)
    assert equivariant_features.observe(model, DEFAULTS) == []
    monkeypatch.setattr(equivariant_features, "is_plain", lambda *_: False)
    assert equivariant_features.observe(model, DEFAULTS) == []


def test_a_plain_chain_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    model = chain()
    monkeypatch.setattr(equivariant_features, "measure", lambda *_: pytest.fail("it was run on changed images"))
    assert equivariant_features.observe(model, DEFAULTS) == []
