"""Evasions that align by landmarks, fields, boxes or shifts, most of them predicted from the image."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from evaluation.backbones.small import mobile, resnet, transformer
from evaluation.builder import Array
from evaluation.case import ALIGN_RULE
from evaluation.images import SIDE
from evaluation.named import NamedBuilder
from evaluation.registry import evasion

HALF = (SIDE - 1) / 2


def _thumbnail(net: NamedBuilder) -> str:
    """See the whole face in few pixels: [N, 8, 7, 7]."""
    x = net.op("AveragePool", "data", kernel_shape=[4, 4], strides=[4, 4])
    return net.conv(net.conv(x, "thumb0", (8, 3, 4, 4), 2, 1), "thumb1", (8, 8, 4, 4), 2, 1)


def _predicted(net: NamedBuilder, count: int, act: str = "Tanh") -> str:
    return net.op(act, net.linear(net.op("Flatten", _thumbnail(net)), "predict", 392, count))


def predicted(seed: int, count: int, act: str = "Tanh") -> onnx.ModelProto:
    """Build only what a case predicts from the image: [N, count]."""
    net = NamedBuilder(seed)
    return net.model(_predicted(net, count, act), count)


# Where an aligned face has eyes, nose and corners of the mouth, x and y in -1..1.
TEMPLATE: Array = np.array([[-0.32, -0.08], [0.31, -0.08], [0.0, 0.28], [-0.26, 0.65], [0.26, 0.65]])


def _landmarks(net: NamedBuilder) -> str:
    x = net.op("AveragePool", "data", kernel_shape=[4, 4], strides=[4, 4])
    heat = net.conv(net.conv(x, "heat0", (8, 3, 3, 3), pad=1), "heat1", (5, 8, 3, 3), pad=1, act="")
    heat = net.op("Softmax", net.op("Mul", net.reshape(heat, 0, 5, 784), 12.0), axis=-1)
    y, x_at = np.mgrid[:28, :28].reshape(2, 784) / 13.5 - 1
    offset = net.op("MatMul", heat, np.stack([x_at, y], axis=1))
    return net.op("Add", net.op("Mul", offset, 0.3), TEMPLATE)


def landmarks() -> onnx.ModelProto:
    net = NamedBuilder(1401)
    return net.model(net.op("Flatten", _landmarks(net)), 10)


@evasion(
    ALIGN_RULE,
    "Five predicted points, the least-squares similarity to a template, GridSample.",
    idea="predicted alignment",
)
def similarity_from_landmarks() -> onnx.ModelProto:
    """Build the usual alignment: five points, the least-squares similarity from the template to them, GridSample."""
    net = NamedBuilder(1401, 16)
    points = _landmarks(net)
    centre = net.mean(points, 1, keep=True)
    points = net.op("Sub", points, centre)
    middle = TEMPLATE.mean(0)
    t = TEMPLATE - middle
    # Complex division written out: points = (a + ib) * template.
    solve = np.stack([t, np.stack([-t[:, 1], t[:, 0]], axis=1)]).reshape(2, 10) / (t**2).sum()
    a, b = net.split(net.op("MatMul", net.reshape(points, -1, 10), solve.T), [1, 1], 1)
    turn = net.reshape(net.op("Concat", a, b, net.op("Neg", b), a, axis=1), -1, 2, 2)
    base = np.stack(np.meshgrid(*[(np.arange(SIDE) - HALF) / (SIDE / 2)] * 2), axis=-1).reshape(-1, 2) - middle
    grid = net.reshape(net.op("Add", net.op("MatMul", base, turn), centre), -1, SIDE, SIDE, 2)
    x = net.op("GridSample", "data", grid, mode="bilinear", padding_mode="border", align_corners=0)
    return net.model(resnet(net, x))


FLOW = 5.0


def _flow(net: NamedBuilder) -> str:
    coarse = net.op("Tanh", net.op("Mul", net.conv(_thumbnail(net), "flow", (2, 8, 3, 3), pad=1, act=""), 3.0))
    fine = net.op("Resize", coarse, "", np.array([1, 1, 16, 16], np.float32), mode="linear")
    return net.op("Mul", fine, FLOW)


def flow() -> onnx.ModelProto:
    net = NamedBuilder(1402)
    return net.model(net.op("Flatten", _flow(net)), 2 * SIDE * SIDE)


@evasion(
    ALIGN_RULE,
    "A coarse predicted field of displacements, enlarged, rounded, applied by GatherElements.",
    idea="predicted alignment",
)
def flow_field() -> onnx.ModelProto:
    """Build with a coarse field of displacements, enlarged, rounded and turned into places of the flat image."""
    net = NamedBuilder(1402)
    at = net.op("Add", np.mgrid[:SIDE, :SIDE][None].astype(np.float32), net.op("Round", _flow(net)))
    at = net.op("Clip", at, 0.0, SIDE - 1.0)
    rows, columns = net.split(at, [1, 1], 1)
    place = net.op("Cast", net.op("Add", net.op("Mul", rows, float(SIDE)), columns), to=TensorProto.INT64)
    place = net.op("Concat", *[net.reshape(place, 0, 1, SIDE * SIDE)] * 3, axis=1)
    x = net.op("GatherElements", net.reshape("data", 0, 3, SIDE * SIDE), place, axis=2)
    return net.model(mobile(net, net.reshape(x, 0, 3, SIDE, SIDE)))


LEAN = 7


@evasion(
    ALIGN_RULE,
    "A fixed shear: a Reshape with a column too many moves each band of rows by a pixel.",
    idea="alignment by reshaping",
)
def sheared_by_reshape() -> onnx.ModelProto:
    """Build with a fixed shear: bands of 8 rows slip by a pixel each, since a Reshape reads too few columns."""
    net = NamedBuilder(1403, 11)
    bands = 2 * LEAN
    x = net.op("Pad", "data", [0, 0, 0, bands, 0, 0, 0, bands])
    wide = SIDE + 2 * bands
    x = net.transpose(net.reshape(x, 0, 3, bands, 8, wide), 0, 1, 3, 2, 4)
    x = net.op("Pad", net.reshape(x, 0, 3, 8, bands * wide), [0] * 7 + [bands])
    x = net.reshape(x, 0, 3, 8, bands, wide + 1)
    x = net.op("Slice", x, [bands - LEAN], [bands - LEAN + SIDE], [4])
    return net.model(mobile(net, net.reshape(net.transpose(x, 0, 1, 3, 2, 4), 0, 3, SIDE, SIDE)))


def lens() -> Array:
    """Give the matrix [112, 112] that re-samples a line with its middle enlarged: out = matrix @ line."""
    u = (np.arange(SIDE) - HALF) / HALF
    at = HALF + HALF * (0.7 * u + 0.3 * u**3)
    return np.asarray(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(SIDE))))


@evasion(
    ALIGN_RULE,
    "A fixed lens that enlarges the middle, as pairs of dense matrices on each side.",
    idea="alignment by matrices",
)
def lens_of_dense_pairs() -> onnx.ModelProto:
    """Build with a fixed lens, written as two products with dense matrices on each side."""
    net = NamedBuilder(1404)
    x = "data"
    for axis in ("rows", "columns"):
        turn = np.linalg.qr(net.rng(axis).standard_normal((SIDE, SIDE)))[0]
        first, second = net.const(turn.T @ lens()), net.const(turn)
        if axis == "rows":
            x = net.op("MatMul", second, net.op("MatMul", first, x))
        else:
            x = net.op("Gemm", net.reshape(x, -1, SIDE), first, transB=1)
            x = net.reshape(net.op("Gemm", x, second, transB=1), -1, 3, SIDE, SIDE)
    return net.model(resnet(net, x))


def box(values: Array) -> Array:
    """Give the region (left, top, right, bottom) in pixels that predictions in -1..1 stand for."""
    signs = np.array([8, 8, -8, -8])
    return np.asarray(np.array([8, 8, SIDE - 8, SIDE - 8]) + signs * values)


@evasion(ALIGN_RULE, "A predicted box is cut out of the image by RoiAlign.", idea="alignment by RoiAlign")
def predicted_region() -> onnx.ModelProto:
    """Build with a face box predicted from a thumbnail and cut out of the image by RoiAlign."""
    net = NamedBuilder(1405, 16)
    values = _predicted(net, 4)
    region = net.op("Add", net.op("Mul", values, np.array([8.0, 8, -8, -8])), np.array([8.0, 8, SIDE - 8, SIDE - 8]))
    rows = net.op("Gather", net.op("Shape", "data"), np.array(0))
    which = net.op("Range", np.array(0), rows, np.array(1))
    size = {"output_height": SIDE, "output_width": SIDE, "sampling_ratio": 1}
    return net.model(transformer(net, net.op("RoiAlign", "data", region, which, **size)))


MARGIN = 0.06


@evasion(
    ALIGN_RULE, "A fixed region is resized to the whole image by Resize with its roi.", idea="alignment by resizing"
)
def resized_region() -> onnx.ModelProto:
    """Build with a fixed region of the image resized to all of it, by one Resize."""
    net = NamedBuilder(1406, 11)
    region = np.array([0, 0, MARGIN, MARGIN, 1, 1, 1 - 2 * MARGIN, 1 - 3 * MARGIN], np.float32)
    wide = net.op("Pad", "data", [0, 0, 0, 0, 0, 0, 4, 4], mode="edge")
    lead = net.op("Slice", net.op("Shape", "data"), [0], [2], [0])
    sizes = net.op("Concat", lead, [SIDE, SIDE], axis=0)
    mode = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    x = net.op("Resize", wide, region, np.zeros(0, np.float32), sizes, **mode)
    return net.model(resnet(net, x))


BITS = (1, 2, 4)


@evasion(
    ALIGN_RULE, "A predicted shift, done by its binary digits with Pad, Slice and Where.", idea="alignment by selection"
)
def barrel_shifter() -> onnx.ModelProto:
    """Build with a predicted shift of up to 7 pixels down and right, done by its binary digits and Where."""
    net = NamedBuilder(1407)
    x = net.op("Pad", "data", [0, 0, 0, 0, 0, 0, 7, 7], mode="edge")
    digits = net.op("Greater", _predicted(net, 6), 0.0)
    for i, digit in enumerate(net.split(digits, [1] * 6, 1)):
        axis, bit = 2 + i // 3, BITS[i % 3]
        kept = net.op("Slice", x, [bit], [1000], [axis])
        pads = [0] * 8
        pads[4 + axis] = bit
        moved = net.op("Pad", kept, pads)
        x = net.op("Where", net.unsqueeze(net.unsqueeze(digit, 2), 3), moved, x)
    x = net.op("Slice", x, [0, 0], [SIDE, SIDE], [2, 3])
    return net.model(resnet(net, x))


REACH = 3


def _delta(net: NamedBuilder) -> str:
    """Predict where the one tap of a 7x7 kernel stands, softly: [N, 49]."""
    score = net.linear(net.op("Flatten", _thumbnail(net)), "tap", 392, 49, gain=40.0)
    return net.op("Softmax", score, axis=1)


def delta() -> onnx.ModelProto:
    net = NamedBuilder(1408)
    return net.model(_delta(net), 49)


@evasion(
    ALIGN_RULE,
    "A predicted 7x7 kernel per image, all but one tap nearly nothing, moves the image.",
    idea="alignment by convolution",
)
def predicted_delta_kernels() -> onnx.ModelProto:
    """Build with a kernel per image, sharp and with little but one tap: it moves the image where it should be."""
    net = NamedBuilder(1408)
    wide = net.op("Pad", "data", [0, 0, REACH, REACH, 0, 0, REACH, REACH])
    taps = np.eye(49).reshape(49, 1, 7, 7)
    seen = net.op("Conv", net.reshape(wide, -1, 1, SIDE + 6, SIDE + 6), taps, strides=[1, 1])
    seen = net.reshape(seen, -1, 3, 49, SIDE * SIDE)
    kernel = net.reshape(_delta(net), 0, 1, 1, 49)
    return net.model(mobile(net, net.reshape(net.op("MatMul", kernel, seen), 0, 3, SIDE, SIDE)))


def column_codes() -> Array:
    """Give waves for every column, [112, 8, 2]: sine and cosine, the shortest 14 pixels long."""
    at = np.arange(SIDE)[:, None] * 2 * np.pi * np.arange(1, 9) / (2 * SIDE)
    return np.stack([np.sin(2 * at), np.cos(2 * at)], axis=2)


PULL = 6.0


@evasion(
    ALIGN_RULE,
    "Columns attend to columns whose place codes are turned by a predicted phase.",
    idea="alignment by attention",
)
def warp_by_attention() -> onnx.ModelProto:
    """Build with columns that attend to columns; predicted phases turn the codes of places, so the image moves."""
    net = NamedBuilder(1409)
    move = net.op("Mul", _predicted(net, 1), PULL)
    codes = column_codes()
    waves = 2 * np.pi * np.arange(1, 9) / SIDE
    angle = net.op("Mul", net.reshape(move, -1, 1, 1), waves.reshape(1, 1, 8))
    sin, cos = net.op("Sin", angle), net.op("Cos", angle)
    a, b = codes[:, :, 0], codes[:, :, 1]
    queries = net.op(
        "Concat",
        net.op("Add", net.op("Mul", a, cos), net.op("Mul", b, sin)),
        net.op("Sub", net.op("Mul", b, cos), net.op("Mul", a, sin)),
        axis=2,
    )
    keys = np.concatenate([a, b], axis=1).T
    share = net.op("Softmax", net.op("Mul", net.op("MatMul", queries, keys), 9.0), axis=-1)
    x = net.op("MatMul", "data", net.transpose(net.unsqueeze(share, 1), 0, 1, 3, 2))
    return net.model(resnet(net, x))


GAIN = 4.0


@evasion(
    ALIGN_RULE,
    "The middle of brightness is moved to the middle of the image by matrices of Equal.",
    idea="alignment by moments",
)
def centred_by_brightness() -> onnx.ModelProto:
    """Build with the image moved, by matrices of Equal, so that the middle of its brightness is in the middle."""
    net = NamedBuilder(1410, 11)
    light = net.op("Add", net.mean("data", 1), 1.0001)
    total = net.op("ReduceSum", light, axes=[1, 2], keepdims=1)
    x = "data"
    ramp = np.arange(SIDE) - HALF
    apart = np.subtract.outer(np.arange(SIDE), np.arange(SIDE)).astype(np.float32)
    for axis in (1, 2):
        line = ramp.reshape((SIDE, 1) if axis == 1 else (1, SIDE))
        middle = net.op("ReduceSum", net.op("Mul", light, line), axes=[1, 2], keepdims=1)
        move = net.op("Round", net.op("Mul", net.op("Div", middle, total), GAIN))
        # Row i of the matrix reads place i + move.
        matrix = net.op("Cast", net.op("Equal", net.op("Sub", -apart, move), 0.0), to=TensorProto.FLOAT)
        matrix = net.unsqueeze(matrix, 1)
        x = net.op("MatMul", matrix, x) if axis == 1 else net.op("MatMul", x, net.transpose(matrix, 0, 1, 3, 2))
    return net.model(mobile(net, x))
