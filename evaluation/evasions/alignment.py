"""Evasions that re-align: the image is warped, cropped or re-sampled inside the graph before the body."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from evaluation.backbones.explicit import DIM, Backbone
from evaluation.case import ALIGN_RULE, Case, seed_of
from evaluation.images import Array
from evaluation.proof import PROOFS, Proof
from evaluation.registry import register
from evaluation.runtime import embed
from evaluation.sequential import SequentialBuilder
from evaluation.views import VIEWS

Warp = Callable[[SequentialBuilder, str], str]

WARPS: dict[str, tuple[Warp, int]] = {}


def _build(name: str, kind: str, warp: Warp, opset: int, body: bool = True) -> ModelProto:
    net = SequentialBuilder(seed_of(name), opset=opset)
    y = warp(net, net.x)
    if not body:
        return net.finish(y, 3)
    backbone = Backbone(kind, seed_of(name) % 1000)
    return net.finish(backbone.emit(net, y, backbone.weights()), DIM)


@lru_cache(maxsize=8)
def _front(name: str) -> ModelProto:
    warp, opset = WARPS[name]
    return _build(f"align_{name}", "", warp, opset, body=False)


def warped(name: str, images: Array) -> Array:
    """Run the part in front of the body alone: what the body of case ``align_<name>`` gets to see."""
    return embed(_front(name), images)


def align(about: str, kind: str = "resnet", opset: int = 11, *, idea: str) -> Callable[[Warp], Warp]:
    """Register a warp [N, 3, 112, 112] -> [N, 3, 112, 112] in front of a branch."""

    def add(warp: Warp) -> Warp:
        short, name = warp.__name__, f"align_{warp.__name__}"
        WARPS[short] = (warp, opset)
        backbone = Backbone(kind, seed_of(name) % 1000)
        register(
            Case(
                name=name,
                rules=(ALIGN_RULE,),
                expected="failed",
                idea=idea,
                about=about,
                build=partial(_build, name, kind, warp, opset),
            )
        )
        PROOFS[name] = Proof(
            computes=lambda images: backbone.embed(backbone.weights(), warped(short, images)),
            others=lambda images: [backbone.embed(backbone.weights(), images)],
        )
        return warp

    return add


# ---- fixed


def grid(matrix: Array, side: int = 112) -> Array:
    """Return the sampling grid [1, side, side, 2] of an affine 2 x 3 matrix in normalised coordinates."""
    lines = np.linspace(-1, 1, side)
    columns, rows = np.meshgrid(lines, lines)
    points = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    return np.asarray(points @ matrix.T, np.float32)[None]


def over_batch(net: SequentialBuilder, x: str, one: str, *rest: int) -> str:
    shape = net.op("Concat", net.unsqueeze(net.dim(x, 0), 0), net.const(list(rest)), axis=0)
    return net.op("Expand", one, shape)


@align(
    "A fixed zoom and tilt by GridSample with a constant grid expanded over the batch.",
    opset=16,
    idea="alignment by GridSample",
)
def grid_fixed(net: SequentialBuilder, x: str) -> str:
    matrix = np.array([[0.85, -0.08, 0.02], [0.08, 0.85, -0.05]], np.float32)
    points = over_batch(net, x, net.const(grid(matrix)), 112, 112, 2)
    return net.op("GridSample", x, points, align_corners=1, padding_mode="border")


@align(
    "A fixed affine warp whose grid is computed in the graph by MatMul, then GridSample (bicubic).",
    "folded",
    16,
    idea="alignment by GridSample",
)
def grid_by_matmul(net: SequentialBuilder, x: str) -> str:
    base = net.const(grid(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)) + np.array([0, 0, 1], np.float32))
    theta = net.const(np.array([[0.9, 0.0, 0.0], [0.0, 0.8, 0.1]], np.float32).T)
    points = over_batch(net, x, net.op("MatMul", base, theta), 112, 112, 2)
    return net.op("GridSample", x, points, align_corners=1, padding_mode="border", mode="bicubic")


@align("A lens-like, non-linear warp by GridSample.", "mobile", 16, idea="alignment by GridSample")
def grid_radial(net: SequentialBuilder, x: str) -> str:
    base = grid(np.array([[1, 0, 0], [0, 1, 0]], np.float32))
    points = base * (0.8 + 0.2 * (base**2).sum(-1, keepdims=True) / 2)
    return net.op("GridSample", x, over_batch(net, x, net.const(points), 112, 112, 2), align_corners=1)


@align("AffineGrid with a fixed matrix and GridSample.", "vit", 20, idea="alignment by GridSample")
def affine_grid_fixed(net: SequentialBuilder, x: str) -> str:
    theta = over_batch(net, x, net.const([[[0.9, 0.1, 0.0], [-0.1, 0.9, 0.0]]]), 2, 3)
    points = net.op("AffineGrid", theta, net.op("Shape", x), align_corners=1)
    return net.op("GridSample", x, points, align_corners=1, padding_mode="reflection")


@align("Resize down to 64 x 64 and up again to 112 x 112.", "folded", idea="alignment by resizing")
def resize_down_up(net: SequentialBuilder, x: str) -> str:
    return net.resize(net.resize(x, 4 / 7, 4 / 7), 7 / 4, 7 / 4)


@align(
    "Resize to 128 x 128 and a crop of the middle 112 x 112: the alignment of another network.",
    idea="alignment by resizing",
)
def resize_up_crop(net: SequentialBuilder, x: str) -> str:
    y = net.resize(x, 8 / 7, 8 / 7, "cubic")
    return net.slice(y, [8, 8], [120, 120], [2, 3])


@align("A fixed crop of the face by Slice, resized to 112 x 112 by Resize.", "mobile", idea="alignment by resizing")
def crop_then_resize(net: SequentialBuilder, x: str) -> str:
    return net.resize(net.slice(x, [16, 14], [100, 98], [2, 3]), 4 / 3, 4 / 3)


@align("Resize with tf_crop_and_resize: crop and scale in one op.", idea="alignment by resizing")
def resize_roi(net: SequentialBuilder, x: str) -> str:
    roi = net.const([0.0, 0.0, 0.1, 0.08, 1.0, 1.0, 0.95, 0.92])
    scales = net.const([1.0, 1.0, 1.2, 1.2])  # 114 x 112 cells: with the input's own size onnxruntime only copies
    y = net.op("Resize", x, roi, scales, mode="linear", coordinate_transformation_mode="tf_crop_and_resize")
    return net.slice(y, [1, 0], [113, 112], [2, 3])


@align("RoiAlign with one fixed box per image.", "folded", 16, idea="alignment by RoiAlign")
def roi_align_fixed(net: SequentialBuilder, x: str) -> str:
    boxes = over_batch(net, x, net.const([[10.0, 8.0, 100.0, 104.0]]), 4)
    index = net.op("Range", net.const(0), net.dim(x, 0), net.const(1))
    return net.op("RoiAlign", x, boxes, index, output_height=112, output_width=112, sampling_ratio=1)


@align("The old RoiAlign (opset 11) with a fixed box.", "mobile", idea="alignment by RoiAlign")
def roi_align_old(net: SequentialBuilder, x: str) -> str:
    boxes = over_batch(net, x, net.const([[4.0, 12.0, 106.0, 110.0]]), 4)
    index = net.op("Range", net.const(0), net.dim(x, 0), net.const(1))
    return net.op("RoiAlign", x, boxes, index, output_height=112, output_width=112, sampling_ratio=2)


@align("A fixed zoom by two MatMul with interpolation matrices, no Resize at all.", "vit", idea="alignment by matrices")
def matmul_zoom(net: SequentialBuilder, x: str) -> str:
    return VIEWS["zoom_matmul"].emit(net, x, 3, 112)


def hat(at: npt.NDArray[Any]) -> Array:
    """Interpolation matrix [112, len(at)] that reads a line of 112 cells at the given places."""
    return np.asarray(np.maximum(0, 1 - np.abs(np.arange(112)[:, None] - at[None])), np.float32)


@align(
    "A fixed anisotropic scaling by one Einsum with interpolation matrices for rows and columns.",
    "folded",
    12,
    idea="alignment by matrices",
)
def einsum_scaling(net: SequentialBuilder, x: str) -> str:
    rows, columns = net.const(hat(np.linspace(6, 108, 112))), net.const(hat(np.linspace(12, 99, 112)))
    return net.op("Einsum", x, rows, columns, equation="nchw,hi,wj->ncij")


@align(
    "A fixed shear: one interpolation matrix per row, computed in the graph from ramps, in a batched MatMul.",
    "mobile",
    idea="alignment by matrices",
)
def shear_by_batched_matmul(net: SequentialBuilder, x: str) -> str:
    at = np.clip(np.arange(112)[None] + (np.arange(112)[:, None] - 56) * 0.12, 0, 111)
    distance = net.op("Abs", net.op("Sub", net.const(np.arange(112.0)[:, None]), net.const(at[:, None, :])))
    matrices = net.relu(net.op("Sub", net.const(1.0), distance))
    y = net.op("Transpose", x, perm=[2, 0, 1, 3])
    y = net.op("MatMul", net.reshape(y, 112, -1, 112), matrices)
    return net.op("Transpose", net.reshape(y, 112, -1, 3, 112), perm=[1, 2, 0, 3])


@align(
    "Enlarged by a depthwise ConvTranspose with a bilinear kernel, the middle kept.", idea="alignment by convolution"
)
def transposed_conv(net: SequentialBuilder, x: str) -> str:
    line = np.array([1, 3, 3, 1]) / 4
    kernel = np.tile(np.outer(line, line), (3, 1, 1, 1))
    inner = net.slice(x, [28, 28], [84, 84], [2, 3])
    return net.op(
        "ConvTranspose", inner, net.const(kernel), kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1], group=3
    )


@align(
    "Shrunk by a strided averaging convolution and placed in the middle by Pad.",
    "folded",
    idea="alignment by convolution",
)
def strided_conv(net: SequentialBuilder, x: str) -> str:
    kernel = np.full((3, 1, 2, 2), 0.25)
    small = net.op("Conv", x, net.const(kernel), kernel_shape=[2, 2], strides=[2, 2], group=3)
    return net.op("Pad", small, net.const([0, 0, 28, 28, 0, 0, 28, 28]), mode="edge")


@align("Nearest-neighbour resampling by Gather of repeated rows and columns.", "mobile", idea="alignment by gathering")
def gather_nearest(net: SequentialBuilder, x: str) -> str:
    index = np.round(np.linspace(10, 101, 112)).astype(np.int64)
    return net.op("Gather", net.op("Gather", x, net.const(index), axis=2), net.const(index), axis=3)


@align(
    "The image is shifted up by 6 pixels (mouth and chin out of sight) by Slice and Pad.",
    idea="alignment by gathering",
)
def shift_up(net: SequentialBuilder, x: str) -> str:
    return net.op("Pad", net.slice(x, [6], [112], [2]), net.const([0, 0, 0, 0, 0, 0, 6, 0]), mode="edge")


@align(
    "Turned by a few degrees by one flat Gather per corner and bilinear weights, all constant.",
    "folded",
    idea="alignment by gathering",
)
def gather_bilinear(net: SequentialBuilder, x: str) -> str:
    points = (grid(np.array([[0.99, 0.1, 0.0], [-0.1, 0.99, 0.0]], np.float32))[0] + 1) * 55.5
    points = np.clip(points, 0, 110.99).reshape(-1, 2)
    low, part = np.floor(points).astype(np.int64), points - np.floor(points)
    flat = net.reshape(x, -1, 3, 112 * 112)
    terms = []
    for dx in (0, 1):
        for dy in (0, 1):
            index = (low[:, 1] + dy) * 112 + low[:, 0] + dx
            weight = (part[:, 0] if dx else 1 - part[:, 0]) * (part[:, 1] if dy else 1 - part[:, 1])
            terms.append(net.op("Mul", net.op("Gather", flat, net.const(index), axis=2), net.const(weight)))
    return net.reshape(net.op("Sum", *terms), -1, 3, 112, 112)


@align(
    "The image is normalised and its colours swapped first, then zoomed by Resize and Slice.",
    "vit",
    idea="alignment behind normalisation",
)
def behind_normalisation(net: SequentialBuilder, x: str) -> str:
    y = net.op("Mul", net.op("Sub", x, net.const(0.05)), net.const(0.9))
    y = net.op("Gather", y, net.const([2, 1, 0]), axis=1)
    return net.slice(net.resize(y, 1.25, 1.25), [14, 14], [126, 126], [2, 3])


# ---- bodies made for another size


def _sized(name: str, front: Warp, scale: int) -> ModelProto:
    net = SequentialBuilder(seed_of(name))
    y, cin = front(net, net.x), 3
    for cout in (8, 16, 24, 32)[: scale + 1]:
        y, cin = net.cbr(y, cin, cout, stride=2), cout
    return net.finish(net.pooled_head(y, cin, DIM), DIM)


def _sized_case(name: str, about: str, front: Warp, scale: int) -> None:
    register(
        Case(
            name=name,
            rules=(ALIGN_RULE,),
            expected="failed",
            idea="alignment by resizing",
            about=about,
            build=partial(_sized, name, front, scale),
        )
    )


_sized_case(
    "align_crop_only",
    "A fixed crop of 88 x 96 pixels by Slice; the body works on that size.",
    lambda net, x: net.slice(x, [12, 8], [100, 104], [2, 3]),
    3,
)
_sized_case(
    "align_half_size",
    "Resize to half the size before a body for 56 x 56.",
    lambda net, x: net.resize(x, 0.5, 0.5),
    2,
)
_sized_case(
    "align_double_size",
    "Resize to double size before a body for 224 x 224.",
    lambda net, x: net.resize(x, 2.0, 2.0, "cubic"),
    3,
)
