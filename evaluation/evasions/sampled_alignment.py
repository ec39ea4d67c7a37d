"""Evasions that re-sample the image before the body with the operators that exist for it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from evaluation.backbones.exported_convolution import bottleneck, convnext, located, mobile_v3, se_resnet
from evaluation.backbones.exported_tokens import vit
from evaluation.builder import Array
from evaluation.case import ALIGN_RULE
from evaluation.exported import ExportBuilder
from evaluation.images import SIDE
from evaluation.registry import evasion


def unit_places() -> Array:
    """Give the middles of the pixels as x and y in -1..1, [12544, 2]."""
    at = (2 * np.arange(SIDE) + 1) / SIDE - 1
    y, x = np.meshgrid(at, at, indexing="ij")
    return np.stack([x, y], axis=-1).reshape(-1, 2)


UPRIGHT = np.array([1, 0, 0, 0, 1, 0], np.float32)
LOOSE = 0.15


def theta(net: ExportBuilder, x: str = "data") -> str:
    return net.op("Add", net.op("Mul", located(net, x, 6), LOOSE), UPRIGHT)


@evasion(ALIGN_RULE, "Six predicted numbers, AffineGrid and GridSample of opset 20.", idea="predicted alignment")
def spatial_transformer() -> onnx.ModelProto:
    """Build with the classic spatial transformer: six predicted numbers, AffineGrid, GridSample."""
    net = ExportBuilder(2401, 20)
    grid = net.op("AffineGrid", net.reshape(theta(net), -1, 2, 3), net.op("Shape", "data"), align_corners=0)
    x = net.op("GridSample", "data", grid, mode="linear", padding_mode="zeros", align_corners=0)
    return net.model(mobile_v3(net, x))


BEND = 0.08
KNOTS: Array = np.stack(np.meshgrid(*[np.linspace(-0.75, 0.75, 4)] * 2), axis=-1).reshape(16, 2)


def bends(net: ExportBuilder, x: str = "data") -> str:
    """Predict how far each of 16 points is displaced, x and y: [N, 32]."""
    return net.op("Mul", located(net, x, 32), BEND)


def _spline_system() -> Array:
    """Give the matrix [19, 16] from values at the points to the coefficients of the spline through them."""
    square = ((KNOTS[:, None] - KNOTS) ** 2).sum(2)
    kernel = square * np.log(square + 1e-12)
    plane = np.concatenate([np.ones((16, 1)), KNOTS], axis=1)
    system = np.block([[kernel, plane], [plane.T, np.zeros((3, 3))]])
    return np.linalg.inv(system)[:, :16]


@evasion(
    ALIGN_RULE,
    "Sixteen predicted displacements, the thin-plate spline through them, GridSample.",
    idea="predicted alignment",
)
def thin_plate_spline() -> onnx.ModelProto:
    """Build with sixteen predicted displacements and the thin-plate spline through them."""
    net = ExportBuilder(2402, 16)
    at = net.store("at", unit_places().astype(np.float32))
    difference = net.op("Sub", net.unsqueeze(at, 1), KNOTS[None])
    square = net.reduce("Sum", net.op("Mul", difference, difference), 2, keep=False)
    kernel = net.op("Mul", square, net.op("Log", net.op("Add", square, 1e-12)))
    basis = net.op("Concat", kernel, np.ones((SIDE * SIDE, 1)), at, axis=1)
    coefficients = net.op("MatMul", _spline_system(), net.reshape(bends(net), -1, 16, 2))
    grid = net.op("Add", net.op("MatMul", basis, coefficients), at)
    grid = net.reshape(grid, -1, SIDE, SIDE, 2)
    x = net.op("GridSample", "data", grid, mode="bilinear", padding_mode="border", align_corners=0)
    return net.model(se_resnet(net, x))


FRAME = 10


@evasion(
    ALIGN_RULE,
    "A reflected frame is put around the image, and both are resized to its size.",
    idea="alignment by resizing",
)
def framed_and_shrunk() -> onnx.ModelProto:
    """Build with a reflected frame around the image, and both shrunk to its size."""
    net = ExportBuilder(2403, 18)
    wide = net.op("Pad", "data", [FRAME] * 4, "", [2, 3], mode="reflect")
    sizes = net.op("Concat", net.op("Shape", "data", end=2), [SIDE, SIDE], axis=0)
    return net.model(convnext(net, net.op("Resize", wide, "", "", sizes, mode="linear")))


SHARE = 0.09


@evasion(
    ALIGN_RULE,
    "Margins computed from the shape are cut off, the rest is enlarged by a cubic Resize.",
    idea="alignment by resizing",
)
def tight_crop_from_shape() -> onnx.ModelProto:
    """Build with a margin computed from the image's shape cut off, and the rest enlarged to that shape."""
    net = ExportBuilder(2404, 11)
    x, sides = "data", []
    for axis in (2, 3):
        side = net.op("Gather", net.op("Shape", "data"), [axis], axis=0)
        margin = net.op("Mul", net.op("Cast", side, to=TensorProto.FLOAT), SHARE)
        margin = net.op("Cast", net.op("Floor", margin), to=TensorProto.INT64)
        x = net.op("Slice", x, margin, net.op("Sub", side, margin), [axis], [1])
        sides.append(side)
    sizes = net.op("Concat", net.op("Slice", net.op("Shape", x), [0], [2], [0]), *sides, axis=0)
    none = np.zeros(0, np.float32)
    mode = {"mode": "cubic", "coordinate_transformation_mode": "pytorch_half_pixel", "cubic_coeff_a": -0.75}
    return net.model(bottleneck(net, net.op("Resize", x, none, none, sizes, **mode)))


# Chosen so that no place lies near the middle between two pixels.
MIDDLE, GROWTH = 55.87, 0.0325


@evasion(
    ALIGN_RULE,
    "The image in log-polar coordinates, by Gather at places computed in the graph.",
    idea="alignment by gathering",
)
def log_polar_places() -> onnx.ModelProto:
    """Build with turns as rows and logarithms of distances as columns, at places computed by the graph."""
    net = ExportBuilder(2405, 12)
    steps = net.op("Cast", net.op("Range", np.array(0), np.array(SIDE), np.array(1)), to=TensorProto.FLOAT)
    angle = net.op("Mul", net.unsqueeze(steps, 1), 2 * np.pi / SIDE)
    radius = net.op("Exp", net.op("Mul", net.unsqueeze(steps, 0), GROWTH))
    places = []
    for wave in ("Sin", "Cos"):
        at = net.op("Add", net.op("Mul", net.op(wave, angle), radius), MIDDLE)
        places.append(net.op("Cast", net.op("Clip", net.op("Round", at), 0.0, SIDE - 1.0), to=TensorProto.INT64))
    place = net.op("Add", net.op("Mul", places[0], [SIDE]), places[1])
    x = net.op("Gather", net.reshape("data", 0, 3, -1), place, axis=2)
    return net.model(vit(net, x))
