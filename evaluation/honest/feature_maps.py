"""Honest networks of convolutions with uncommon attention, fusion, normalisation and arithmetic."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from evaluation.backbones.blocks import early
from evaluation.backbones.plain import late
from evaluation.backbones.small import norm
from evaluation.builder import Array
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import honest


@honest("Features gated from three sides, axes exchanged, and the three averaged (Triplet).", idea="channel attention")
def triplet_attention() -> onnx.ModelProto:
    """Gate the features three times, seen from three sides (axes exchanged), and average the three (Triplet)."""
    net = NamedBuilder(2501, 11)
    x = early(net)
    for i in range(2):
        y = norm(net, net.conv(x, f"t{i}", (24, 24, 3, 3), pad=1), f"t{i}", 24)
        sides = []
        for j, perm in enumerate(((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 2, 1))):
            turned = net.transpose(y, *perm) if j else y
            pools = [net.reduce(kind, turned, 1, keep=True) for kind in ("Max", "Mean")]
            gate = net.conv(net.op("Concat", *pools, axis=1), f"t{i}.gate{j}", (1, 2, 7, 7), pad=3, act="Sigmoid")
            turned = net.op("Mul", turned, gate)
            sides.append(net.transpose(turned, *perm) if j else turned)
        x = net.op("Add", x, net.op("Mul", net.op("Add", net.op("Add", *sides[:2]), sides[2]), 1 / 3))
    return net.model(late(net, x, 24))


@honest("Three scales fused down and up (PAN), a mask on features, three exits.", idea="several resolutions")
def path_aggregation_with_masks() -> onnx.ModelProto:
    """Aggregate three scales down and up (PAN) behind serial pooling, mask covered places, join three exits."""
    net = NamedBuilder(2502, 20)
    levels = [early(net)]
    levels.append(net.conv(levels[0], "c3", (32, 24, 4, 4), 2, 1))
    levels.append(net.conv(levels[1], "c4", (32, 32, 4, 4), 2, 1))
    pools = [net.conv(levels[2], "spp.in", (16, 32, 1, 1))]
    for _ in range(3):
        pools.append(net.op("MaxPool", pools[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4))
    down = [net.conv(net.op("Concat", *pools, axis=1), "spp.out", (24, 64, 1, 1))]
    for i, level in ((1, levels[1]), (0, levels[0])):
        side = net.conv(level, f"side{i}", (24, 24 + 8 * i, 1, 1))
        sizes = net.op("Concat", net.op("Shape", down[0], end=2), net.op("Shape", side, start=2), axis=0)
        up = net.op("Resize", down[0], "", "", sizes, mode="nearest", coordinate_transformation_mode="asymmetric")
        down.insert(0, net.conv(net.op("Concat", side, up, axis=1), f"down{i}", (24, 48, 3, 3), pad=1))
    seen = net.conv(down[0], "mask", (1, 24, 3, 3), pad=1, act="Sigmoid")
    up, exits = "", []
    for i, level in enumerate(down):
        if i:
            up = net.conv(up, f"up{i}", (24, 24, 4, 4), 2, 1)
            level = net.op("Add", level, up)
            seen = net.op("AveragePool", seen, kernel_shape=[2, 2], strides=[2, 2])
        up = net.op("Mul", level, seen)
        window = {"kernel_shape": [4 >> i] * 2, "strides": [4 >> i] * 2}
        small = net.op("AveragePool", up, **window) if i < 2 else up
        exits.append(net.linear(net.op("Flatten", small), f"exit{i}", 24 * 49, 32))
    return net.model(net.op("Concat", *exits, axis=1), 96)


@honest("IBN halves, slopes predicted per image, parameter-free attention; opset 9.", idea="predicted kernels")
def dynamic_relu_with_simam() -> onnx.ModelProto:
    """Half instance, half batch normalisation (IBN), slopes predicted per image, parameter-free attention."""
    net = NamedBuilder(2503, 9)
    x = early(net)
    for i in range(2):
        y = net.conv(x, f"d{i}", (24, 24, 3, 3), pad=1, act="")
        one, two = net.split(y, [12, 12], 1)
        one = net.op("InstanceNormalization", one, np.ones(12), np.zeros(12))
        y = net.op("Concat", one, norm(net, two, f"d{i}", 12), axis=1)
        told = net.op("Flatten", net.op("GlobalAveragePool", y))
        told = net.linear(net.linear(told, f"d{i}.a", 24, 12, "Relu"), f"d{i}.b", 12, 96, "Tanh")
        parts = net.split(net.reshape(told, 0, 96, 1, 1), [24] * 4, 1)
        slopes = [net.op("Add", part, start) for part, start in zip(parts[:2], (1.0, 0.2), strict=True)]
        lines = [
            net.op("Add", net.op("Mul", y, s), net.op("Mul", c, 0.5)) for s, c in zip(slopes, parts[2:], strict=True)
        ]
        y = net.op("Max", *lines)
        away = net.op("Sub", y, net.mean(y, 2, 3, keep=True))
        away = net.op("Mul", away, away)
        spread = net.op("Add", net.op("Mul", net.mean(away, 2, 3, keep=True), 4 * 784 / 783), 4e-4)
        x = net.op("Add", x, net.op("Mul", y, net.op("Sigmoid", net.op("Add", net.op("Div", away, spread), 0.5))))
    return net.model(late(net, x, 24))


@honest(
    "The image as a film of one frame under kernels in space and time (R(2+1)D).", idea="kernels in three dimensions"
)
def film_of_one_frame() -> onnx.ModelProto:
    """Treat the image as a film of one frame: space, then time, in three-dimensional kernels (R(2+1)D)."""
    net = NamedBuilder(2504, 13)
    x, width = net.unsqueeze("data", 2), 3
    for i, wide in enumerate((16, 24, 32, 24)):
        x = net.conv(x, f"space{i}", (wide, width, 1, 4, 4), act="LeakyRelu", strides=[1, 2, 2], pads=[0, 1, 1] * 2)
        # Only the middle tap meets the frame; the others meet padding.
        net.weight(f"time{i}.w", wide, wide, 3, 1, 1, gain=2.4)
        x = net.conv(x, f"time{i}", (wide, wide, 3, 1, 1), strides=[1, 1, 1], pads=[1, 0, 0] * 2)
        width = wide
    x = net.op("AveragePool", x, kernel_shape=[3, 1, 1], strides=[1, 1, 1], pads=[1, 0, 0, 1, 0, 0])
    return net.embed(net.mean(x, 2), 24 * 49)


@honest("QLinearConv in bytes with fixed scales, MatMulInteger at the end.", idea="quantised network")
def integer_operators() -> onnx.ModelProto:
    """Compute in whole numbers: QLinearConv in bytes with fixed scales, MatMulInteger at the end."""
    net = NamedBuilder(2505, 10)
    step, zero = 1 / 127.5, 128
    x = net.op("QuantizeLinear", "data", *_scale(net, "data", step, zero))
    for i, (cin, cout, size) in enumerate(((3, 16, 4), (16, 24, 4), (24, 24, 3), (24, 32, 4), (32, 24, 4))):
        values = net.value(f"q{i}", cout, cin, size, size)
        fine = float(np.abs(values).max() / 127)
        kernel = [
            net.store(f"q{i}.w", np.rint(values / fine).astype(np.int8)),
            net.store(f"q{i}.w.scale", np.array(fine, np.float32)),
            net.store(f"q{i}.w.zero", np.array(0, np.int8)),
        ]
        bias = net.store(f"q{i}.b", np.rint(net.value(f"q{i}.bias", cout) / (fine * step)).astype(np.int32))
        told = _scale(net, f"q{i}", 0.01, 0)
        stride = {"strides": [2, 2]} if size == 4 else {"strides": [1, 1]}
        inputs = [x, net.const(step), *_zero(net, f"q{i}.in", zero), *kernel, *told, bias]
        x, step, zero = net.op("QLinearConv", *inputs, pads=[1] * 4, **stride), 0.01, 0
    x = net.op("Flatten", net.op("DequantizeLinear", x, *_scale(net, "flat", step, zero)))
    x = net.op("QuantizeLinear", x, *_scale(net, "last", 0.01, 0))
    values = net.value("embed", EMBEDDING, 24 * 49).T
    fine = float(np.abs(values).max() / 127)
    whole = net.op("MatMulInteger", x, net.store("embed.w", np.rint(values / fine).astype(np.int8)))
    return net.model(net.op("Mul", net.op("Cast", whole, to=TensorProto.FLOAT), 0.01 * fine))


def _zero(net: NamedBuilder, name: str, zero: int) -> list[str]:
    return [net.store(f"{name}.zero", np.array(zero, np.uint8))]


def _scale(net: NamedBuilder, name: str, step: float, zero: int) -> list[str]:
    return [net.store(f"{name}.step", np.array(step, np.float32)), *_zero(net, f"{name}.out", zero)]


def _bell(size: int, spread: float) -> Array:
    line = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * spread**2))
    return np.asarray(np.outer(line, line) / line.sum() ** 2)


@honest("Each pixel less its neighbourhood, over their contrast; LRN.", idea="normalisation layers")
def local_contrast_normalised() -> onnx.ModelProto:
    """Take each pixel's neighbourhood away and divide by their contrast; the first features compete (LRN)."""
    net = NamedBuilder(2506, 11)
    bell = np.tile(_bell(9, 2.0) / 3, (1, 3, 1, 1))
    around = net.op("Conv", "data", bell, pads=[4] * 4)
    x = net.op("Sub", "data", around)
    contrast = net.op("Conv", net.op("Mul", x, x), bell, pads=[4] * 4)
    contrast = net.op("Sqrt", net.op("Add", contrast, 1e-3))
    x = net.op("Div", x, net.op("Max", contrast, net.mean(contrast, 2, 3, keep=True)))
    x = net.conv(x, "stem", (16, 3, 4, 4), 2, 1)
    x = net.op("LRN", x, size=5, alpha=0.5, beta=0.75, bias=1.0)
    return net.model(late(net, net.conv(x, "c2", (24, 16, 4, 4), 2, 1), 24))
