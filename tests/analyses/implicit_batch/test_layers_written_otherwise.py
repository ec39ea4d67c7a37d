"""One layer written as several, on parts of the image or tap by tap, is one look; a soft look upside down is not."""

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


def cut(net: Net, x: str, rows: tuple[int, int], columns: tuple[int, int], step: int = 1) -> str:
    starts, ends = (net.ints(rows[at], columns[at]) for at in (0, 1))
    return str(net.op("Slice", x, starts, ends, net.ints(2, 3), net.ints(step, step)))


def rest(net: Net, features: str, width: int) -> str:
    return net.fc(net.pool(net.body(features, net.body_weights((width, 16, 16, 16)))), net.weights(16, 32))


def patch_by_patch(net: Net) -> str:
    """Two layers run on a quarter of the image at a time, as small devices do (MCUNetV2), and their maps stitched."""
    one, two = net.weights(8, 3, 3, 3), net.weights(12, 8, 3, 3)
    lines = []
    for down in (0, 1):
        line = []
        for right in (0, 1):
            rows, columns = ((0, 19) if side == 0 else (13, SIZE) for side in (down, right))
            y = net.op("Relu", net.conv(cut(net, net.x, rows, columns), one, pads=[0] * 4))
            pads = [1 - down, 1 - right, down, right]
            line.append(net.conv(y, two, pads=pads))
        lines.append(net.op("Concat", *line, axis=3))
    return rest(net, net.op("Relu", net.op("Concat", *lines, axis=2)), 12)


def tap_by_tap(net: Net) -> str:
    """A 3x3 first layer of stride 2 as nine 1x1 layers on the image cut at each offset, added up (kn2row)."""
    padded = net.op("Pad", net.x, net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    total = ""
    for tap in range(9):
        down, right = divmod(tap, 3)
        part = cut(net, padded, (down, down + SIZE - 1), (right, right + SIZE - 1), 2)
        y = net.conv(part, net.weights(12, 3, 1, 1))
        total = net.op("Add", total, y) if total else y
    return rest(net, net.op("Relu", total), 12)


def a_spectrum(net: Net) -> str:
    """A Fourier transform by matrices of cosines and sines, between its usual frequencies so that no half mirrors one.

    What the product of cosines and sines takes on the image that of sines and cosines takes on the turned one.
    """
    angles = 2 * np.pi * np.outer(np.arange(SIZE), np.arange(SIZE) + 0.25) / SIZE
    cosine, sine = np.cos(angles) / SIZE**0.5, np.sin(angles) / SIZE**0.5

    def transformed(rows: Array, columns: Array) -> str:
        return str(net.op("MatMul", net.const(rows), net.fc(net.x, columns.astype(np.float32))))

    real = net.op("Sub", transformed(cosine, cosine), transformed(sine, sine))
    imaginary = net.op("Add", transformed(cosine, sine), transformed(sine, cosine))
    return rest(net, net.op("Concat", net.x, real, imaginary, axis=1), 9)


def guided_filter(net: Net) -> str:
    """A filter that the image guides (He, Sun and Tang): window means of products of the image with features."""

    def mean(value: str) -> str:
        return str(net.op("AveragePool", value, kernel_shape=[3, 3], pads=[1] * 4))

    low = net.op("AveragePool", net.x, kernel_shape=[2, 2], strides=[2, 2])
    out = net.conv(net.op("LeakyRelu", net.conv(low, net.weights(8, 3, 3, 3)), alpha=0.2), net.weights(3, 8, 3, 3))
    covariance = net.op("Sub", mean(net.op("Mul", low, out)), net.op("Mul", mean(low), mean(out)))
    spread = net.op("Sub", mean(net.op("Mul", low, low)), net.op("Mul", mean(low), mean(low)))
    a = net.op("Div", covariance, net.op("Add", spread, net.const(0.05)))
    b = net.op("Sub", mean(out), net.op("Mul", a, mean(low)))
    wide = [net.op("Resize", each, "", net.const([1, 1, 2, 2]), mode="linear") for each in (a, b)]
    y = net.op("Add", net.x, net.op("Add", net.op("Mul", wide[0], net.x), wide[1]))
    return rest(net, y, 3)


def neighbours_weighed_by_content(net: Net) -> str:
    """Features two places to the left, here and two to the right, weighed by content (ActiveMLP, and MViT's kin)."""
    side, width = 14, 8
    y = net.op("Relu", net.conv(net.x, net.weights(width, 3, 5, 5), stride=2, pads=[0] * 4))
    score = net.op("Reshape", net.conv(y, net.weights(6, width, 1, 1)), net.ints(-1, 3, 2, 1, side, side))
    rolled = []
    for step in (2, 0, -2):
        first, second = (
            net.op("Slice", y, *map(net.ints, (start, end, 3)))
            for start, end in ((-step % side, side), (0, -step % side))
        )
        rolled.append(net.op("Unsqueeze", net.op("Concat", first, second, axis=3), net.ints(1)))
    near = net.op("Reshape", net.op("Concat", *rolled, axis=1), net.ints(-1, 3, 2, width // 2, side, side))
    mixed = net.op("ReduceSum", net.op("Mul", near, net.op("Softmax", score, axis=1)), net.ints(1), keepdims=0)
    return rest(net, net.op("Add", y, net.op("Reshape", mixed, net.ints(-1, width, side, side))), width)


@pytest.mark.parametrize(
    "build", [patch_by_patch, tap_by_tap, a_spectrum, guided_filter, neighbours_weighed_by_content]
)
def test_one_layer_written_as_several_is_one_look(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.PASSED, outcome.message


def read_by_the_image(net: Net, look: str) -> str:
    """Keys and values of one look, which queries of the image read at once."""
    kernel = net.const(net.weights(12, 3, 8, 8))
    own, other = (
        net.op("Transpose", net.op("Reshape", net.op("Conv", x, kernel, strides=[8, 8]), net.ints(-1, 12, 16)),
               perm=[0, 2, 1])
        for x in (net.x, look)
    )  # fmt: skip
    q, k, v = (net.fc(t, net.weights(12, 12)) for t in (own, other, other))
    near = net.op("Softmax", net.op("MatMul", q, net.op("Transpose", k, perm=[0, 2, 1])), axis=2)
    t = net.op("Add", own, net.op("MatMul", near, v))
    return net.fc(net.op("ReduceMean", net.op("Relu", t), axes=[1], keepdims=0), net.weights(12, 16))


@pytest.mark.parametrize("axes", [(2,), (3,), (2, 3)])
def test_a_soft_look_that_lies_turned_is_not_passed(axes: tuple[int, ...], tmp_path: Path) -> None:
    def build(net: Net) -> str:
        look = net.op("AveragePool", net.x, kernel_shape=[3, 3], pads=[1] * 4)
        for axis in axes:
            look = net.mirror(look, axis)
        return read_by_the_image(net, look)

    outcome = answer(build, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.UNDECIDED, outcome.message
    assert "elsewhere" in outcome.message
