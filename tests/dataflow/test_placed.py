"""A picture that sets its own brightness is found where it was moved, and is nothing where it was not."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from pytest_facechallenge.dataflow.pictures import Pictures
from pytest_facechallenge.dataflow.placed import placed_view

Array = npt.NDArray[Any]

PICTURES = Pictures(3, 112, 112, -1, 1, 5)
FIELDS = PICTURES.fields(16)


def moved(step: float, first: float) -> Array:
    return np.stack(
        [[ndimage.affine_transform(p, [step] * 2, [first] * 2, order=1, mode="nearest") for p in x] for x in FIELDS]
    )


def own_brightness(seen: Array) -> Array:
    """Normalise by mean and deviation of each picture, after the change: gain and offset differ between them."""
    middle, spread = seen.mean((1, 2, 3), keepdims=True), seen.std((1, 2, 3), keepdims=True)
    return np.asarray((seen - middle) / spread)


def test_the_fields_hold_the_same_values_at_different_places() -> None:
    flat = np.sort(FIELDS[:, 0].reshape(len(FIELDS), -1), axis=1)
    assert (flat == flat[:1]).all()
    assert np.abs(FIELDS[1:] - FIELDS[:-1]).mean() > 0.1


@pytest.mark.parametrize(
    ("step", "first", "sign"), [(1.1, -3.3, 1), (0.9, 4.2, -1), (1, 0.5, 1), (0.5, 27.75, -1), (0.7, 12.0, 1)]
)
def test_a_moved_picture_is_found_with_its_grid(step: float, first: float, sign: int) -> None:
    view = placed_view(PICTURES, FIELDS, sign * own_brightness(moved(step, first)))
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
def test_a_picture_in_place_and_features_are_nothing(change: Any) -> None:
    changed = change(FIELDS.astype(np.float64))
    assert placed_view(PICTURES, FIELDS, changed + 1e-9) is None
