"""The networks of the third blind set, opened once, and the images they are shown."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
from scipy.ndimage import gaussian_filter

from tests.blind.case import index
from tests.blind.net import SIDE, Array
from tests.blind.proofs import Look

from .evasions import EVASIONS
from .honest import HONEST


@cache
def images() -> Array:
    """Make smooth images and noise in turn, of different contrast and brightness, [8, 3, 112, 112] in -1..1."""
    rng = np.random.default_rng(23)
    noise = rng.uniform(-1, 1, (8, 3, SIDE, SIDE))
    smooth = gaussian_filter(noise, (0, 0, 6, 6))
    smooth /= np.abs(smooth).max((1, 2, 3), keepdims=True)
    made = np.where(np.arange(8).reshape(8, 1, 1, 1) % 2, noise, smooth)
    contrast, light = rng.uniform(0.4, 0.8, (8, 1, 1, 1)), rng.uniform(-0.2, 0.2, (8, 3, 1, 1))
    return (contrast * made + light).astype(np.float32)


@cache
def model(name: str) -> onnx.ModelProto:
    return index(*EVASIONS.values(), *HONEST.values())[name].build()


@cache
def look(name: str) -> Look:
    return Look(lambda: model(name))


@cache
def alone(name: str) -> Array:
    """Give the embeddings of the eight images, each run by itself."""
    return np.concatenate([look(name)(images()[i : i + 1]) for i in range(8)])
