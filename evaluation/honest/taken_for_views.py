"""Honest networks in which something looks like two views of one face until one of the two is fed another image."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluation.backbones.plain import head, late, residual, stem
from evaluation.builder import Array
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import honest


def _nearest(net: NamedBuilder, x: str, factor: int) -> str:
    sizes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return net.op("Resize", x, "", np.array([1, 1, factor, factor], np.float32), **sizes)


def _last(net: NamedBuilder, x: str, width: int) -> str:
    """Reduce once more and embed: [B, width, 14, 14] to [B, 64]."""
    return head(net, net.conv(x, "last", (24, width, 4, 4), 2, 1), 24, 7)


def _norm(net: NamedBuilder, x: str, name: str, width: int) -> str:
    rng = net.rng(name)
    values = (rng.uniform(0.5, 1.5, width), rng.normal(0, 0.3, width), rng.normal(0, 0.3, width), np.ones(width))
    return net.op("BatchNormalization", x, *(value.astype(np.float32) for value in values))


def _hrnet(seed: int, widths: tuple[int, ...], stride: int = 2) -> onnx.ModelProto:
    """Resolutions side by side; coarse ones are added to fine ones by nearest up-sampling, several times."""
    net = NamedBuilder(seed)
    maps = [net.conv(stem(net, "data"), "s0", (widths[0], 16, stride + 2, stride + 2), stride, 1)]
    for level, (before, after) in enumerate(pairwise(widths)):
        maps.append(net.conv(maps[-1], f"s{level + 1}", (after, before, 4, 4), 2, 1))
    for stage in range(2):
        maps = [
            net.op("Relu", _norm(net, net.conv(x, f"m{stage}.{k}", (w, w, 3, 3), pad=1, act=""), f"n{stage}.{k}", w))
            for k, (x, w) in enumerate(zip(maps, widths, strict=True))
        ]
        fused = maps[0]
        for level in range(1, len(maps)):
            coarse = net.conv(maps[level], f"f{stage}.{level}", (widths[0], widths[level], 1, 1), act="")
            fused = net.op("Add", fused, _nearest(net, _norm(net, coarse, f"fn{stage}.{level}", widths[0]), 2**level))
        maps[0] = net.op("Relu", fused)
    x = net.op("Concat", maps[0], *(_nearest(net, x, 2**k) for k, x in enumerate(maps) if k), axis=1)
    size, by, pad = (1, 1, 0) if stride == 2 else (4, 2, 1)
    x = net.conv(x, "merge", (24, sum(widths), size, size), by, pad)
    return net.model(late(net, x, 24))


@honest("HRNet: coarse features are up-sampled by 4 without interpolation and added to fine ones.", idea="up-sampling")
def high_resolution_nearest() -> onnx.ModelProto:
    return _hrnet(1501, (16, 24, 32))


@honest("HRNet with four resolutions, the coarsest up-sampled by 8.", idea="up-sampling")
def high_resolution_four_levels() -> onnx.ModelProto:
    return _hrnet(1502, (12, 16, 20, 24), stride=1)


@honest("A gate made at a quarter of the resolution, spread out without interpolation.", idea="up-sampling")
def coarse_gate_nearest() -> onnx.ModelProto:
    net = NamedBuilder(1503)
    x = residual(net, net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1), "r", 24)
    gate = net.conv(
        net.op("AveragePool", x, kernel_shape=[4, 4], strides=[4, 4]), "gate", (24, 24, 3, 3), pad=1, act=""
    )
    x = net.op("Mul", x, _nearest(net, net.op("Sigmoid", gate), 4))
    return net.model(late(net, residual(net, x, "r2", 24), 24))


@honest("A feature pyramid, top-down by nearest up-sampling, each level with layers of its own.", idea="up-sampling")
def pyramid_top_down_nearest() -> onnx.ModelProto:
    net = NamedBuilder(1504)
    c2 = net.conv(stem(net, "data"), "c2", (16, 16, 4, 4), 2, 1)
    c3 = net.conv(c2, "d3", (24, 16, 4, 4), 2, 1)
    c4 = net.conv(c3, "d4", (32, 24, 4, 4), 2, 1)
    top = net.conv(c4, "l4", (20, 32, 1, 1), act="")
    middle = net.op("Add", net.conv(c3, "l3", (20, 24, 1, 1), act=""), _nearest(net, top, 2))
    low = net.op("Add", net.conv(c2, "l2", (20, 16, 1, 1), act=""), _nearest(net, middle, 2))
    x = net.conv(low, "smooth", (20, 20, 3, 3), pad=1)
    return net.model(late(net, residual(net, x, "r", 20), 20))


def _unfolded(net: NamedBuilder, x: str, width: int, side: int, size: int = 3) -> str:
    """Return [N, width, taps, side * side]: torch's unfold as it is exported, by Gather along rows and columns."""
    pad = size // 2
    wide = net.op("Pad", x, [0, 0, pad, pad, 0, 0, pad, pad])
    places = np.arange(side)[None] + np.arange(size)[:, None]
    rows = net.op("Gather", wide, places, axis=2)
    both = net.op("Gather", rows, places, axis=4)
    return net.reshape(net.transpose(both, 0, 1, 2, 4, 3, 5), 0, width, size * size, side * side)


@honest("Involution: kernels predicted at each place, applied to unfolded features.", idea="unfolded features")
def involution_by_gather() -> onnx.ModelProto:
    net = NamedBuilder(1505)
    x = net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1)
    kernel = net.conv(net.conv(x, "squeeze", (8, 24, 1, 1)), "span", (9, 8, 1, 1), act="")
    taps = _unfolded(net, x, 24, 28)
    y = net.reshape(net.sum(net.op("Mul", taps, net.reshape(kernel, 0, 1, 9, 784)), 2), 0, 24, 28, 28)
    return net.model(late(net, net.conv(net.op("Add", x, y), "after", (24, 24, 1, 1)), 24))


@honest("Stand-alone self-attention over 5x5 neighbourhoods, unfolded.", idea="unfolded features")
def attention_over_neighbourhoods() -> onnx.ModelProto:
    net = NamedBuilder(1506)
    x = net.conv(net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1), "d3", (24, 24, 4, 4), 2, 1)
    q, k, v = (net.conv(x, name, (24, 24, 1, 1), act="") for name in ("q", "k", "v"))
    keys, values = (_unfolded(net, each, 24, 14, 5) for each in (k, v))
    score = net.reduce("Sum", net.op("Mul", net.reshape(q, 0, 24, 1, 196), keys), 1)
    weight = net.op("Softmax", net.op("Mul", score, 0.2), axis=2)
    y = net.reshape(net.sum(net.op("Mul", values, weight), 2), 0, 24, 14, 14)
    return net.model(_last(net, net.conv(net.op("Add", x, y), "after", (24, 24, 1, 1)), 24))


@honest("CARAFE: features up-sampled by kernels predicted from their content.", idea="unfolded features")
def content_aware_upsampling() -> onnx.ModelProto:
    net = NamedBuilder(1507)
    fine = net.conv(stem(net, "data"), "c2", (16, 16, 4, 4), 2, 1)
    x = net.conv(fine, "d3", (16, 16, 4, 4), 2, 1)
    kernel = net.reshape(net.conv(net.conv(x, "sq", (8, 16, 1, 1)), "span", (36, 8, 1, 1), act=""), 0, 4, 9, 196)
    kernel = net.reshape(net.op("Softmax", kernel, axis=2), 0, 4, 1, 9, 196)
    taps = net.reshape(_unfolded(net, x, 16, 14), 0, 1, 16, 9, 196)
    y = net.reshape(net.sum(net.op("Mul", taps, kernel), 3), 0, 2, 2, 16, 14, 14)
    y = net.reshape(net.transpose(y, 0, 3, 4, 1, 5, 2), 0, 16, 28, 28)
    return net.model(late(net, residual(net, net.op("Add", fine, y), "r", 16), 16))


@honest(
    "The first block adds the image, widened, to a convolution of it (pre-activation).", idea="image beside features"
)
def residual_on_the_image() -> onnx.ModelProto:
    net = NamedBuilder(1509)
    y = net.conv(net.conv("data", "a", (16, 3, 3, 3), pad=1), "b", (16, 16, 3, 3), pad=1, act="")
    x = net.op("Add", y, net.conv("data", "wide", (16, 3, 1, 1), act=""))
    x = net.conv(net.op("Relu", x), "down", (24, 16, 4, 4), 4)
    return net.model(late(net, residual(net, x, "r", 24), 24))


def _cosines(side: int) -> tuple[Array, Array]:
    angle = 2 * np.pi * np.outer(np.arange(side), np.arange(side)) / side
    return np.cos(angle) / np.sqrt(side), np.sin(angle) / np.sqrt(side)


@honest(
    "A global filter: separable Fourier transform of features by cosines and sines, there and back.", idea="spectra"
)
def global_filter_by_products() -> onnx.ModelProto:
    net = NamedBuilder(1510)
    x = net.conv(net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1), "d3", (24, 24, 4, 4), 2, 1)
    for i in range(2):
        cos, sin = (net.const(part) for part in _cosines(14))
        rows = [net.op("MatMul", part, x) for part in (cos, sin)]
        real = net.op("Sub", net.op("MatMul", rows[0], cos), net.op("MatMul", rows[1], sin))
        imaginary = net.op("Add", net.op("MatMul", rows[0], sin), net.op("MatMul", rows[1], cos))
        gain = net.weight(f"filter{i}", 24, 14, 14, gain=14.0)
        real, imaginary = net.op("Mul", real, gain), net.op("Mul", imaginary, gain)
        ways = [[net.op("MatMul", part, each) for part in (cos, sin)] for each in (real, imaginary)]
        back = net.op("Add", net.op("MatMul", ways[0][0], cos), net.op("MatMul", ways[1][1], cos))
        back = net.op("Sub", back, net.op("MatMul", net.op("Sub", ways[0][1], ways[1][0]), sin))
        x = net.op("Add", x, net.conv(back, f"mix{i}", (24, 24, 1, 1)))
    return net.model(_last(net, x, 24))


@honest("One LSTM reads the rows of a map, then its columns, with the same weights.", idea="recurrent rows and columns")
def lstm_over_rows_and_columns() -> onnx.ModelProto:
    net = NamedBuilder(1511)
    x = net.conv(net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1), "d3", (24, 24, 4, 4), 2, 1)
    weights = [net.weight(f"lstm.{key}", 1, 96, 24, gain=1.5) for key in "wr"]
    read = []
    for order in ((3, 0, 2, 1), (2, 0, 3, 1)):
        sequence = net.reshape(net.transpose(x, *order), 14, -1, 24)
        out = net.ops("LSTM", sequence, *weights, outputs=1, hidden_size=24)[0]
        maps = net.reshape(net.squeeze(out, 1), 14, -1, 14, 24)
        read.append(net.transpose(maps, *((1, 3, 2, 0) if order[0] == 3 else (1, 3, 0, 2))))
    x = net.conv(net.op("Concat", *read, axis=1), "mix", (24, 48, 1, 1))
    return net.model(_last(net, x, 24))


@honest(
    "Positive and negative responses of one bank: a CReLU in the middle, one kernel used twice.", idea="shared weights"
)
def both_signs_of_one_bank() -> onnx.ModelProto:
    net = NamedBuilder(1512)
    x = net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1)
    y = net.conv(x, "bank", (24, 24, 3, 3), pad=1, act="")
    both = net.op("Concat", net.op("Relu", y), net.op("Relu", net.op("Neg", y)), axis=1)
    return net.model(late(net, net.conv(both, "mix", (24, 48, 1, 1)), 24))


@honest("The upper and the lower half of the features go through layers of their own.", idea="parts of a face")
def halves_with_own_weights() -> onnx.ModelProto:
    net = NamedBuilder(1513)
    x = residual(net, net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1), "r", 24)
    halves = [net.cut(x, 14 * k, 14 * k + 14, 2) for k in range(2)]
    halves = [net.conv(half, f"h{k}", (24, 24, 3, 3), pad=1) for k, half in enumerate(halves)]
    halves = [net.conv(half, f"g{k}", (32, 24, 4, 4), 2, 1) for k, half in enumerate(halves)]
    pooled = [net.mean(half, 2, 3) for half in halves]
    return net.embed(net.op("Concat", *pooled, axis=1), 64)


@honest("One layer, shared, on every scale of a pyramid, summed up.", idea="shared weights")
def one_head_on_every_scale() -> onnx.ModelProto:
    net = NamedBuilder(1514)
    c2 = net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1)
    c3 = residual(net, net.conv(c2, "d3", (24, 24, 4, 4), 2, 1), "r3", 24)
    c4 = residual(net, net.conv(c3, "d4", (24, 24, 4, 4), 2, 1), "r4", 24)
    pooled = [net.mean(net.conv(level, "head", (32, 24, 3, 3), pad=1), 2, 3) for level in (c2, c3, c4)]
    return net.embed(net.op("Concat", *pooled, axis=1), 96)


@honest("Capsules whose exporter guards a squeeze by an If on a fixed extent.", idea="squeeze as a condition")
def squeeze_guarded_by_a_condition() -> onnx.ModelProto:
    net = NamedBuilder(1515)
    x = net.conv(net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1), "d3", (16, 24, 4, 4), 2, 1)
    capsules = net.transpose(net.reshape(x, 0, 1, 16, 196), 0, 3, 1, 2)
    extent = net.op("Gather", net.op("Shape", capsules), np.array(2), axis=0)
    squeezed, kept = net.child(), net.child()
    outs = [squeezed.squeeze(capsules, 2), kept.op("Identity", capsules)]
    bodies = [
        part.graph([], [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)])
        for part, out in zip((squeezed, kept), outs, strict=True)
    ]
    y = net.op("If", net.op("Equal", extent, np.array(1)), then_branch=bodies[0], else_branch=bodies[1])
    length = net.op("ReduceL2", y, axes=[2], keepdims=1)
    y = net.op("Mul", y, net.op("Div", length, net.op("Add", net.op("Mul", length, length), 1.0)))
    y = net.linear(net.reshape(y, 0, 196, 16), "vote", 16, 24, "Relu")
    return net.model(net.linear(net.mean(y, 1), "embed", 24, EMBEDDING))


@honest(
    "Groups of channels shifted by a pixel, cut by sizes read from the shape; the last group is empty.", idea="shifts"
)
def shifted_channel_groups() -> onnx.ModelProto:
    net = NamedBuilder(1516)
    x = net.conv(stem(net, "data"), "c2", (20, 16, 4, 4), 2, 1)
    wide = net.op("Pad", x, [0, 0, 1, 1, 0, 0, 1, 1])
    channels = net.op("Gather", net.op("Shape", x), [1], axis=0)
    group = net.op("Div", channels, [5])
    moved = []
    for k, (down, right) in enumerate(((0, 1), (2, 1), (1, 0), (1, 2), (1, 1), (1, 1))):
        start, end = net.op("Mul", group, [k]), net.op("Mul", group, [k + 1])
        part = net.op("Slice", wide, start, end, [1])
        moved.append(net.slice(part, [down, right], [down + 28, right + 28], [2, 3]))
    x = net.conv(net.op("Concat", *moved, axis=1), "mix", (24, 20, 1, 1))
    return net.model(late(net, residual(net, x, "r", 24), 24))
