"""Images in the numbers a submission receives, drawn from a seed: like faces, smooth, and noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[np.float32]

#: Draws images; ``raw`` is that of :func:`faces`.
Images = Callable[..., Array]

SIDE = 112


def faces(count: int, seed: int = 0, *, raw: bool = False) -> Array:
    """Draw ``count`` asymmetric, smooth, face-like RGB images.

    Parameters
    ----------
    count, seed
        How many images, and the seed they are drawn from.
    raw
        Values 0 to 255 (a network that normalises the pixels itself) instead of -1 to 1.

    Returns
    -------
    Array
        ``[count, 3, 112, 112]`` float32.
    """
    return _pixels(_faces(count, seed).copy(), raw)


@lru_cache(maxsize=32)
def _faces(count: int, seed: int) -> Array:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE - 0.5
    images = []
    for _ in range(count):
        background = ndimage.gaussian_filter(rng.normal(0, 6, (3, SIDE, SIDE)), (0, 9, 9))
        light = rng.normal(0, 0.8, 2)
        skin = rng.uniform(-0.2, 0.7, 3) + np.array([0.15, 0.0, -0.1])
        centre = rng.normal(0, 0.04, 2)
        face = ((rows - centre[0]) / 0.46) ** 2 + ((columns - centre[1]) / rng.uniform(0.3, 0.4)) ** 2 < 1
        image = np.where(face, skin[:, None, None], background)
        for _feature in range(12):
            where, size, depth = rng.normal(0, 0.16, 2), rng.uniform(0.02, 0.09, 2), rng.normal(0, 0.7)
            blob = np.exp(-(((rows - where[0]) / size[0]) ** 2) - ((columns - where[1]) / size[1]) ** 2)
            image = image + depth * blob * rng.uniform(0.6, 1.0, 3)[:, None, None]
        image = image + light[0] * rows + light[1] * columns + rng.normal(0, 0.03, (3, SIDE, SIDE))
        images.append(np.clip(ndimage.gaussian_filter(image, (0, 0.6, 0.6)), -1, 1))
    return np.stack(images).astype(np.float32)


@cache
def smooth_and_noise(*, raw: bool = False) -> Array:
    """Draw four smooth images and four of noise, ``[8, 3, 112, 112]``."""
    noise = np.random.default_rng(7).uniform(-1, 1, (8, 3, SIDE, SIDE))
    smooth = ndimage.gaussian_filter(noise[:4], (0, 0, 5, 5))
    noise[:4] = smooth / np.abs(smooth).max((1, 2, 3), keepdims=True)
    return _pixels(noise.astype(np.float32), raw)


@cache
def varied(*, raw: bool = False) -> Array:
    """Draw smooth images and noise in turn, of different contrast and brightness, ``[8, 3, 112, 112]``."""
    rng = np.random.default_rng(23)
    noise = rng.uniform(-1, 1, (8, 3, SIDE, SIDE))
    smooth = ndimage.gaussian_filter(noise, (0, 0, 6, 6))
    smooth /= np.abs(smooth).max((1, 2, 3), keepdims=True)
    made = np.where(np.arange(8).reshape(8, 1, 1, 1) % 2, noise, smooth)
    contrast, light = rng.uniform(0.4, 0.8, (8, 1, 1, 1)), rng.uniform(-0.2, 0.2, (8, 3, 1, 1))
    return _pixels((contrast * made + light).astype(np.float32), raw)


def _pixels(images: Array, raw: bool) -> Array:
    return np.round(images * 127.5 + 127.5).astype(np.float32) if raw else images


def few_faces(*, raw: bool = False) -> Array:
    """Draw three face-like images."""
    return faces(3, 5, raw=raw)
