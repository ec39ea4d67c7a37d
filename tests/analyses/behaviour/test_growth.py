"""Values that grow as a high power of what the image shows, and the images that make them infinite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from evaluation.graph_shows.network import WIDTH, Net
from pytest_facechallenge.analyses.behaviour.conditions import conditions
from pytest_facechallenge.analyses.behaviour.growth import POWER, growing
from pytest_facechallenge.core.facts.flow import ProbesFacts
from tests.analyses.behaviour.test_flow import graph_of, new
from tests.support.gathering import gather
from tests.support.models import save

Grown = Callable[[Net, str], str]


def squared(net: Net, x: str, times: int = 6) -> str:
    for _ in range(times):
        x = net.op("Mul", x, x)
    return x


def cubed(net: Net, x: str) -> str:
    return net.op("Pow", net.op("Pow", x, 8.0), 8.0)


def divided(net: Net, x: str) -> str:
    """As high a power over another: of the image's values to the 60th."""
    return net.op("Div", squared(net, x), net.op("Add", squared(net, x, 2), 1.0))


def bounded(net: Net, x: str) -> str:
    for _ in range(6):
        x = net.op("Tanh", net.op("Mul", x, x))
    return x


def rooted(net: Net, x: str) -> str:
    for _ in range(7):
        x = net.op("Sqrt", net.op("Abs", net.op("Mul", x, x)))
    return x


def normed(net: Net, x: str) -> str:
    for _ in range(7):
        square = net.op("Mul", x, x)
        x = net.op("Div", square, net.op("Add", net.op("ReduceMean", square, axes=[1], keepdims=1), 1e-3))
    return x


@pytest.mark.parametrize(
    ("grown", "found"),
    [
        (squared, 1),
        (cubed, 1),
        (divided, 1),
        (bounded, 0),
        (rooted, 0),
        (normed, 0),
        (lambda n, x: squared(n, x, 5), 0),
    ],
)
def test_the_last_node_of_a_high_power_is_found(grown: Grown, found: int) -> None:
    net, e = new()
    graph = graph_of(net, net.op("Add", net.op("Mul", grown(net, e), 0.5), 0.1))
    assert len(growing(graph)) == found
    assert [each.kind for each in conditions(graph) if each.op != "Sqrt"] == ["growth"] * found


def test_the_power_is_that_of_the_largest_number() -> None:
    assert 4.0**POWER > float(np.finfo(np.float32).max) > 3.9**POWER


def whitened(scale: float) -> onnx.ModelProto:
    """Return a network that adds one over the root of the light's variance, by Newton's iteration from one.

    It is right for variances below 3; ``scale`` is that of the variance.
    """
    net, e = new()
    light = net.mean(net.x, 1, keep=True)
    even = net.op("Sub", light, net.mean(light, 2, 3, keep=True))
    variance = net.op("Mul", net.mean(net.op("Mul", even, even), 2, 3), scale)
    root = net.op("Add", net.op("Mul", variance, 0.0), 1.0)
    for _ in range(9):
        cube = net.op("Mul", net.op("Mul", root, root), net.op("Mul", root, variance))
        root = net.op("Sub", net.op("Mul", root, 1.5), net.op("Mul", cube, 0.5))
    return net.model(net.op("Add", e, root), WIDTH)


@pytest.mark.parametrize(("scale", "infinite"), [(8.0, True), (2.0, False)])
def test_an_iteration_that_diverges_for_hard_light_is_seen_to(scale: float, infinite: bool, tmp_path: Path) -> None:
    facts = gather(save(whitened(scale), tmp_path / "model.onnx"), tmp_path, {"probes"})
    images = facts.need(ProbesFacts).images
    assert any(not image.finite for image in images) is infinite
    assert images
