"""A submitted model's image input, and the images for it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.analyses.implicit_batch.probe_images import Images, value_range
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.onnx_graph.held_weights import take_out
from pytest_facechallenge.onnx_graph.ir import from_model
from pytest_facechallenge.onnx_graph.server_feed import RAW, first_names, server_feed

Array = npt.NDArray[Any]

#: Element type of the input -> of the images.
DTYPES = {
    onnx.TensorProto.FLOAT: np.float32,
    onnx.TensorProto.DOUBLE: np.float64,
    onnx.TensorProto.FLOAT16: np.float16,
    onnx.TensorProto.UINT8: np.uint8,
}

#: The range of pixels.
PIXELS = (0.0, 255.0)

#: Channels, height and width where the model leaves them open.
USUAL = (3, 112, 112)


class Feed:
    """The model's image input and the images for it.

    Parameters
    ----------
    model
        As it was submitted, functions inlined.
    folder
        Where its weights lie that stand in other files.
    seed
        Of the images.

    Attributes
    ----------
    name, dtype
        Of the input.
    output
        Name of the model's first output.
    model, graph
        The model that was given, and the same as a `Graph`. Its large weights are taken out (`held_weights`):
        everything that is made from it shares them.
    images
        Of the input's size, in its range of values.

    Raises
    ------
    ValueError
        The model has no image input of four dimensions.
    """

    def __init__(self, model: onnx.ModelProto, folder: Path, seed: int, limits: Thresholds) -> None:
        known = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in known]
        if not inputs:
            raise ValueError("the model has no input; an image is expected")
        value = inputs[0]
        dims = [d.dim_value if d.HasField("dim_value") else 0 for d in value.type.tensor_type.shape.dim]
        if len(dims) != 4:
            raise ValueError(f"input '{value.name}' has {len(dims)} dimensions; [N, C, H, W] is expected")
        self.name = value.name
        self.dtype = DTYPES.get(value.type.tensor_type.elem_type, np.float32)
        channels, height, width = (given or usual for given, usual in zip(dims[1:], USUAL, strict=True))
        self.model, self._weights = take_out(model)  # the weights live as long as this object
        self.graph = from_model(self.model, folder)
        low, high = PIXELS if self.dtype is np.uint8 else value_range(self.graph, limits)
        self.images = Images(channels, height, width, low, high, seed, limits)
        self.output = model.graph.output[0].name
        self._served = (
            PIXELS if self.dtype is np.uint8 or server_feed(first_names(model.graph))[:2] == RAW else (-1.0, 1.0)
        )

    def as_served(self) -> Feed | None:
        """Return the same with what the organisers' server feeds; None where that is what this one has.

        A constant that only looks like a normalisation would have pixels fed that the network never gets.
        """
        images = self.images
        if self._served == (images.low, images.high):
            return None
        other = copy.copy(self)
        other.images = Images(
            images.channels, images.height, images.width, *self._served, images.seed, limits=images.limits
        )
        return other

    def __call__(self, images: Array) -> dict[str, Array]:
        """Return the feeds for images, float32 [N, C, H, W]."""
        return {self.name: np.ascontiguousarray(images).astype(self.dtype)}
