"""Local contrast is no choice; a choice, a mirror blended in and a blur are no local contrast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from pytest_facechallenge.analyses.implicit_batch.neighbourhoods import follows_its_neighbourhood, is_local
from pytest_facechallenge.analyses.implicit_batch.probe_images import Images
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS

Array = npt.NDArray[Any]

IMAGES = Images(3, 64, 64, -1, 1, 5, DEFAULTS)
NATURAL, NOISE = IMAGES.natural(3), IMAGES.noise(1)[0]


def blurred(x: Array, size: float = 2) -> Array:
    return np.asarray(ndimage.gaussian_filter(x, (0, size, size)))


def median(x: Array) -> Array:
    return np.asarray(ndimage.median_filter(x, (1, 3, 3)))


def smooth(x: Array) -> float:
    return float(np.abs(np.diff(x, axis=-1)).mean())


def gate(x: Array) -> float:
    return float(1 / (1 + np.exp(40 * (smooth(x) - 0.2))))


def local_contrast(x: Array) -> Array:
    centred = x - blurred(x)
    return np.asarray(centred / (np.sqrt(blurred(centred**2)) + 0.05))


@pytest.mark.parametrize(
    ("right", "seen"),
    [
        (True, local_contrast),
        (True, lambda x: x - 0.5 * blurred(x)),
        (False, lambda x: x[..., ::-1] if smooth(x) < 0.2 else x),
        (False, lambda x: gate(x) * x[..., ::-1] + (1 - gate(x)) * x),
        (False, lambda x: gate(x) * blurred(x) + (1 - gate(x)) * x),
        (False, lambda x: local_contrast(x) if smooth(x) < 0.2 else x),
    ],
    ids=["contrast", "sharpened", "chosen mirror", "blended mirror", "blended blur", "chosen contrast"],
)
def test_local_contrast_is_told_from_a_choice(right: bool, seen: Callable[[Array], Array]) -> None:
    assert follows_its_neighbourhood(lambda x: seen(x.astype(np.float64))[None], NATURAL, NOISE, DEFAULTS) is right


def moved(x: Array) -> Array:
    """Move the image by up to two pixels, by how bright it is, as an interpolation does."""
    return np.asarray(ndimage.shift(x, (0, 0, 2 * np.tanh(2 * x.mean())), order=1, mode="nearest"))


@pytest.mark.parametrize(
    ("right", "seen"),
    [
        (True, blurred),
        (True, median),
        (True, local_contrast),
        (False, moved),
        (False, lambda x: x[..., ::-1]),
        (False, lambda x: x / x.std()),
    ],
    ids=["blur", "median", "contrast", "moved", "mirrored", "scaled"],
)
def test_what_a_neighbourhood_decides_is_told_from_what_all_of_the_image_decides(
    right: bool, seen: Callable[[Array], Array]
) -> None:
    assert is_local(lambda x: seen(x.astype(np.float64))[None], NATURAL, DEFAULTS) is right
