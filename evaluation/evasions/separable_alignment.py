"""Evasions that align along rows and columns: by matrices, phases, gathering and pooling."""

from __future__ import annotations

import numpy as np
import onnx

from evaluation.backbones.plain import plain
from evaluation.case import ALIGN_RULE
from evaluation.evasions.packed_views import turned_places
from evaluation.images import SIDE
from evaluation.named import NamedBuilder
from evaluation.registry import evasion

ANGLE = 6.0
REACH = 8.0


def _locate(net: NamedBuilder, count: int) -> str:
    """Predict ``count`` numbers in -1..1 per image from a thumbnail: [N, count]."""
    x = net.op("AveragePool", "data", kernel_shape=[8, 8], strides=[8, 8])
    x = net.conv(x, "look", (8, 3, 4, 4), 2, 1)
    return net.op("Tanh", net.linear(net.op("Flatten", x), "place", 8 * 49, count))


def located(seed: int, count: int, opset: int = 13) -> onnx.ModelProto:
    """Build only the localisation of a case."""
    net = NamedBuilder(seed, opset)
    return net.model(_locate(net, count), count)


@evasion(
    ALIGN_RULE,
    "Scale and place predicted per image, applied by two MatMuls with matrices of Relu(1 - distance).",
    idea="alignment by matrices",
)
def hat_matrices() -> onnx.ModelProto:
    net = NamedBuilder(401)
    scale_x, move_x, scale_y, move_y = net.split(_locate(net, 4), [1, 1, 1, 1], 1)
    grid = np.arange(SIDE, dtype=np.float32).reshape(1, SIDE) - (SIDE - 1) / 2
    x = "data"
    for scale, move, rows in ((scale_x, move_x, False), (scale_y, move_y, True)):
        at = net.op("Mul", net.op("Add", net.op("Mul", scale, 0.2), 1.0), grid)
        at = net.op("Add", net.op("Add", at, net.op("Mul", move, REACH)), (SIDE - 1) / 2)
        distance = net.op("Abs", net.op("Sub", np.arange(SIDE).reshape(SIDE, 1) * 1.0, net.unsqueeze(at, 1)))
        hat = net.unsqueeze(net.op("Relu", net.op("Sub", 1.0, distance)), 1)
        x = net.op("MatMul", net.transpose(hat, 0, 1, 3, 2), x) if rows else net.op("MatMul", x, hat)
    return net.model(plain(net, x))


@evasion(
    ALIGN_RULE,
    "A fixed zoom of 1.25 by ConvTranspose (5 times larger), AveragePool (4 times smaller) and Split (the centre).",
    idea="alignment by convolution",
)
def blown_up_and_pooled() -> onnx.ModelProto:
    net = NamedBuilder(402)
    x = net.op("ConvTranspose", "data", np.ones((3, 1, 5, 5)), strides=[5, 5], group=3)
    x = net.op("AveragePool", x, kernel_shape=[4, 4], strides=[4, 4])
    for axis in (2, 3):
        x = net.split(x, [14, SIDE, 14], axis)[1]
    return net.model(plain(net, x))


@evasion(
    ALIGN_RULE,
    "A predicted sideways shift, done by phases between a Fourier transform and its inverse, both MatMul.",
    idea="alignment in the spectrum",
)
def phase_ramp() -> onnx.ModelProto:
    net = NamedBuilder(403, 11)
    move = net.unsqueeze(net.unsqueeze(_locate(net, 1), 2), 3)
    wave = np.fft.fftfreq(SIDE)
    angle = 2 * np.pi * np.outer(np.arange(SIDE), wave)
    cos, sin = net.const(np.cos(angle)), net.const(np.sin(angle))
    real, imaginary = net.op("MatMul", "data", cos), net.op("Neg", net.op("MatMul", "data", sin))
    ramp = net.op("Mul", move, (2 * np.pi * REACH * wave).reshape(1, 1, 1, SIDE))
    c, s = net.op("Cos", ramp), net.op("Sin", ramp)
    turned = (
        net.op("Add", net.op("Mul", real, c), net.op("Mul", imaginary, s)),
        net.op("Sub", net.op("Mul", imaginary, c), net.op("Mul", real, s)),
    )
    back = [
        net.op("MatMul", part, matrix.T / SIDE)
        for part, matrix in zip(turned, (np.cos(angle), np.sin(angle)), strict=True)
    ]
    return net.model(plain(net, net.op("Sub", *back)))


@evasion(
    ALIGN_RULE,
    "A predicted shift in whole pixels, done by GatherElements along rows and columns.",
    idea="alignment by gathering",
)
def gathered_translation() -> onnx.ModelProto:
    net = NamedBuilder(404)
    moves = net.op("Round", net.op("Mul", _locate(net, 2), REACH))
    x = "data"
    shape = net.op("Shape", x)
    for axis, move in zip((2, 3), net.split(moves, [1, 1], 1), strict=True):
        at = net.op("Clip", net.op("Add", net.op("Cast", move, to=7), np.arange(SIDE)), np.array(0), np.array(SIDE - 1))
        at = net.reshape(at, -1, 1, *((SIDE, 1) if axis == 2 else (1, SIDE)))
        x = net.op("GatherElements", x, net.op("Expand", at, shape), axis=axis)
    return net.model(plain(net, x))


@evasion(
    ALIGN_RULE,
    "A fixed turn by 6 degrees, done by Gather of the flattened image with a table of 12544 places.",
    idea="alignment by gathering",
)
def turned_by_table() -> onnx.ModelProto:
    net = NamedBuilder(405)
    table = net.store("table", turned_places(ANGLE).astype(np.int32))
    x = net.op("Gather", net.reshape("data", 0, 3, SIDE * SIDE), table, axis=2)
    return net.model(plain(net, net.reshape(x, 0, 3, SIDE, SIDE)))
