"""The images that probe a network: noise, natural-looking fields, ramps; in the value range of the model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.blur import gaussian
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.view_thresholds import ProbeImages
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform
from pytest_facechallenge.onnx_graph.ir import Graph, GraphError, Node

Array = npt.NDArray[np.float32]

#: The turns that a test-time augmentation without any operator (mirrored kernels) can imitate; H and W last.
TURNS: dict[Transform, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    Transform.MIRRORED: lambda x: x[..., ::-1],
    Transform.UPSIDE_DOWN: lambda x: x[..., ::-1, :],
    Transform.ROTATED_180: lambda x: x[..., ::-1, ::-1],
    Transform.TRANSPOSED: lambda x: np.swapaxes(x, -1, -2),
    Transform.ROTATED_90: lambda x: np.rot90(x, 1, (-2, -1)),
    Transform.ROTATED_270: lambda x: np.rot90(x, 3, (-2, -1)),
}


#: Operators by which pixels are normalised; of a convolution, one that only mixes colours.
SCALING = frozenset({"Sub", "Add", "Div", "Mul", "Conv"})

#: Operators behind which there are features, when their weights are more than a few.
WEIGHING = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "LSTM", "GRU", "RNN"})


class Images:
    """A source of probe images.

    Parameters
    ----------
    height, width
        In pixels.
    low, high
        The range of pixel values that the model is fed, ``(-1, 1)`` or ``(0, 255)``.
    seed
        Of all randomness.
    limits
        Gives the levels of even images and ramps.
    """

    def __init__(
        self, channels: int, height: int, width: int, low: float, high: float, seed: int, limits: Thresholds
    ) -> None:
        self.limits, self.levels = limits, limits.images
        self.channels, self.height, self.width = channels, height, width
        self.low, self.high = low, high
        self.seed = seed

    def _scaled(self, unit: npt.NDArray[Any]) -> Array:
        return (self.low + (self.high - self.low) * unit).astype(np.float32)

    def noise(self, count: int) -> Array:
        """Return images of independent pixels, float32 [count, C, H, W]: every pixel is told from every other."""
        random = np.random.default_rng(self.seed)
        return self._scaled(random.random((count, self.channels, self.height, self.width)))

    def natural(self, count: int) -> Array:
        """Return images with the spectrum and the contrast range of photographs, bright and dark ones among them."""
        drawn = _naturals(self.channels, self.height, self.width, self.seed + 1, self.levels).first(count)
        return self._scaled(np.clip(np.stack(drawn), 0, 1))

    def fields(self, count: int) -> Array:
        """Return smooth grey images that all hold the same values at different places, float32 [count, C, H, W].

        A network that sets brightness, contrast or the whole histogram of each image by itself does the same to all.
        """
        random = np.random.default_rng(self.seed + 2)
        levels = np.linspace(*self.levels.field_range, self.height * self.width)
        blur = self.height / self.levels.field_blur
        drawn = []
        for _ in range(count):
            smooth = gaussian(random.standard_normal((self.height, self.width)), blur)
            plane = np.empty(smooth.size)
            plane[np.argsort(smooth, axis=None)] = levels
            drawn.append(np.broadcast_to(plane.reshape(smooth.shape), (self.channels, *smooth.shape)))
        return self._scaled(np.stack(drawn))

    def flat(self, value: float) -> Array:
        """Return one even image [1, C, H, W]; ``value`` in 0..1 of the range."""
        return self._scaled(np.full((1, self.channels, self.height, self.width), value))

    def ramp(self, axis: int, span: float | None = None) -> Array:
        """Return one image [1, C, H, W] whose pixels hold their row (axis 0) or column (axis 1).

        The values take ``span`` of the range, about its middle; the usual one by default.
        """
        span = self.levels.span if span is None else span
        extent = self.height if axis == 0 else self.width
        line = self.levels.middle + span * (np.arange(extent) / max(1, extent - 1) - 0.5)
        plane = line[:, None] if axis == 0 else line[None, :]
        return self._scaled(np.broadcast_to(plane, (1, self.channels, self.height, self.width)))

    def coded(self, span: float | None = None) -> Array:
        """Return one image [1, C, H, W], its rows in the first channel, its columns in the second, 0.5 elsewhere."""
        image = self.flat(self.levels.middle)
        image[:, 0] = self.ramp(0, span)[:, 0]
        if self.channels > 1:
            image[:, 1] = self.ramp(1, span)[:, 0]
        return image


class _Naturals:
    """Natural images in about 0..1, drawn as they are asked for."""

    def __init__(self, channels: int, height: int, width: int, seed: int, levels: ProbeImages) -> None:
        self._shape, self._levels = (channels, height, width), levels
        self._random = np.random.default_rng(seed)
        self._drawn: list[npt.NDArray[Any]] = []

    def first(self, count: int) -> list[npt.NDArray[Any]]:
        while len(self._drawn) < count:
            self._drawn.append(self._draw())
        return self._drawn[:count]

    def _draw(self) -> npt.NDArray[Any]:
        """Draw the next one, [C, H, W]."""
        recipe, random = self._levels, self._random
        image = np.zeros(self._shape)
        for part, share in recipe.structures:
            blur = self._shape[1] / part
            common = gaussian(random.standard_normal(self._shape[1:]), blur)
            image += share * common / common.std()
            for plane in image:
                own = gaussian(random.standard_normal(plane.shape), blur)
                plane += recipe.own_colour * share * own / own.std()
        image *= random.uniform(*recipe.contrast)
        image += random.uniform(*recipe.brightness) + recipe.grain * random.standard_normal(image.shape)
        return image


#: Every variant of a network is probed with the same images, and to draw one takes longer than to run a small network.
_naturals = functools.lru_cache(maxsize=2)(_Naturals)


def value_range(graph: Graph, limits: Thresholds) -> tuple[float, float]:
    """Return the pixel range to feed: 0..255 when the model normalises by itself, else -1..1.

    The same idea as the evaluation server's, but by what the operators do and not by how the nodes are called, nor by
    where they stand in the file: something on the way from the image to the first large weights takes a constant of
    30 or more off the pixels, or divides or scales them by 1/30 or less.
    """
    few = limits.images.few
    reached, seen = set(graph.inputs), 0
    for node in graph.nodes:
        if not reached & set(node.inputs):
            continue
        seen += 1
        if seen > limits.images.nodes:
            break
        sizes = _constant_sizes(node)
        if node.op in SCALING and any(_normalises(node.op, size, limits) for size, count in sizes[:1] if count <= few):
            return 0.0, 255.0
        if node.op not in WEIGHING or all(count <= few for _, count in sizes):
            reached |= {name for name in node.outputs if name}
    return -1.0, 1.0


def _constant_sizes(node: Node) -> list[tuple[float, int]]:
    """Return mean size and number of the values of each constant input."""
    found = []
    for position in range(len(node.inputs)):
        try:
            values = node.constant(position)
        except GraphError:
            continue
        if values is not None and values.dtype.kind == "f" and values.size:
            found.append((float(np.abs(values).mean()), int(values.size)))
    return found


def _normalises(kind: str, size: float, limits: Thresholds) -> bool:
    """Whether a constant of this mean size brings pixels of 0..255 to about -1..1."""
    offset, factor = limits.images.offset, limits.images.factor
    return size >= offset if kind in ("Sub", "Add", "Div") else 0 < size <= factor
