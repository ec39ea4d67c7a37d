"""An image that sets its own brightness is found where it was moved, and is nothing where it was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper
from scipy import ndimage

from pytest_facechallenge.analyses.implicit_batch.probe_images import Images, value_range
from pytest_facechallenge.analyses.implicit_batch.registration import registered_view
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.onnx_graph.ir import Graph, from_model

Array = npt.NDArray[Any]

IMAGES = Images(3, 112, 112, -1, 1, 5, DEFAULTS)
FIELDS = IMAGES.fields(16)


def moved(step: float, first: float) -> Array:
    return np.stack(
        [
            [ndimage.affine_transform(p, np.diag([step] * 2), [first] * 2, order=1, mode="nearest") for p in x]
            for x in FIELDS
        ]
    )


def own_brightness(seen: Array) -> Array:
    """Normalise by mean and deviation of each image, after the change: gain and offset differ between them."""
    middle, spread = seen.mean((1, 2, 3), keepdims=True), seen.std((1, 2, 3), keepdims=True)
    return np.asarray((seen - middle) / spread)


def test_the_fields_hold_the_same_values_at_different_places() -> None:
    flat = np.sort(FIELDS[:, 0].reshape(len(FIELDS), -1), axis=1)
    assert (flat == flat[:1]).all()
    assert np.abs(FIELDS[1:] - FIELDS[:-1]).mean() > 0.1


@pytest.mark.parametrize(
    ("step", "first", "sign"), [(1.1, -3.3, 1), (0.9, 4.2, -1), (1, 0.5, 1), (0.5, 27.75, -1), (0.7, 12.0, 1)]
)
def test_a_moved_image_is_found_with_its_grid(step: float, first: float, sign: int) -> None:
    view = registered_view(IMAGES, FIELDS, sign * own_brightness(moved(step, first)), DEFAULTS)
    assert view is not None
    assert view.kind == "resampled"
    np.testing.assert_allclose(view.scale, step, atol=0.02)
    places = np.array(view.scale) * 55.5 + view.offset
    np.testing.assert_allclose(places, step * 55.5 + first, atol=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: ndimage.gaussian_filter(x, (0, 0, 1.5, 1.5)),
        lambda x: ndimage.sobel(x, axis=2),
        lambda x: x - ndimage.uniform_filter(x, (0, 0, 9, 9)),
        lambda x: np.random.default_rng(1).standard_normal(x.shape),
        lambda x: np.zeros_like(x) + x.mean((1, 2, 3), keepdims=True),
    ],
    ids=["as it is", "blurred", "edges", "local contrast", "noise", "one value"],
)
def test_an_image_in_place_and_features_are_nothing(change: Any) -> None:
    changed = change(FIELDS.astype(np.float64))
    assert registered_view(IMAGES, FIELDS, changed + 1e-9, DEFAULTS) is None


def graph_of(*nodes: onnx.NodeProto, **constants: Any) -> Graph:
    stored = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()]
    image = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 112, 112])
    made = helper.make_graph(list(nodes), "net", [image], [helper.make_empty_tensor_value_info("y")], stored)
    return from_model(helper.make_model(made), Path())


@pytest.mark.parametrize(
    ("raw", "nodes", "constants"),
    [
        (True, [("Sub", "x", "m", "y")], {"m": [127.5] * 3}),
        (True, [("Mul", "x", "s", "y")], {"s": 1 / 128}),
        (True, [("Conv", "x", "w", "b", "y")], {"w": np.eye(3)[..., None, None] / 128, "b": [-1, -1, -1]}),
        (True, [*[("Identity", f"{'x' if i == 0 else i}", str(i + 1)) for i in range(20)], ("Div", "20", "s", "y")],
         {"s": 255}),
        (False, [("Conv", "x", "w", "b", "y")], {"w": np.ones((8, 3, 3, 3)), "b": [0.01] * 8}),
        (False, [("Conv", "x", "w", "a"), ("Mul", "a", "s", "y")], {"w": np.ones((8, 3, 3, 3)), "s": 0.01}),
        (False, [("Mul", "x", "s", "y")], {"s": 2.0}),
        (False, [("Mul", "c", "s", "y"), ("Relu", "x", "z")], {"s": 0.01, "c": 3.0}),
    ],
    ids=["mean", "scale", "colour mix", "far behind", "bias", "behind a layer", "contrast", "not the image"],
)  # fmt: skip
def test_the_range_of_the_pixels_follows_from_what_normalises_them(
    raw: bool, nodes: list[tuple[str, ...]], constants: dict[str, Any]
) -> None:
    graph = graph_of(*(helper.make_node(n[0], list(n[1:-1]), [n[-1]]) for n in nodes), **constants)
    assert value_range(graph, DEFAULTS) == ((0.0, 255.0) if raw else (-1.0, 1.0))
