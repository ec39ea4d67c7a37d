"""A map displaced, moved by whole places or turned is told from one that was changed otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from pytest_facechallenge.analyses.implicit_batch.displacement import displacement
from pytest_facechallenge.analyses.implicit_batch.dots import grid_of
from pytest_facechallenge.analyses.implicit_batch.pixel_content import lossless, recovered
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform

Array = npt.NDArray[Any]

SIDE = 56
EXPLAINED = DEFAULTS.alignment.explained


def smooth(channels: int = 3, side: int = SIDE) -> Array:
    noise = np.random.default_rng(4).standard_normal((channels, side, side))
    return np.asarray(ndimage.gaussian_filter(noise, (0, 3, 3)) * 10)


def sampled(values: Array, down: Any, right: Any) -> Array:
    rows, columns = np.indices(values.shape[1:]).astype(float)
    return np.stack([ndimage.map_coordinates(one, [rows + down, columns + right], order=3) for one in values])


@pytest.mark.parametrize("size", [1.0, 1e-2, 1e-4])
def test_a_small_warp_is_a_displacement_whatever_its_size(size: float) -> None:
    before = smooth()
    rows, columns = np.indices((SIDE, SIDE)) / SIDE - 0.5
    after = sampled(before, size * (0.5 * rows + 0.2), size * (0.7 - 0.3 * columns))
    found = displacement(before, after, DEFAULTS)
    assert found is not None
    assert found.explained > EXPLAINED
    assert not found.turn
    np.testing.assert_allclose(found.pixels[1], 0.7 * size, rtol=0.2)


def test_a_whole_step_is_found_with_its_direction() -> None:
    before = smooth()
    found = displacement(before, np.roll(before, (4, -7), (1, 2)), DEFAULTS)
    assert found is not None
    assert found.whole
    np.testing.assert_array_equal(found.pixels, (4, -7))
    assert found.explained > 1 - 1e-9


@pytest.mark.parametrize("share", [1.0, 0.2])
def test_a_mirror_image_and_a_share_of_it_are_turns(share: float) -> None:
    before = smooth()
    found = displacement(before, (1 - share) * before + share * before[..., ::-1], DEFAULTS)
    assert found is not None
    assert found.turn is Transform.MIRRORED
    assert found.explained > 1 - 1e-9


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x * 1.1,
        lambda x: x + 0.3,
        lambda x: x * (1 + 0.2 * smooth(1)[0]),
        lambda x: np.maximum(x, 0),
        lambda x: np.roll(x, 1, 0),
        lambda x: ndimage.gaussian_filter(x, (0, 1, 1)),
        lambda x: x + 0.1 * np.random.default_rng(1).standard_normal(x.shape),
        lambda x: np.stack([np.roll(one, step, 1) for one, step in zip(x, (3, 0, -3), strict=True)]),
    ],
    ids=["gain", "offset", "gate", "relu", "another image", "blur", "noise", "each channel its own way"],
)
def test_other_changes_are_not_explained(change: Any) -> None:
    found = displacement(smooth(), change(smooth()), DEFAULTS)
    assert found is not None
    assert found.explained < 0.6


def test_no_change_and_rounding_are_nothing() -> None:
    before = smooth()
    assert displacement(before, before, DEFAULTS) is None
    assert displacement(before, before * (1 + 1e-8), DEFAULTS) is None


def noise(count: int = 2) -> Array:
    return np.random.default_rng(2).random((count, 3, SIDE, SIDE))


def folded(images: Array) -> Array:
    count = len(images)
    cells = images.reshape(count, 3, SIDE // 2, 2, SIDE // 2, 2)
    return cells.transpose(0, 1, 3, 5, 2, 4).reshape(count, 12, SIDE // 2, SIDE // 2)


def test_pixels_are_recovered_from_the_image_in_another_form_and_not_from_pooled_ones() -> None:
    images = noise()
    mixed = np.einsum("ij,njhw->nihw", np.random.default_rng(3).standard_normal((6, 3)), images)
    assert recovered(images, mixed, DEFAULTS) > 1 - 1e-6
    assert recovered(images, np.moveaxis(mixed, 1, -1), DEFAULTS) > 1 - 1e-6
    assert recovered(images, folded(images), DEFAULTS) > 1 - 1e-6
    pooled = folded(images).reshape(len(images), 3, 4, SIDE // 2, SIDE // 2).mean(2)
    assert 0.2 < recovered(images, pooled, DEFAULTS) < 0.3
    assert recovered(images, noise(4)[2:], DEFAULTS) < 0.05
    assert recovered(images, images[..., :40, :], DEFAULTS) == 0


def test_bands_side_by_side_lose_nothing_and_a_moved_image_is_no_band() -> None:
    images = noise()
    rows = np.concatenate([images[:, :, ::2] + images[:, :, 1::2], images[:, :, ::2] - images[:, :, 1::2]], 2)
    assert lossless(images, folded(images), DEFAULTS)
    assert lossless(images, rows, DEFAULTS)
    assert not lossless(images, np.roll(images, 1, 2), DEFAULTS)
    assert not lossless(images, ndimage.uniform_filter(images, (0, 0, 2, 2)), DEFAULTS)


def shown(change: Any) -> Any:
    return lambda image: change(image[0])


@pytest.mark.parametrize(
    ("change", "scale", "layers"),
    [
        (lambda x: x, 1, True),
        (lambda x: np.maximum(0, x - 0.2) ** 2, 1, True),
        (lambda x: ndimage.uniform_filter(x, (0, 3, 3))[:, ::2, ::2], 2, True),
        (lambda x: ndimage.zoom(x[:, 4:52, 4:52], (1, SIDE / 48, SIDE / 48), order=1), 47 / 55, False),
        (lambda x: ndimage.zoom(x, (1, 2, 2), order=1), 55 / 111, False),
        (lambda x: np.roll(x, 8, 1), 1, False),
    ],
    ids=["as it is", "a curve", "a stride", "zoomed", "doubled", "shifted"],
)
def test_dots_tell_the_grid(change: Any, scale: float, layers: bool) -> None:
    image = 0.5 + 0.05 * smooth()[None]
    grid = grid_of(shown(change), image, 1.0, DEFAULTS)
    assert grid is not None
    np.testing.assert_allclose(grid.scale, scale, atol=0.02)
    assert grid.is_a_layers(DEFAULTS) is layers
    assert grid.in_place(DEFAULTS) is (layers and scale == 1)


def test_a_map_without_dots_has_no_grid() -> None:
    assert grid_of(shown(lambda x: np.zeros((4, 9, 9)) + 0 * x.mean()), smooth()[None], 1.0, DEFAULTS) is None
