"""Evasions that re-align by numbers predicted from the image, or that choose by it."""

import numpy as np

from evaluation.evasions.alignment import align, grid
from evaluation.evasions.conditional import lit_from_left
from evaluation.sequential import SequentialBuilder
from evaluation.views import VIEWS


def predict(net: SequentialBuilder, x: str, count: int, scale: float) -> str:
    """Localisation network: pooled convolutions and a matrix, ``count`` numbers per image within ± scale."""
    y = net.cbr(net.op("AveragePool", x, kernel_shape=[4, 4], strides=[4, 4]), 3, 8, stride=2)
    y = net.op("AveragePool", net.cbr(y, 8, 8, stride=2), kernel_shape=[7, 7], strides=[7, 7])
    y = net.linear(net.op("Flatten", y, axis=1), 8, count, gain=3.0)
    return net.op("Mul", net.op("Tanh", y), net.const(scale))


@align("Spatial transformer: a predicted affine matrix, AffineGrid, GridSample.", opset=20, idea="predicted alignment")
def stn_affine_grid(net: SequentialBuilder, x: str) -> str:
    theta = net.op(
        "Add", net.reshape(predict(net, x, 6, 0.2), -1, 2, 3), net.const([[[0.9, 0.0, 0.0], [0.0, 0.9, 0.0]]])
    )
    points = net.op("AffineGrid", theta, net.op("Shape", x), align_corners=0)
    return net.op("GridSample", x, points, padding_mode="border")


@align(
    "Spatial transformer of opset 16: grid by MatMul with a predicted matrix.", "folded", 16, idea="predicted alignment"
)
def stn_matmul_grid(net: SequentialBuilder, x: str) -> str:
    theta = net.op(
        "Add", net.reshape(predict(net, x, 6, 0.2), -1, 3, 2), net.const([[[0.9, 0.0], [0.0, 0.9], [0.0, 0.0]]])
    )
    base = grid(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)) + np.array([0, 0, 1], np.float32)
    points = net.reshape(net.op("MatMul", net.const(base.reshape(1, -1, 3)), theta), -1, 112, 112, 2)
    return net.op("GridSample", x, points, padding_mode="border", align_corners=1)


@align(
    "A predicted similarity transform: angle, scale and shift with Sin and Cos.",
    "mobile",
    16,
    idea="predicted alignment",
)
def stn_similarity(net: SequentialBuilder, x: str) -> str:
    angle, size, right, down = net.split(predict(net, x, 4, 0.25), (1, 1, 1, 1), 1)
    size = net.op("Add", size, net.const(0.9))
    cos, sin = net.op("Mul", size, net.op("Cos", angle)), net.op("Mul", size, net.op("Sin", angle))
    theta = net.op("Concat", cos, sin, net.op("Neg", sin), cos, right, down, axis=1)
    base = grid(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)) + np.array([0, 0, 1], np.float32)
    points = net.op("MatMul", net.const(base.reshape(1, -1, 3)), net.reshape(theta, -1, 3, 2))
    return net.op("GridSample", x, net.reshape(points, -1, 112, 112, 2), padding_mode="border", align_corners=1)


@align(
    "RoiAlign with a predicted box: the face is found and cut out again.", "folded", 16, idea="alignment by RoiAlign"
)
def roi_align_predicted(net: SequentialBuilder, x: str) -> str:
    boxes = net.op("Add", predict(net, x, 4, 10.0), net.const([12.0, 12.0, 100.0, 100.0]))
    index = net.op("Range", net.const(0), net.dim(x, 0), net.const(1))
    return net.op("RoiAlign", x, boxes, index, output_height=112, output_width=112, sampling_ratio=1)


@align(
    "Predicted crop by hat-function matrices (as in DRAW): Abs, Sub, Relu and MatMul, no sampling op.",
    idea="predicted alignment",
)
def predicted_matmul(net: SequentialBuilder, x: str) -> str:
    matrices = []
    for numbers in (predict(net, x, 2, 0.2), predict(net, x, 2, 0.2)):
        shift, zoom = net.split(numbers, (1, 1), 1)
        line = net.op("Mul", net.const(np.arange(112)[None] - 55.5), net.op("Add", zoom, net.const(0.8)))
        at = net.op("Add", net.op("Add", line, net.op("Mul", shift, net.const(40.0))), net.const(55.5))
        at = net.op("Clip", at, net.const(0.0), net.const(111.0))
        distance = net.op("Abs", net.op("Sub", net.unsqueeze(at, 2), net.const(np.arange(112.0)[None, None])))
        matrices.append(net.unsqueeze(net.relu(net.op("Sub", net.const(1.0), distance)), 1))
    columns = net.op("Transpose", matrices[1], perm=[0, 1, 3, 2])
    return net.op("MatMul", net.op("MatMul", matrices[0], x), columns)


@align(
    "Rows are shifted by a predicted whole number of pixels with GatherElements.",
    "mobile",
    13,
    idea="predicted alignment",
)
def predicted_shift(net: SequentialBuilder, x: str) -> str:
    shift = net.op("Cast", net.op("Round", predict(net, x, 1, 9.0)), to=7)
    index = net.op("Add", net.const(np.arange(112).reshape(1, 1, 112, 1)), net.unsqueeze(shift, 2, 3))
    index = net.op("Clip", index, net.const(0), net.const(111))
    return net.op("GatherElements", x, net.op("Expand", index, net.op("Shape", x)), axis=2)


@align(
    "A dense flow field predicted from the image moves every pixel a little (GridSample).",
    "folded",
    16,
    idea="predicted alignment",
)
def predicted_flow(net: SequentialBuilder, x: str) -> str:
    y = net.cbr(net.cbr(net.x, 3, 8, 5, 4), 8, 8)
    flow = net.op("Mul", net.op("Tanh", net.conv(y, 8, 2, 3)), net.const(0.08))
    flow = net.op("Transpose", net.resize(flow, 4, 4), perm=[0, 2, 3, 1])
    base = net.const(grid(np.array([[1, 0, 0], [0, 1, 0]], np.float32)))
    return net.op("GridSample", x, net.op("Add", flow, base), padding_mode="border", align_corners=1)


@align(
    "A choice per image, by the side the light comes from, between the image and its zoomed version.",
    "vit",
    idea="alignment on a condition",
)
def chosen_zoom(net: SequentialBuilder, x: str) -> str:
    zoomed = VIEWS["crop_resize"].emit(net, x, 3, 112)
    return net.op("Where", net.unsqueeze(lit_from_left(net, x), 2, 3), zoomed, x)
