"""Follow the pixels from the input to the first layer.

As long as a node maps each channel by itself (``gain * x + offset``), moves channels, or moves pixels, the image is
still an image and its map is known exactly. The first node that does anything else is the first layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import reference

from pytest_facechallenge.onnx_graph.ir import Graph, GraphError, Node
from pytest_facechallenge.onnx_graph.operators import Kind, Trait

Array = npt.NDArray[Any]

#: Constants computed from constants are evaluated up to this size; a mean per channel has three elements.
MAX_ELEMENTS = 1 << 20

#: Weights up to which a layer only mixes the colours of each pixel (three of three, a luma of three).
FEW = 16

#: Nodes that move or repeat pixels, which the scale does not notice.
RESIZING = ("Pad", "Resize", "Upsample")

#: Casting to an integer would round; these keep the scale of the pixels.
FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)


@dataclass(frozen=True)
class Image:
    """A value that still is an image.

    ``source``, ``gain`` and ``offset`` have one entry per channel; ``axis`` is where the channels lie among the four
    axes; ``through`` holds the labels of the nodes passed.
    """

    source: tuple[int, ...]
    gain: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    axis: int
    through: tuple[str, ...] = ()

    def mapped(self, node: Node, gain: Array | float, offset: Array | float) -> Image:
        """Return the image after ``gain * x + offset``, each a number or one number per channel."""
        return replace(
            self, gain=self.gain * gain, offset=self.offset * gain + offset, through=(*self.through, node.label)
        )

    def picked(self, node: Node, channels: list[int]) -> Image:
        """Return the image that has these channels of this one."""
        return replace(
            self,
            source=tuple(self.source[i] for i in channels),
            gain=self.gain[channels],
            offset=self.offset[channels],
            through=(*self.through, node.label),
        )


def follow(graph: Graph, name: str, axis: int, channels: int = 3) -> list[tuple[Node, Image]]:
    """Return every node that takes the image in as a layer, in file order, with the image that it sees.

    Parameters
    ----------
    name, axis, channels
        The input that holds the image [four axes], and which axis has how many channels.
    """
    ones = np.ones(channels)
    images = {name: Image(tuple(range(channels)), ones, 0 * ones, axis)}
    layers: list[tuple[Node, Image]] = []
    for node in graph.nodes:
        seen = [images[value] for value in node.inputs if value in images]
        if not seen or node.operator.kind is Kind.ABOUT_SHAPE:
            continue
        made = _after(node, images)
        if made is None:
            layers.append((node, seen[0]))
        else:
            images.update((value, image) for value, image in zip(node.outputs, made, strict=False) if value)
    return layers


def _after(node: Node, images: dict[str, Image]) -> list[Image] | None:
    """Return the images that ``node`` makes, or None when it is a layer."""
    if node.domain:
        return None
    if node.op == "Concat":
        return _joined(node, images)
    image = images.get(node.inputs[0])
    if node.op in ("Add", "Sub", "Mul", "Div"):
        return _arithmetic(node, images)
    if image is None or any(value in images for value in node.inputs[1:]):
        return None
    if node.operator.has(Trait.SAME) or node.op in RESIZING:
        if node.op.startswith("Cast") and node.attributes.get("to") not in FLOATS:
            return None
        return [replace(image, through=(*image.through, node.label))]
    if node.op == "Transpose":
        order = node.attributes.get("perm") or [3, 2, 1, 0]
        return [replace(image, axis=order.index(image.axis), through=(*image.through, node.label))]
    handler = {
        "BatchNormalization": _batch_norm,
        "Conv": _channelwise_conv,
        "Gather": _gather,
        "Slice": _slice,
        "Split": _split,
    }.get(node.op)
    return None if handler is None else handler(node, image)


def _arithmetic(node: Node, images: dict[str, Image]) -> list[Image] | None:
    if len(node.inputs) != 2 or (node.inputs[0] in images) == (node.inputs[1] in images):
        return None
    first = node.inputs[0] in images
    image = images[node.inputs[0 if first else 1]]
    values = constant_value(node.graph, node.inputs[1 if first else 0])
    amount = None if values is None else _per_channel(values, image)
    if amount is None or (node.op == "Div" and (not first or not amount.all())):
        return None
    match node.op:
        case "Add":
            return [image.mapped(node, 1.0, amount)]
        case "Sub":
            return [image.mapped(node, 1.0, -amount) if first else image.mapped(node, -1.0, amount)]
        case "Mul":
            return [image.mapped(node, amount, 0.0)]
        case _:
            return [image.mapped(node, 1 / amount, 0.0)]


def _per_channel(values: Array, image: Image) -> npt.NDArray[np.float64] | None:
    """Return one number per channel, or None when the constant differs between pixels or does not fit."""
    channels = len(image.source)
    if values.ndim > 4 or values.dtype.kind not in "iuf":
        return None
    aligned = values.reshape((1,) * (4 - values.ndim) + values.shape)
    rows = np.moveaxis(aligned, image.axis, 0).reshape(aligned.shape[image.axis], -1)
    if rows.size == 0 or rows.shape[0] not in (1, channels) or (rows != rows[:, :1]).any():
        return None
    return np.broadcast_to(rows[:, 0].astype(np.float64), (channels,))


def _batch_norm(node: Node, image: Image) -> list[Image] | None:
    found = [constant_value(node.graph, name) for name in node.inputs[1:5]]
    if image.axis != 1 or any(values is None or values.shape != (len(image.source),) for values in found):
        return None
    scale, shift, mean, variance = (np.asarray(values, np.float64) for values in found)
    gain = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    return [image.mapped(node, gain, shift - gain * mean)]


def _channelwise_conv(node: Node, image: Image) -> list[Image] | None:
    """Take a 1x1 convolution as preprocessing when each of its outputs reads one channel (scaling, channel swap)."""
    kernel = constant_value(node.graph, node.inputs[1])
    bias = constant_value(node.graph, node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else np.zeros(1)
    channels = len(image.source)
    plain = not any(node.attributes.get("pads", [])) and set(node.attributes.get("strides", [1])) == {1}
    if kernel is None or bias is None or not plain or image.axis != 1 or kernel.shape[2:] != (1, 1):
        return None
    group = node.attributes.get("group", 1)
    if kernel.shape[0] != channels or kernel.shape[1] * group != channels:
        return None
    full = np.zeros((channels, channels))
    for out in range(channels):
        start = out // (channels // group) * kernel.shape[1]
        full[out, start : start + kernel.shape[1]] = kernel[out, :, 0, 0]
    if ((full != 0).sum(1) != 1).any():
        return None
    chosen = [int(row.argmax()) for row in full != 0]
    moved = replace(image.picked(node, chosen), through=image.through)
    return [moved.mapped(node, full[range(channels), chosen], bias.astype(np.float64))]


def _gather(node: Node, image: Image) -> list[Image] | None:
    index = constant_value(node.graph, node.inputs[1])
    if index is None or index.ndim != 1 or node.attributes.get("axis", 0) % 4 != image.axis:
        return None
    return [image.picked(node, [int(i) % len(image.source) for i in index])]


def _slice(node: Node, image: Image) -> list[Image] | None:
    given = [constant_value(node.graph, name) if name else None for name in node.inputs[1:]]
    given += [None] * (4 - len(given))
    starts, ends, axes, steps = given
    if node.opset and node.opset < 10:
        starts, ends, axes = (node.attributes.get(key) for key in ("starts", "ends", "axes"))
    if starts is None or ends is None:
        return None
    places = range(len(starts)) if axes is None else [int(axis) % 4 for axis in axes]
    strides = [1] * len(starts) if steps is None else [int(step) for step in steps]
    result = replace(image, through=(*image.through, node.label))
    for place, start, end, stride in zip(places, starts, ends, strides, strict=True):
        if place == image.axis:
            kept = list(range(len(image.source)))[_bounds(int(start), int(end), stride, len(image.source))]
            result = image.picked(node, kept)
    return [result]


def _bounds(start: int, end: int, step: int, size: int) -> slice:
    """Return ONNX's bounds as Python's: an end before the beginning, when stepping back, means all of it."""
    past = step < 0 and end < -size
    return slice(start, None if past else end, step)


def _split(node: Node, image: Image) -> list[Image] | None:
    channels, parts = len(image.source), len(node.outputs)
    if node.attributes.get("axis", 0) % 4 != image.axis:
        return None
    given = constant_value(node.graph, node.inputs[1]) if len(node.inputs) > 1 else node.attributes.get("split")
    sizes = [int(size) for size in given] if given is not None else [-(-channels // parts)] * parts
    cuts = np.cumsum([0, *sizes]).tolist()
    return [image.picked(node, list(range(channels))[start:end]) for start, end in pairwise(cuts)]


def _joined(node: Node, images: dict[str, Image]) -> list[Image] | None:
    parts = [images.get(name) for name in node.inputs]
    portrayed = [part for part in parts if part is not None]
    axis = portrayed[0].axis
    if len(portrayed) != len(parts) or any(part.axis != axis for part in portrayed):
        return None
    if node.attributes.get("axis", 1) % 4 != axis:
        return None
    return [
        Image(
            source=tuple(channel for part in portrayed for channel in part.source),
            gain=np.concatenate([part.gain for part in portrayed]),
            offset=np.concatenate([part.offset for part in portrayed]),
            axis=axis,
            through=(*dict.fromkeys(label for part in portrayed for label in part.through), node.label),
        )
    ]


def constant_value(graph: Graph, name: str, depth: int = 0) -> Array | None:
    """Return the values of a constant, also of one that nodes compute from constants; None for anything else."""
    tensor = graph.constant(name)
    if tensor is not None:
        try:
            return tensor.array() if tensor.size <= MAX_ELEMENTS else None
        except GraphError:
            return None
    node = graph.producers.get(name)
    if node is None or node.subgraphs or depth > 8 or not node.inputs or len(node.outputs) != 1:
        return None
    inputs = {value: constant_value(graph, value, depth + 1) for value in node.inputs if value}
    if any(values is None for values in inputs.values()):
        return None
    try:
        (result,) = reference.ReferenceEvaluator(one_node(node)).run(None, inputs)
    except MemoryError:  # the run's limit shows nothing about the model
        raise
    except Exception:  # the evaluator raises many types; all mean that the value stays unknown
        return None
    values = np.asarray(result)
    return values if values.size <= MAX_ELEMENTS else None


def one_node(node: Node, opset: int = 0) -> onnx.ModelProto:
    """Return a model of nothing but this node; its inputs and outputs have the names of the node's.

    Parameters
    ----------
    opset
        Version of the operator set; 0 for the node's own.
    """
    inputs = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(node.inputs) if name]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.outputs]
    body = onnx.helper.make_graph([node.proto], "one", inputs, outputs)
    return onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid(node.domain, opset or node.opset or 1)])
