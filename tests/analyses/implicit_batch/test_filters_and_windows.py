"""Filters of the image and windows of features that stay where they are: no re-alignment and no second look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from scipy import ndimage

from evaluation.case import ALIGN_RULE, BATCH_RULE
from pytest_facechallenge.analyses.implicit_batch.dots import elsewhere
from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.gather import follow
from pytest_facechallenge.analyses.implicit_batch.opened import open_variant
from pytest_facechallenge.analyses.implicit_batch.probe_images import Images
from pytest_facechallenge.analyses.implicit_batch.subgraph import cut_at
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.implicit_batch.variants import Variant
from pytest_facechallenge.core.facts.implicit_batch import StackedCopies
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import SIZE, Net
from tests.analyses.implicit_batch.test_detector import answer

Array = npt.NDArray[Any]

#: Comparisons after which the middle one of nine numbers is the median.
MEDIAN = (
    (1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3), (5, 8), (4, 7), (3, 6), (1, 4),
    (2, 5), (4, 7), (4, 2), (6, 4), (4, 2),
)  # fmt: skip


def embedded(net: Net, x: str) -> str:
    return net.fc(net.pool(net.body(x, net.body_weights())), net.weights(16, 16))


def cut(net: Net, x: str, down: int, right: int, size: int = SIZE) -> str:
    ends = net.ints(down + size, right + size)
    return str(net.op("Slice", x, net.ints(down, right), ends, net.ints(2, 3)))


def median(net: Net) -> str:
    padded = net.op("Pad", net.x, net.ints(0, 0, 1, 1, 0, 0, 1, 1), mode="edge")
    nine = [cut(net, padded, down, right) for down in range(3) for right in range(3)]
    for i, j in MEDIAN:
        nine[i], nine[j] = net.op("Min", nine[i], nine[j]), net.op("Max", nine[i], nine[j])
    return embedded(net, nine[4])


def eroded(net: Net) -> str:
    """The darkest of five pixels above each other: a bright dot is shown by none of them, or by another."""
    padded = net.op("Pad", net.x, net.ints(0, 0, 2, 0, 0, 0, 2, 0), mode="edge")
    return embedded(net, net.op("Min", *(cut(net, padded, down, 0) for down in range(5))))


@pytest.mark.parametrize("build", [median, eroded])
def test_a_filter_that_a_neighbourhood_decides_is_no_re_alignment(build: Callable[[Net], str], tmp_path: Path) -> None:
    outcome = answer(build, tmp_path)[ALIGN_RULE]
    assert outcome.status is Status.PASSED, outcome.message


def windows(net: Net) -> str:
    """Windows of 3 x 3 features, taken out by two Gathers, summed with weights that the features decide."""
    size, width = SIZE // 2, 8
    x = net.op("Relu", net.conv(net.x, net.weights(width, 3, 3, 3), stride=2))
    weights = net.op("Reshape", net.conv(x, net.weights(9, width, 3, 3)), net.ints(0, 1, 3, 3, size, size))
    weights = net.op("Transpose", net.op("Softmax", weights, axis=2), perm=[0, 1, 2, 4, 3, 5])
    padded = net.op("Pad", x, net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    index = net.const((np.arange(3)[:, None] + np.arange(size)).tolist(), np.int64)
    near = net.op("Gather", net.op("Gather", padded, index, axis=2), index, axis=4)
    summed = net.op("ReduceSum", net.op("Mul", near, weights), net.ints(2, 4), keepdims=0)
    x = net.op("Relu", net.conv(summed, net.weights(16, width, 3, 3)))
    return net.fc(net.pool(x), net.weights(16, 16))


def test_windows_a_step_apart_are_no_two_looks(tmp_path: Path) -> None:
    """Of every second window one is the other moved by a step, which is so of all windows of a map."""
    outcome = answer(windows, tmp_path)[BATCH_RULE]
    assert outcome.status is Status.PASSED, outcome.message
    net = Net()
    found = follow(net.save(windows(net), tmp_path)).observations
    assert {seen.axis for seen in found if isinstance(seen, StackedCopies)} <= {2, 4}


def test_a_part_of_the_model_keeps_an_index_that_is_one_number(tmp_path: Path) -> None:
    """A Gather of one index drops its axis; with a list of one index it does not, and the next layer does not load."""
    net = Net()
    first = net.op("Relu", net.conv(net.x, net.weights(4, 3, 3, 3)))
    stacked = net.op("Reshape", first, net.ints(1, 2, 2, SIZE, SIZE))
    index = net.op("Constant", value=onnx.numpy_helper.from_array(np.array(1, np.int64)))
    second = net.conv(net.op("Gather", stacked, index, axis=1), net.weights(4, 2, 3, 3))
    path = net.save(net.pool(second), tmp_path)
    feed = Feed(onnx.load(path), tmp_path, 1, DEFAULTS)
    opened = open_variant(Variant(feed.model, ""), feed, 1, DEFAULTS)
    run, values = cut_at(opened, first, DEFAULTS)
    assert run(values[:1], [second])[second].shape == (1, 1, 4, SIZE, SIZE)


IMAGES = Images(3, 64, 64, -1, 1, 3, DEFAULTS)


@pytest.mark.parametrize(
    ("share", "seen"),
    [
        (0.0, lambda x: ndimage.gaussian_filter(x, (0, 1, 1))),
        (0.0, lambda x: x / x.std()),
        (0.0, lambda x: np.pad(x, ((0, 0), (8, 8), (8, 8)))),
        (0.0, lambda x: x.reshape(3, 32, 2, 32, 2).mean((2, 4))),
        (1.0, lambda x: np.pad(x[..., 4:], ((0, 0), (0, 0), (0, 4)))),
        (1.0, lambda x: np.roll(x, 3, -2)),
        (0.8, lambda x: x[..., ::-1]),
        (0.96, lambda x: x.repeat(2, -1).repeat(2, -2)),
        (-1.0, lambda x: x[..., :20, :20]),
    ],
    ids=["blur", "contrast", "padded", "smaller", "cut", "rolled", "mirrored", "larger", "a corner"],
)
def test_dots_on_an_image_show_whether_it_was_moved(share: float, seen: Callable[[Array], Array]) -> None:
    found = elsewhere(lambda image: seen(image[0].astype(np.float64)), IMAGES.natural(1), 2.0, DEFAULTS)
    assert found == pytest.approx(share, abs=0.05)
