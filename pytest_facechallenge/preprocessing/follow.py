"""Follow the pixels from the input to the first layer.

As long as a node maps each channel by itself (``gain * x + offset``), moves channels, or moves pixels, the picture is
still a picture and its map is known exactly. The first node that does anything else is the first layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import reference

from pytest_facechallenge.graph.ir import Graph, GraphError, Node

Array = npt.NDArray[Any]

#: Constants computed from constants are evaluated up to this size; a mean per channel has three elements.
MAX_ELEMENTS = 1 << 20

#: Nodes that leave every value as it is; Pad and Resize move pixels, which the scale does not notice.
UNCHANGED = frozenset({"Identity", "Dropout", "Pad", "Resize", "Upsample", "Cast", "CastLike"})

#: Casting to an integer would round; these keep the scale of the pixels.
FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)

#: Nodes that read the picture's shape only.
SHAPE_ONLY = frozenset({"Shape", "Size"})

#: Element-wise nodes that are no first layer: behind one of them the scale of the pixels is another, but unknown.
OPAQUE = frozenset({
    "Abs", "Ceil", "Clip", "Erf", "Exp", "Floor", "Log", "Max", "Min", "Mod", "Neg", "Pow", "Reciprocal", "Relu",
    "Round", "Sigmoid", "Sign", "Sin", "Cos", "Sqrt", "Tanh", "Where", "If", "Loop", "Scan",
})  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A value that still is a picture.

    ``source``, ``gain`` and ``offset`` have one entry per channel; ``axis`` is where the channels lie among the four
    axes; ``through`` holds the labels of the nodes passed.
    """

    source: tuple[int, ...]
    gain: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    axis: int
    through: tuple[str, ...] = ()

    def mapped(self, node: Node, gain: Array | float, offset: Array | float) -> Picture:
        """Return the picture after ``gain * x + offset``, each a number or one number per channel."""
        return replace(
            self, gain=self.gain * gain, offset=self.offset * gain + offset, through=(*self.through, node.label)
        )

    def picked(self, node: Node, channels: list[int]) -> Picture:
        """Return the picture that has these channels of this one."""
        return replace(
            self,
            source=tuple(self.source[i] for i in channels),
            gain=self.gain[channels],
            offset=self.offset[channels],
            through=(*self.through, node.label),
        )


def follow(graph: Graph, name: str, axis: int, channels: int = 3) -> list[tuple[Node, Picture]]:
    """Return every node that takes the picture in as a layer, in file order, with the picture that it sees.

    Parameters
    ----------
    name, axis, channels
        The input that holds the picture [four axes], and which axis has how many channels.
    """
    ones = np.ones(channels)
    pictures = {name: Picture(tuple(range(channels)), ones, 0 * ones, axis)}
    layers: list[tuple[Node, Picture]] = []
    for node in graph.nodes:
        seen = [pictures[value] for value in node.inputs if value in pictures]
        if not seen or node.op in SHAPE_ONLY:
            continue
        made = _after(node, pictures)
        if made is None:
            layers.append((node, seen[0]))
        else:
            pictures.update((value, picture) for value, picture in zip(node.outputs, made, strict=False) if value)
    return layers


def _after(node: Node, pictures: dict[str, Picture]) -> list[Picture] | None:
    """Return the pictures that ``node`` makes, or None when it is a layer."""
    if node.domain:
        return None
    if node.op == "Concat":
        return _joined(node, pictures)
    picture = pictures.get(node.inputs[0])
    if node.op in ("Add", "Sub", "Mul", "Div"):
        return _arithmetic(node, pictures)
    if picture is None or any(value in pictures for value in node.inputs[1:]):
        return None
    if node.op in UNCHANGED:
        if node.op.startswith("Cast") and node.attributes.get("to") not in FLOATS:
            return None
        return [replace(picture, through=(*picture.through, node.label))]
    if node.op == "Transpose":
        order = node.attributes.get("perm") or [3, 2, 1, 0]
        return [replace(picture, axis=order.index(picture.axis), through=(*picture.through, node.label))]
    handler = {
        "BatchNormalization": _batch_norm,
        "Conv": _channelwise_conv,
        "Gather": _gather,
        "Slice": _slice,
        "Split": _split,
    }.get(node.op)
    return None if handler is None else handler(node, picture)


def _arithmetic(node: Node, pictures: dict[str, Picture]) -> list[Picture] | None:
    if len(node.inputs) != 2 or (node.inputs[0] in pictures) == (node.inputs[1] in pictures):
        return None
    first = node.inputs[0] in pictures
    picture = pictures[node.inputs[0 if first else 1]]
    values = constant_value(node.graph, node.inputs[1 if first else 0])
    amount = None if values is None else _per_channel(values, picture)
    if amount is None or (node.op == "Div" and (not first or not amount.all())):
        return None
    match node.op:
        case "Add":
            return [picture.mapped(node, 1.0, amount)]
        case "Sub":
            return [picture.mapped(node, 1.0, -amount) if first else picture.mapped(node, -1.0, amount)]
        case "Mul":
            return [picture.mapped(node, amount, 0.0)]
        case _:
            return [picture.mapped(node, 1 / amount, 0.0)]


def _per_channel(values: Array, picture: Picture) -> npt.NDArray[np.float64] | None:
    """Return one number per channel, or None when the constant differs between pixels or does not fit."""
    channels = len(picture.source)
    if values.ndim > 4 or values.dtype.kind not in "iuf":
        return None
    aligned = values.reshape((1,) * (4 - values.ndim) + values.shape)
    rows = np.moveaxis(aligned, picture.axis, 0).reshape(aligned.shape[picture.axis], -1)
    if rows.size == 0 or rows.shape[0] not in (1, channels) or (rows != rows[:, :1]).any():
        return None
    return np.broadcast_to(rows[:, 0].astype(np.float64), (channels,))


def _batch_norm(node: Node, picture: Picture) -> list[Picture] | None:
    found = [constant_value(node.graph, name) for name in node.inputs[1:5]]
    if picture.axis != 1 or any(values is None or values.shape != (len(picture.source),) for values in found):
        return None
    scale, shift, mean, variance = (np.asarray(values, np.float64) for values in found)
    gain = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    return [picture.mapped(node, gain, shift - gain * mean)]


def _channelwise_conv(node: Node, picture: Picture) -> list[Picture] | None:
    """Take a 1x1 convolution as preprocessing when each of its outputs reads one channel (scaling, channel swap)."""
    kernel = constant_value(node.graph, node.inputs[1])
    bias = constant_value(node.graph, node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else np.zeros(1)
    channels = len(picture.source)
    plain = not any(node.attributes.get("pads", [])) and set(node.attributes.get("strides", [1])) == {1}
    if kernel is None or bias is None or not plain or picture.axis != 1 or kernel.shape[2:] != (1, 1):
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
    moved = replace(picture.picked(node, chosen), through=picture.through)
    return [moved.mapped(node, full[range(channels), chosen], bias.astype(np.float64))]


def _gather(node: Node, picture: Picture) -> list[Picture] | None:
    index = constant_value(node.graph, node.inputs[1])
    if index is None or index.ndim != 1 or node.attributes.get("axis", 0) % 4 != picture.axis:
        return None
    return [picture.picked(node, [int(i) % len(picture.source) for i in index])]


def _slice(node: Node, picture: Picture) -> list[Picture] | None:
    given = [constant_value(node.graph, name) if name else None for name in node.inputs[1:]]
    given += [None] * (4 - len(given))
    starts, ends, axes, steps = given
    if node.opset and node.opset < 10:
        starts, ends, axes = (node.attributes.get(key) for key in ("starts", "ends", "axes"))
    if starts is None or ends is None:
        return None
    places = range(len(starts)) if axes is None else [int(axis) % 4 for axis in axes]
    strides = [1] * len(starts) if steps is None else [int(step) for step in steps]
    result = replace(picture, through=(*picture.through, node.label))
    for place, start, end, stride in zip(places, starts, ends, strides, strict=True):
        if place == picture.axis:
            kept = list(range(len(picture.source)))[_bounds(int(start), int(end), stride, len(picture.source))]
            result = picture.picked(node, kept)
    return [result]


def _bounds(start: int, end: int, step: int, size: int) -> slice:
    """Return ONNX's bounds as Python's: an end before the beginning, when stepping back, means all of it."""
    past = step < 0 and end < -size
    return slice(start, None if past else end, step)


def _split(node: Node, picture: Picture) -> list[Picture] | None:
    channels, parts = len(picture.source), len(node.outputs)
    if node.attributes.get("axis", 0) % 4 != picture.axis:
        return None
    given = constant_value(node.graph, node.inputs[1]) if len(node.inputs) > 1 else node.attributes.get("split")
    sizes = [int(size) for size in given] if given is not None else [-(-channels // parts)] * parts
    cuts = np.cumsum([0, *sizes]).tolist()
    return [picture.picked(node, list(range(channels))[start:end]) for start, end in pairwise(cuts)]


def _joined(node: Node, pictures: dict[str, Picture]) -> list[Picture] | None:
    parts = [pictures.get(name) for name in node.inputs]
    pictured = [part for part in parts if part is not None]
    axis = pictured[0].axis
    if len(pictured) != len(parts) or any(part.axis != axis for part in pictured):
        return None
    if node.attributes.get("axis", 1) % 4 != axis:
        return None
    return [
        Picture(
            source=tuple(channel for part in pictured for channel in part.source),
            gain=np.concatenate([part.gain for part in pictured]),
            offset=np.concatenate([part.offset for part in pictured]),
            axis=axis,
            through=(*dict.fromkeys(label for part in pictured for label in part.through), node.label),
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
        (result,) = reference.ReferenceEvaluator(_one_node(node)).run(None, inputs)
    except Exception:  # the evaluator raises many types; all mean that the value stays unknown
        return None
    values = np.asarray(result)
    return values if values.size <= MAX_ELEMENTS else None


def _one_node(node: Node) -> onnx.ModelProto:
    inputs = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(node.inputs) if name]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.outputs]
    body = onnx.helper.make_graph([node.proto], "one", inputs, outputs)
    return onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid(node.domain, node.opset or 1)])
