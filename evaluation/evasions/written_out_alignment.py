"""Evasions that re-sample the image before the body with operators made for something else."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from evaluation.backbones.exported_convolution import bottleneck, located, mobile_v3
from evaluation.backbones.exported_tokens import swin
from evaluation.case import ALIGN_RULE
from evaluation.evasions.sampled_alignment import unit_places
from evaluation.exported import ExportBuilder
from evaluation.images import SIDE
from evaluation.registry import evasion


def pose(net: ExportBuilder, x: str = "data") -> str:
    """Predict angle, growth and two moves, in -1..1: [N, 4]."""
    return located(net, x, 4)


TURN, GROW, MOVE = 0.3, 0.1, 0.1


@evasion(
    ALIGN_RULE,
    "A predicted similarity, sampled by four GatherElements and their weights.",
    idea="alignment by gathering",
)
def bilinear_by_hand() -> onnx.ModelProto:
    """Build with a predicted similarity, sampled by four GatherElements and their weights."""
    net = ExportBuilder(2411, 11)
    angle, growth, right, down = net.split(pose(net), [1] * 4, 1)
    angle, scale = net.op("Mul", angle, TURN), net.op("Exp", net.op("Mul", growth, GROW))
    cos, sin = (net.op("Mul", net.op(wave, angle), scale) for wave in ("Cos", "Sin"))
    lines = ((cos, net.op("Neg", sin), right), (sin, cos, down))
    at = net.store("at", unit_places().T.astype(np.float32))
    corners, shares = [], []
    for a, b, move in lines:
        line = net.op("MatMul", net.op("Concat", a, b, axis=1), at)
        line = net.op("Add", line, net.op("Mul", move, MOVE))
        pixel = net.op("Sub", net.op("Mul", net.op("Add", line, 1.0), SIDE / 2), 0.5)
        low = net.op("Floor", pixel)
        share = net.op("Sub", pixel, low)
        corners.append([net.op("Clip", end, 0.0, SIDE - 1.0) for end in (low, net.op("Add", low, 1.0))])
        shares.append([net.op("Sub", 1.0, share), share])
    flat = net.reshape("data", 0, 3, -1)
    parts = []
    for i in range(2):
        for j in range(2):
            place = net.op("Add", net.op("Mul", corners[1][i], float(SIDE)), corners[0][j])
            place = net.op("Cast", place, to=TensorProto.INT64)
            place = net.op("Expand", net.unsqueeze(place, 1), [1, 3, 1])
            pixels = net.op("GatherElements", flat, place, axis=2)
            parts.append(net.op("Mul", pixels, net.unsqueeze(net.op("Mul", shares[1][i], shares[0][j]), 1)))
    x = net.op("Sum", *parts)
    return net.model(bottleneck(net, net.reshape(x, 0, 3, SIDE, SIDE)))


MOST = 14


def steps(net: ExportBuilder, x: str = "data") -> str:
    """Predict by how many rows and columns, 1 to 13, the image is rolled: [N, 2], whole numbers."""
    return net.op("Round", net.op("Add", net.op("Mul", located(net, x, 2), MOST / 2 - 1.0), MOST / 2))


@evasion(
    ALIGN_RULE, "A predicted roll along both axes, each made of three ReverseSequences.", idea="alignment by reversal"
)
def rolled_by_reversals() -> onnx.ModelProto:
    """Build with a predicted roll: the first s reversed, all reversed, all but s reversed, once for each axis."""
    net = ExportBuilder(2412, 13)
    x = "data"
    for axis, step in zip((2, 3), net.split(steps(net), [1, 1], 1), strict=True):
        perm = [0, axis, 1, 5 - axis]
        x = net.transpose(x, *perm)
        step = net.op("Cast", net.squeeze(step, 1), to=TensorProto.INT64)
        total = net.op("Add", net.op("Mul", step, [0]), [SIDE])
        for length in (step, total, net.op("Sub", total, step)):
            x = net.op("ReverseSequence", x, length, batch_axis=0, time_axis=1)
        x = net.transpose(x, *np.argsort(perm).tolist())
    return net.model(mobile_v3(net, x))


def densities(net: ExportBuilder, x: str = "data") -> str:
    """Predict how much room 14 strips of rows and 14 of columns get: [N, 28], in -1..1."""
    return located(net, x, 28)


ROOM = 0.8


@evasion(
    ALIGN_RULE,
    "Predicted room for each strip, summed up to places; pixels average what falls between.",
    idea="alignment by moments",
)
def saliency_sampler() -> onnx.ModelProto:
    """Build with rows and columns that get the more room the more interesting they are predicted to be.

    Their shares add up to places, and each pixel of the result averages what falls between two places.
    """
    net = ExportBuilder(2413, 13)
    x = "data"
    low = np.arange(SIDE, dtype=np.float32).reshape(1, SIDE, 1)
    spread = net.const(np.repeat(np.eye(14), 8, axis=1))
    for axis, density in zip((2, 3), net.split(densities(net), [14, 14], 1), strict=True):
        share = net.op("Softmax", net.op("MatMul", net.op("Mul", density, ROOM), spread), axis=1)
        share = net.unsqueeze(net.op("Mul", share, float(SIDE)), 1)
        end = net.op("CumSum", share, np.array(2))
        start = net.op("Sub", end, share)
        matrix = net.op("Relu", net.op("Sub", net.op("Min", end, low + 1), net.op("Max", start, low)))
        matrix = net.unsqueeze(matrix, 1)
        x = net.op("MatMul", matrix, x) if axis == 2 else net.op("MatMul", x, net.transpose(matrix, 0, 1, 3, 2))
    return net.model(swin(net, x))
