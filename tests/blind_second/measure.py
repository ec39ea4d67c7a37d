"""The networks of the second blind set, opened once, and the images they are shown."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx

from tests.blind.net import Array
from tests.blind.proofs import Look
from tests.blind.test_blind_builds import images

from . import EVASIONS, HONEST

ALL = EVASIONS | HONEST


@cache
def model(name: str) -> onnx.ModelProto:
    return ALL[name].build()


@cache
def look(name: str) -> Look:
    return Look(lambda: model(name))


@cache
def alone(name: str) -> Array:
    """Give the embeddings of the eight images, each run by itself."""
    return np.concatenate([look(name)(images()[i : i + 1]) for i in range(8)])


__all__ = ["ALL", "alone", "images", "look", "model"]
