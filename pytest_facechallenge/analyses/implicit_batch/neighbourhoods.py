"""Pixels changed by their neighbourhood (local contrast) told apart from pixels that a condition on the image chose.

What depends on the neighbourhood alone stands nowhere else, whatever a filter makes of it. On noise, whose
neighbourhoods are all alike, both look like the image itself; on natural images neither does.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]
Shown = Callable[[Array], Array]


def follows_its_neighbourhood(shown: Shown, natural: Array, noise: Array, limits: Thresholds) -> bool:
    """Whether what is seen of natural images is a continuous function of each pixel's neighbourhood, and no blur.

    Parameters
    ----------
    shown
        An image [C, H, W] to what is seen of it, float [1, channels, H, W].
    natural
        Images, float [n, C, H, W], at least two.
    noise
        One noise image, float [C, H, W].
    """
    others = np.roll(natural, 1, axis=0)
    return all(
        _rough(shown(image)[0]) >= limits.neighbourhoods.as_rough * _rough(image)
        and _local(shown, image, other, limits.neighbourhoods.far, limits)
        and not _jumps(shown, image, noise, limits)
        for image, other in zip(natural, others, strict=True)
    )


def is_local(shown: Shown, natural: Array, limits: Thresholds) -> bool:
    """Whether what is seen of a place of natural images depends on what lies near it, and on nothing far away.

    Parameters
    ----------
    shown
        An image [C, H, W] to what is seen of it, float [1, channels, H, W].
    natural
        Images, float [n, C, H, W], at least two.
    """

    def turned(image: Array) -> Array:
        return shown(image[..., ::-1, ::-1])[..., ::-1, ::-1]

    others = np.roll(natural, 1, axis=0)
    return all(
        _local(shown, image, other, limits.neighbourhoods.nothing, limits)
        and _local(turned, image[..., ::-1, ::-1], other[..., ::-1, ::-1], limits.neighbourhoods.nothing, limits)
        for image, other in zip(natural, others, strict=True)
    )


def _rough(planes: Array) -> float:
    """Return how much neighbours differ, against the spread of each plane; the median over the planes."""
    steps = (np.diff(planes, axis=-1) ** 2).mean((-2, -1)) + (np.diff(planes, axis=-2) ** 2).mean((-2, -1))
    return float(np.median(steps / np.maximum(planes.var((-2, -1)), 1e-30)))


def _local(shown: Shown, image: Array, other: Array, most: float, limits: Thresholds) -> bool:
    """Whether another left (upper) half changes what is seen on the left (above), and next to nothing opposite.

    Parameters
    ----------
    most
        Share of the change that may lie opposite, where some of the whole image's contrast may reach every pixel.
    """
    wanted = limits.neighbourhoods
    height, width = image.shape[-2:]
    before = shown(image)
    for axis, half in ((-1, width // 2), (-2, height // 2)):
        first = np.arange(image.shape[axis]) < half
        mixed = np.where(first if axis == -1 else first[:, None], other, image)
        moved = np.moveaxis((shown(mixed) - before) ** 2, axis, -1)
        if moved[..., half + wanted.reach :].sum() > most * moved.sum():
            return False
    return True


def _jumps(shown: Shown, one: Array, other: Array, limits: Thresholds) -> bool:
    """Whether what is seen jumps somewhere on the straight way from one image to another."""

    def at(share: float) -> Array:
        return shown((one + share * (other - one)).astype(np.float32))

    wanted = limits.neighbourhoods
    places = np.linspace(0, 1, wanted.steps + 1)
    values = [at(share) for share in places]
    sizes = [float(np.linalg.norm(b - a)) for a, b in pairwise(values)]
    largest = int(np.argmax(sizes))
    low, high, a, b = places[largest], places[largest + 1], values[largest], values[largest + 1]
    for _ in range(wanted.halvings):
        share = (low + high) / 2
        middle = at(share)
        if np.linalg.norm(middle - a) > np.linalg.norm(b - middle):
            high, b = share, middle
        else:
            low, a = share, middle
    return bool(np.linalg.norm(b - a) > wanted.jump * sizes[largest])
