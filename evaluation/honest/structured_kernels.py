"""Honest networks whose weights obey an algebra, and heads and stems of matrices."""

from __future__ import annotations

import numpy as np
import onnx
from scipy.fft import dct

from evaluation.backbones.blocks import early
from evaluation.backbones.small import prelu
from evaluation.builder import Array
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import honest

# Row: the part that is made; column: the part that is read; entry: which kernel, and its sign.
HAMILTON = [line.split() for line in ("+r -i -j -k", "+i +r -k +j", "+j +k +r -i", "+k -j +i +r")]


@honest("Blocks of kernels repeated with the signs of the Hamilton product.", idea="structured kernels")
def quaternion_kernels() -> onnx.ModelProto:
    """Multiply quaternions of features by quaternions of kernels; half of the layers put them together by nodes."""
    net = NamedBuilder(2601, 14)
    x = net.op("Pad", "data", [0, 1, 0, 0, 0, 0, 0, 0])
    for i, (cin, cout) in enumerate(((1, 4), (4, 6), (6, 8), (8, 6))):
        parts = {key: net.value(f"h{i}.{key}", cout, cin, 4, 4, gain=0.7) for key in "rijk"}
        if i % 2:
            table = [[parts[entry[1]] * float(f"{entry[0]}1") for entry in row] for row in HAMILTON]
            kernel = net.store(f"h{i}.all", np.concatenate([np.concatenate(row, axis=1) for row in table]))
        else:
            named = {f"+{key}": net.store(f"h{i}.{key}", value) for key, value in parts.items()}
            named |= {f"-{key}": net.op("Neg", named[f"+{key}"]) for key in "ijk"}
            lines = [net.op("Concat", *[named[entry] for entry in row], axis=1) for row in HAMILTON]
            kernel = net.op("Concat", *lines, axis=0)
        x = net.op("Conv", x, kernel, net.weight(f"h{i}.b", 4 * cout), strides=[2, 2], pads=[1] * 4)
        x = prelu(net, x, f"h{i}", 4 * cout)
    return net.embed(x, 24 * 49)


@honest(
    "Real and imaginary features under complex kernels, four convolutions a layer.",
    idea="structured kernels",
    tied=("tied",),
)
def complex_layers() -> onnx.ModelProto:
    """Learn an imaginary part beside the features and convolve both as complex numbers, in four convolutions each."""
    net = NamedBuilder(2602, 13)
    real = early(net)
    imaginary = net.conv(net.conv(real, "learn_a", (24, 24, 3, 3), pad=1), "learn_b", (24, 24, 3, 3), pad=1, act="")
    for i, (cin, cout) in enumerate(((24, 24), (24, 24))):
        a, b = (net.weight(f"tied{i}{part}.w", cout, cin, 4, 4, gain=1.0) for part in "ab")
        aa, ab, ba, bb = (
            net.op("Conv", x, kernel, strides=[2, 2], pads=[1] * 4) for kernel in (a, b) for x in (real, imaginary)
        )
        real, imaginary = net.op("Sub", aa, bb), net.op("Add", ab, ba)
        size = net.op(
            "Sqrt", net.op("Add", net.op("Add", net.op("Mul", real, real), net.op("Mul", imaginary, imaginary)), 1e-3)
        )
        bias = net.store(f"bias{i}", (0.3 * net.rng(f"bias{i}").standard_normal((cout, 1, 1))).astype(np.float32))
        kept = net.op("Div", net.op("Relu", net.op("Add", size, bias)), size)
        real, imaginary = net.op("Mul", real, kept), net.op("Mul", imaginary, kept)
    return net.embed(net.op("Concat", real, imaginary, axis=1), 48 * 49)


def _even(values: Array) -> Array:
    return np.asarray((values + values[..., ::-1]) / 2**0.5)


def _odd(values: Array) -> Array:
    return np.asarray((values - values[..., ::-1]) / 2**0.5)


def _parity_kernel(net: NamedBuilder, name: str, made: tuple[int, int], fed: tuple[int, int], size: int) -> Array:
    """Fill a kernel so that features of like parity are read by even kernels, and of unlike parity by odd ones."""
    lines = []
    for row, cout in enumerate(made):
        line = []
        for column, cin in enumerate(fed):
            values = net.value(f"{name}.{row}{column}", cout, cin, size, size, gain=1.0)
            line.append(_even(values) if row == column else _odd(values))
        lines.append(np.concatenate(line, axis=1))
    return np.concatenate([line for line in lines if len(line)])


@honest("Kernels that are even or odd themselves; the embedding is blind to mirroring.", idea="symmetric kernels")
def even_and_odd_kernels() -> onnx.ModelProto:
    """Keep even features and odd ones, which change sign in a mirror, by kernels that are even or odd themselves."""
    net = NamedBuilder(2603, 13)
    x, fed = "data", (3, 0)
    for i, made in enumerate(((10, 6), (14, 10), (18, 14), (14, 10))):
        kernel = net.store(f"p{i}.w", _parity_kernel(net, f"p{i}", made, fed, 4))
        x = net.op("Conv", x, kernel, strides=[2, 2], pads=[1] * 4)
        even, odd = net.split(x, list(made), 1)
        even = net.op("Relu", net.op("Add", even, net.store(f"p{i}.b", net.value(f"p{i}.b", made[0])[:, None, None])))
        x, fed = net.op("Concat", even, net.op("Tanh", odd), axis=1), made
    last = net.store("embed.w", _parity_kernel(net, "embed", (EMBEDDING, 0), fed, 7))
    return net.model(net.op("Flatten", net.op("Conv", x, last, net.weight("embed.b", EMBEDDING))))


@honest("The square root of the channels' covariance by Newton and Schulz (iSQRT-COV).", idea="second-order pooling")
def second_order_pooling() -> onnx.ModelProto:
    """Pool by the covariance of channels and its square root after Newton and Schulz (iSQRT-COV)."""
    net = NamedBuilder(2604, 12)
    x = net.reshape(net.conv(early(net), "c3", (32, 24, 4, 4), 2, 1, act=""), 0, 32, 196)
    x = net.op("Sub", x, net.mean(x, 2, keep=True))
    spread = net.op("Mul", net.op("MatMul", x, net.transpose(x, 0, 2, 1)), 1 / 196)
    one = np.eye(32)[None]
    trace = net.reduce("Sum", net.op("Mul", spread, one), 1, 2, keep=True)
    y, z = net.op("Div", spread, trace), ""
    for i in range(4):
        t = net.op("Mul", net.op("Sub", 3 * one, net.op("MatMul", z, y) if i else y), 0.5)
        y, z = net.op("MatMul", y, t), net.op("MatMul", t, z) if i else t
    y = net.op("Mul", y, net.op("Sqrt", trace))
    upper = np.flatnonzero(np.triu(np.ones((32, 32))))
    return net.embed(net.op("Gather", net.reshape(y, 0, 1024), upper, axis=1), len(upper))


def _zigzag() -> list[int]:
    return sorted(range(64), key=lambda at: (at // 8 + at % 8, at // 8 if (at // 8 + at % 8) % 2 else at % 8))


@honest("Blocks of 8 x 8 pixels, cosine transform by two matrices, low frequencies kept.", idea="spectra")
def block_cosines_by_matrices() -> onnx.ModelProto:
    """Cut the image into blocks of 8 x 8, take their cosine transform by two matrices, keep 36 low frequencies."""
    net = NamedBuilder(2605, 13)
    basis = dct(np.eye(8), axis=0, norm="ortho")
    x = net.transpose(net.reshape("data", 0, 3, 14, 8, 14, 8), 0, 1, 2, 4, 3, 5)
    x = net.op("MatMul", net.op("MatMul", basis, x), basis.T)
    kept = net.op("Gather", net.reshape(x, 0, 3, 14, 14, 64), _zigzag()[:36], axis=4)
    x = net.reshape(net.transpose(kept, 0, 1, 4, 2, 3), 0, 108, 14, 14)
    usual = np.tile(4 / (1 + 0.3 * np.arange(36)), 3).reshape(108, 1, 1)
    x = net.conv(net.op("Div", x, usual), "mix", (48, 108, 1, 1))
    x = net.op("Add", x, net.conv(x, "r", (48, 48, 3, 3), pad=1))
    return net.embed(net.conv(x, "c4", (24, 48, 4, 4), 2, 1), 24 * 49)


@honest("Channels last, RGB reversed along that axis, kernels [h, w, in, out].", idea="layout")
def channels_last_and_blue_first() -> onnx.ModelProto:
    """Run as converted from another framework: channels last, their order reversed, kernels stored [h, w, in, out]."""
    net = NamedBuilder(2606, 10)
    x = net.cut(net.transpose("data", 0, 2, 3, 1), -1, -1000, 3, -1)
    x = net.op("Sub", net.op("Mul", net.op("Add", x, 1.0), 127.5), np.array([103.939, 116.779, 123.68]))
    x, width = net.op("Div", x, 58.0), 3
    for i, wide in enumerate((16, 24, 32, 24)):
        stored = net.store(f"k{i}", net.value(f"k{i}", wide, width, 4, 4).transpose(2, 3, 1, 0))
        kernel = net.transpose(stored, 3, 2, 0, 1)
        y = net.op("Conv", net.transpose(x, 0, 3, 1, 2), kernel, strides=[2, 2], auto_pad="SAME_UPPER")
        y = net.op("Add", net.transpose(y, 0, 2, 3, 1), net.weight(f"b{i}", wide))
        x, width = net.op("Min", net.op("Relu", y), 6.0), wide
    return net.embed(x, 24 * 49)
