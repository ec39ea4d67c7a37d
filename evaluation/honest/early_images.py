"""Honest networks that keep the image beside what they make of it, or rewrite it without moving anything."""

from __future__ import annotations

import numpy as np
import onnx

from evaluation.backbones.plain import plain, residual, stem, trunk
from evaluation.exported import ExportBuilder
from evaluation.images import SIDE, Array
from evaluation.registry import honest

#: What the cases of this module have in common.
BESIDE, LOSSLESS, DYNAMIC = "the image beside features", "a lossless transform in front", "early dynamic features"
WINDOWED = "a first stage that is no affine map"


def _wide(net: ExportBuilder, x: str, channels: int) -> str:
    """Embed a full-resolution map of some channels."""
    return trunk(net, stem(net, x, "wide", channels))


@honest("Brightness curves x + a(x) (x - x^2), three in a row (Zero-DCE).", idea=BESIDE)
def brightness_curves() -> onnx.ModelProto:
    net = ExportBuilder(9101)
    y = net.conv(net.conv("data", "a1", (8, 3, 3, 3), 1, 1), "a2", (9, 8, 3, 3), 1, 1, act="Tanh")
    x = "data"
    for curve in net.split(net.op("Mul", y, 0.3), [3, 3, 3], 1):
        x = net.op("Add", x, net.op("Mul", curve, net.op("Sub", 1.0, net.op("Mul", x, x))))
    return net.model(plain(net, x))


@honest("A residual denoiser of full resolution before the network (DnCNN).", idea=BESIDE)
def denoised_first() -> onnx.ModelProto:
    net = ExportBuilder(9102)
    y = net.conv(net.conv("data", "d1", (12, 3, 3, 3), 1, 1), "d2", (12, 12, 3, 3), 1, 1)
    noise = net.op("Mul", net.conv(y, "d3", (3, 12, 3, 3), 1, 1, act=""), 0.3)
    return net.model(plain(net, net.op("Sub", "data", noise)))


@honest("Each pixel times a gate that its surroundings give.", idea=BESIDE)
def spatially_gated() -> onnx.ModelProto:
    net = ExportBuilder(9103)
    gate = net.conv(net.conv("data", "g1", (8, 3, 7, 7), 1, 3), "g2", (1, 8, 7, 7), 1, 3, act="Sigmoid")
    return net.model(plain(net, net.op("Mul", "data", gate)))


@honest("The image joined to its first features, twice (DenseNet's first block at full resolution).", idea=BESIDE)
def dense_first_block() -> onnx.ModelProto:
    net = ExportBuilder(9104)
    x = net.op("Concat", "data", net.conv("data", "a", (6, 3, 3, 3), 1, 1), axis=1)
    x = net.op("Concat", x, net.conv(x, "b", (6, 9, 3, 3), 1, 1), axis=1)
    return net.model(_wide(net, x, 15))


@honest("A pre-activation residual block on the image itself.", idea=BESIDE)
def preactivated_on_the_image() -> onnx.ModelProto:
    net = ExportBuilder(9105)
    y = net.op("Relu", net.batch_norm("data", "n", 3))
    y = net.conv(net.conv(y, "a", (12, 3, 3, 3), 1, 1), "b", (3, 12, 3, 3), 1, 1, act="")
    return net.model(plain(net, net.op("Add", "data", y)))


@honest("A small U-Net corrects the image before it is embedded.", idea=BESIDE)
def corrected_by_a_unet() -> onnx.ModelProto:
    net = ExportBuilder(9106)
    a = net.conv("data", "a", (8, 3, 3, 3), 1, 1)
    b = net.conv(a, "b", (16, 8, 4, 4), 2, 1)
    up = net.op("Resize", net.conv(b, "c", (8, 16, 3, 3), 1, 1), "", np.array([1, 1, 2, 2], np.float32), mode="linear")
    y = net.conv(net.op("Concat", a, up, axis=1), "d", (3, 16, 3, 3), 1, 1, act="Tanh")
    return net.model(plain(net, net.op("Add", "data", net.op("Mul", y, 0.2))))


def _haar(net: ExportBuilder, x: str) -> str:
    """One level of the Haar transform by slices: [N, C, h, w] to [N, 4C, h / 2, w / 2]."""
    a, b, c, d = (net.op("Slice", x, [i, j], [1 << 20] * 2, [2, 3], [2, 2]) for i in (0, 1) for j in (0, 1))
    sums, rows = (
        net.op("Add", net.op("Add", a, b), net.op("Add", c, d)),
        net.op("Sub", net.op("Add", a, b), net.op("Add", c, d)),
    )
    columns = net.op("Sub", net.op("Add", a, c), net.op("Add", b, d))
    corners = net.op("Sub", net.op("Add", a, d), net.op("Add", b, c))
    return net.op("Mul", net.op("Concat", sums, rows, columns, corners, axis=1), 0.5)


@honest("One level of the Haar transform by slices.", idea=LOSSLESS)
def haar_by_slices() -> onnx.ModelProto:
    net = ExportBuilder(9111)
    return net.model(trunk(net, net.conv(_haar(net, "data"), "w", (16, 12, 3, 3), 1, 1)))


@honest("Two levels of the Haar transform by slices.", idea=LOSSLESS)
def haar_twice() -> onnx.ModelProto:
    net = ExportBuilder(9112)
    y = _haar(net, _haar(net, "data"))
    y = residual(net, net.conv(y, "w", (24, 48, 3, 3), 1, 1), "r", 24)
    return net.model(net.linear(net.op("Flatten", net.conv(y, "c", (24, 24, 4, 4), 4), axis=1), "embed", 24 * 49, 64))


@honest("One level of the Haar transform by a grouped convolution of stride 2.", idea=LOSSLESS)
def haar_by_convolution() -> onnx.ModelProto:
    net = ExportBuilder(9113)
    signs = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], np.float32)
    kernel = np.tile(signs.reshape(4, 1, 2, 2) / 2, (3, 1, 1, 1))
    y = net.op("Conv", "data", kernel, kernel_shape=[2, 2], strides=[2, 2], group=3)
    return net.model(trunk(net, net.conv(y, "w", (16, 12, 3, 3), 1, 1)))


def _wavelet_matrix() -> Array:
    matrix = np.zeros((SIDE, SIDE), np.float32)
    for i in range(SIDE // 2):
        matrix[i, 2 * i : 2 * i + 2] = (0.5**0.5, 0.5**0.5)
        matrix[SIDE // 2 + i, 2 * i : 2 * i + 2] = (0.5**0.5, -(0.5**0.5))
    return matrix


@honest("One level of the Haar transform by a matrix on each side; its quarters become channels.", idea=LOSSLESS)
def haar_by_matrices() -> onnx.ModelProto:
    net = ExportBuilder(9114)
    matrix, half = _wavelet_matrix(), SIDE // 2
    y = net.op("MatMul", net.op("MatMul", matrix, "data"), matrix.T.copy())
    quarters = [net.op("Slice", y, [i, j], [i + half, j + half], [2, 3]) for i in (0, half) for j in (0, half)]
    return net.model(trunk(net, net.conv(net.op("Concat", *quarters, axis=1), "w", (16, 12, 3, 3), 1, 1)))


@honest("The first kernel is a mix of four, chosen by the image (CondConv at full resolution).", idea=DYNAMIC)
def mixed_first_kernels() -> onnx.ModelProto:
    net = ExportBuilder(9121)
    shares = net.linear(net.op("Flatten", net.op("GlobalAveragePool", "data"), axis=1), "route", 3, 4, "Sigmoid")
    parts = net.split(shares, [1] * 4, 1)
    banks = [net.conv("data", f"bank{i}", (12, 3, 3, 3), 1, 1, act="") for i in range(4)]
    y = net.op(
        "Sum", *(net.op("Mul", bank, net.unsqueeze(part, 2, 3)) for bank, part in zip(banks, parts, strict=True))
    )
    return net.model(_wide(net, net.op("Relu", y), 12))


@honest("Each pixel's own 3x3 filter, predicted from the image, normalised (kernel prediction).", idea=DYNAMIC)
def predicted_pixel_filters() -> onnx.ModelProto:
    net = ExportBuilder(9122)
    y = net.conv(net.conv("data", "k1", (8, 3, 3, 3), 1, 1), "k2", (9, 8, 3, 3), 1, 1, act="")
    filters = net.split(net.op("Softmax", y, axis=1), [1] * 9, 1)
    wide = net.op("Pad", "data", [0, 0, 1, 1, 0, 0, 1, 1])
    taps = [net.op("Slice", wide, [i, j], [i + SIDE, j + SIDE], [2, 3]) for i in range(3) for j in range(3)]
    x = net.op("Sum", *(net.op("Mul", tap, one) for tap, one in zip(taps, filters, strict=True)))
    return net.model(_wide(net, net.conv(net.op("Concat", "data", x, axis=1), "m", (8, 6, 3, 3), 1, 1), 8))


@honest("Squeeze and excitation and x * sigmoid(x) at full resolution.", idea=DYNAMIC)
def excited_at_full_resolution() -> onnx.ModelProto:
    net = ExportBuilder(9123)
    y = net.conv("data", "first", (12, 3, 3, 3), 1, 1, act="")
    y = net.excite(net.op("Mul", y, net.op("Sigmoid", y)), "se", 12)
    return net.model(_wide(net, y, 12))


@honest("Columns attend to columns of early features (axial attention).", idea=DYNAMIC)
def axial_attention_early() -> onnx.ModelProto:
    net = ExportBuilder(9124)
    x = net.conv("data", "first", (12, 3, 3, 3), 1, 1)
    q, k = (net.conv(x, name, (6, 12, 1, 1), act="") for name in ("q", "k"))
    q, k = (net.transpose(one, 0, 2, 3, 1) for one in (q, k))
    read = net.op("Softmax", net.op("Mul", net.op("MatMul", q, net.transpose(k, 0, 1, 3, 2)), 0.4), axis=3)
    y = net.op("MatMul", read, net.transpose(net.conv(x, "v", (12, 12, 1, 1), act=""), 0, 2, 3, 1))
    return net.model(_wide(net, net.op("Add", x, net.transpose(y, 0, 3, 1, 2)), 12))


@honest("A spatial transformer on deep features.", idea=DYNAMIC)
def transformer_of_deep_features() -> onnx.ModelProto:
    net = ExportBuilder(9125, 16)
    x = net.conv(net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1), "c3", (32, 24, 4, 4), 2, 1)
    seen = net.op("Flatten", net.op("GlobalAveragePool", x), axis=1)
    by = net.op("Mul", net.linear(seen, "theta", 32, 2, "Tanh"), 0.2)
    lines = np.linspace(-1, 1, 14, dtype=np.float32)
    base = np.stack(np.meshgrid(lines, lines), -1)[None]
    grid = net.op("Add", net.unsqueeze(by, 1, 2), base)
    x = net.op("GridSample", x, grid, padding_mode="border", align_corners=1)
    x = net.conv(x, "c4", (24, 32, 4, 4), 2, 1)
    return net.model(net.linear(net.op("Flatten", x, axis=1), "embed", 24 * 49, 64))


@honest("Only an oval window of the image is looked at; its pixels stay where they are.", idea=WINDOWED)
def oval_window() -> onnx.ModelProto:
    net = ExportBuilder(9131)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    window = ((rows / 0.5) ** 2 + (columns / 0.4) ** 2 < 1).astype(np.float32)
    return net.model(plain(net, net.op("Mul", "data", window[None, None])))


@honest("A Laplacian pyramid of two levels, side by side at full size.", idea=WINDOWED)
def pyramid_of_two_levels() -> onnx.ModelProto:
    net = ExportBuilder(9132)
    low = net.op("AveragePool", "data", kernel_shape=[5, 5], pads=[2] * 4, count_include_pad=0)
    return net.model(_wide(net, net.op("Concat", net.op("Sub", "data", low), low, axis=1), 6))


@honest("The positive and the negative part of the image as channels (CReLU).", idea=WINDOWED)
def both_signs_of_the_image() -> onnx.ModelProto:
    net = ExportBuilder(9133)
    parts = net.op("Relu", "data"), net.op("Relu", net.op("Neg", "data"))
    return net.model(_wide(net, net.op("Concat", *parts, axis=1), 6))
