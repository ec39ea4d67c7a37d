"""The images that probe a network: noise, natural-looking fields, ramps; in the value range of the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pytest_facechallenge.onnx_graph.ir import Graph, GraphError, Node

Array = npt.NDArray[np.float32]

#: The looks that a test-time augmentation without any operator (mirrored kernels) can imitate; H and W last.
TRANSFORMS: dict[str, Callable[[Array], Array]] = {
    "as it is": lambda x: x,
    "mirrored": lambda x: x[..., ::-1],
    "upside down": lambda x: x[..., ::-1, :],
    "rotated by 180 degrees": lambda x: x[..., ::-1, ::-1],
    "transposed": lambda x: np.swapaxes(x, -1, -2),
    "rotated by 90 degrees": lambda x: np.rot90(x, 1, (-2, -1)),
    "rotated by 270 degrees": lambda x: np.rot90(x, 3, (-2, -1)),
}


#: Operators by which pixels are normalised; of a convolution, one that only mixes colours.
SCALING = frozenset({"Sub", "Add", "Div", "Mul", "Conv"})

#: Operators behind which there are features, when their weights are more than a few.
WEIGHING = frozenset({"Conv", "ConvTranspose", "Gemm", "LSTM", "GRU", "RNN"})

#: Values of a constant that normalises pixels; nodes from the image on that are looked at.
FEW, NORMALISING = 16, 64


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
    """

    def __init__(self, channels: int, height: int, width: int, low: float, high: float, seed: int) -> None:
        self.channels, self.height, self.width = channels, height, width
        self.low, self.high = low, high
        self.seed = seed
        self._random = np.random.default_rng(seed + 1)
        self._natural: list[npt.NDArray[Any]] = []

    def _scaled(self, unit: npt.NDArray[Any]) -> Array:
        return (self.low + (self.high - self.low) * unit).astype(np.float32)

    def noise(self, count: int) -> Array:
        """Return images of independent pixels, float32 [count, C, H, W]: every pixel is told from every other."""
        random = np.random.default_rng(self.seed)
        return self._scaled(random.random((count, self.channels, self.height, self.width)))

    def natural(self, count: int) -> Array:
        """Return images with the spectrum and the contrast range of photographs, bright and dark ones among them."""
        while len(self._natural) < count:
            self._natural.append(self._draw())
        return self._scaled(np.clip(np.stack(self._natural[:count]), 0, 1))

    def _draw(self) -> npt.NDArray[Any]:
        """Draw the next natural image, [C, H, W] in about 0..1."""
        random = self._random
        image = np.zeros((self.channels, self.height, self.width))
        for blur, share in ((self.height / 6, 1.0), (self.height / 16, 0.5), (self.height / 45, 0.25)):
            common = ndimage.gaussian_filter(random.standard_normal((self.height, self.width)), blur)
            image += share * common / common.std()
            for plane in image:
                own = ndimage.gaussian_filter(random.standard_normal(plane.shape), blur)
                plane += 0.4 * share * own / own.std()
        image *= random.uniform(0.08, 0.16)
        image += random.uniform(0.3, 0.7) + 0.02 * random.standard_normal(image.shape)
        return image

    def fields(self, count: int) -> Array:
        """Return smooth grey images that all hold the same values at different places, float32 [count, C, H, W].

        A network that sets brightness, contrast or the whole histogram of each image by itself does the same to all.
        """
        random = np.random.default_rng(self.seed + 2)
        levels = np.linspace(0.2, 0.8, self.height * self.width)
        drawn = []
        for _ in range(count):
            smooth = ndimage.gaussian_filter(random.standard_normal((self.height, self.width)), self.height / 16)
            plane = np.empty(smooth.size)
            plane[np.argsort(smooth, axis=None)] = levels
            drawn.append(np.broadcast_to(plane.reshape(smooth.shape), (self.channels, *smooth.shape)))
        return self._scaled(np.stack(drawn))

    def flat(self, value: float) -> Array:
        """Return one even image [1, C, H, W]; ``value`` in 0..1 of the range."""
        return self._scaled(np.full((1, self.channels, self.height, self.width), value))

    def ramp(self, axis: int, span: float = 0.4) -> Array:
        """Return one image whose pixels hold their row (axis 0) or column (axis 1), over ``span`` about 0.5."""
        extent = self.height if axis == 0 else self.width
        line = 0.5 + span * (np.arange(extent) / max(1, extent - 1) - 0.5)
        plane = line[:, None] if axis == 0 else line[None, :]
        return self._scaled(np.broadcast_to(plane, (1, self.channels, self.height, self.width)))

    def coded(self, span: float = 0.4) -> Array:
        """Return one image with its rows in the first channel, its columns in the second, 0.5 elsewhere."""
        image = self.flat(0.5)
        image[:, 0] = self.ramp(0, span)[:, 0]
        if self.channels > 1:
            image[:, 1] = self.ramp(1, span)[:, 0]
        return image


def value_range(graph: Graph) -> tuple[float, float]:
    """Return the pixel range to feed: 0..255 when the model normalises by itself, else -1..1.

    The same idea as the evaluation server's, but by what the operators do and not by how the nodes are called, nor by
    where they stand in the file: something on the way from the image to the first large weights takes a constant of
    30 or more off the pixels, or divides or scales them by 1/30 or less.
    """
    reached, looked = set(graph.inputs), 0
    for node in graph.nodes:
        if not reached & set(node.inputs):
            continue
        looked += 1
        if looked > NORMALISING:
            break
        sizes = _constant_sizes(node)
        if node.op in SCALING and any(_normalises(node.op, size) for size, count in sizes[:1] if count <= FEW):
            return 0.0, 255.0
        if node.op not in WEIGHING or all(count <= FEW for _, count in sizes):
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


def _normalises(kind: str, size: float) -> bool:
    return size >= 30 if kind in ("Sub", "Add", "Div") else 0 < size <= 1 / 30
