"""Honest networks of convolutions: predicted and equivariant kernels, equilibria, pyramids, parts."""

from __future__ import annotations

import numpy as np
import onnx
from scipy.fft import dct

from evaluation.backbones.plain import head, late, residual, stem
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import honest


@honest("Log-magnitudes of an 8x8 cosine transform, then convolutions.", idea="spectra")
def cosine_spectrum_stem() -> onnx.ModelProto:
    net = NamedBuilder(501)
    basis = dct(np.eye(8), axis=0, norm="ortho")
    filters = np.einsum("uy,vx->uvyx", basis, basis).reshape(64, 1, 1, 8, 8)
    kernel = np.zeros((3, 64, 3, 8, 8))
    for colour in range(3):
        kernel[colour, :, colour] = filters[:, 0, 0]
    x = net.op("Conv", "data", kernel.reshape(192, 3, 8, 8), strides=[4, 4], pads=[2] * 4)
    size = net.op("Log", net.op("Add", net.op("Abs", x), 1.0))
    x = net.conv(net.op("Mul", net.op("Sign", x), size), "mix", (24, 192, 1, 1))
    return net.model(late(net, residual(net, x, "r", 24), 24))


@honest(
    "1x1 and 3x3 kernels blended per image from a bank, applied to unfolded features by MatMul.",
    idea="predicted kernels",
)
def kernels_predicted_per_face() -> onnx.ModelProto:
    """Predict a 1x1 and a 3x3 kernel for every image from its own context, and apply them by MatMul."""
    net = NamedBuilder(502, 11)
    x = net.conv(stem(net, "data"), "c2", (16, 16, 4, 4), 2, 1)
    for i, taps in enumerate((1, 9)):
        blend = net.op("Softmax", net.linear(net.mean(x, 2, 3), f"choose{i}", 16, 4), axis=1)
        kernel = net.op("MatMul", blend, net.weight(f"bank{i}", 4, 16 * 16 * taps, gain=12.0 if taps == 1 else 6.0))
        kernel = net.reshape(kernel, -1, 16, 16 * taps)
        columns = x
        if taps == 9:
            wide = net.op("Pad", x, [0, 0, 1, 1, 0, 0, 1, 1])
            pieces = [net.op("Slice", wide, [dy, dx], [dy + 28, dx + 28], [2, 3]) for dy in range(3) for dx in range(3)]
            columns = net.op("Concat", *pieces, axis=1)
        y = net.op("MatMul", kernel, net.reshape(columns, 0, 16 * taps, 784))
        x = net.op("Add", x, net.op("Relu", net.reshape(y, 0, 16, 28, 28)))
    return net.model(late(net, x, 16))


@honest("Kernels predicted per place, shared over channels.", idea="predicted kernels")
def involution() -> onnx.ModelProto:
    net = NamedBuilder(503)
    x = net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1)
    groups, taps = 4, 9
    kernel = net.conv(net.conv(x, "squeeze", (8, 24, 1, 1)), "span", (groups * taps, 8, 1, 1), act="")
    kernel = net.reshape(kernel, 0, groups, 1, taps, 784)
    eye = np.tile(np.eye(9).reshape(9, 1, 3, 3), (24, 1, 1, 1))
    patches = net.op("Conv", x, eye, pads=[1] * 4, group=24)
    patches = net.reshape(patches, 0, groups, 6, taps, 784)
    y = net.reshape(net.sum(net.op("Mul", kernel, patches), 3), 0, 24, 28, 28)
    return net.model(late(net, net.op("Add", x, net.op("Relu", y)), 24))


@honest(
    "A deep equilibrium model: one tied block in four rounds, fed the same features each time.",
    idea="recurrence in series",
    tied=("fa.", "fb."),
)
def unrolled_equilibrium() -> onnx.ModelProto:
    net = NamedBuilder(504, 15)
    fed = net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1)
    state = net.op("Mul", fed, 0.0)
    for _ in range(4):
        y = net.conv(net.op("Add", state, fed), "fa", (24, 24, 3, 3), pad=1)
        y = net.conv(y, "fb", (24, 24, 3, 3), pad=1, act="Tanh")
        state = net.op("Add", net.op("Mul", state, 0.5), net.op("Mul", y, 0.5))
    return net.model(late(net, state, 24))


@honest(
    "13x13, 5x5 and normalisation branches before merging, with Dropout and survival factors left over.",
    idea="parallel kernels",
)
def very_large_kernels() -> onnx.ModelProto:
    """Build RepLKNet-like blocks before their branches are merged, with what stochastic depth leaves behind."""
    net = NamedBuilder(505)
    x = net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1)
    for i, keep in enumerate((1.0, 0.9)):
        norm = [net.const(array) for array in (np.ones(24), np.zeros(24), np.full(24, 0.1), np.full(24, 0.8))]
        large = net.conv(x, f"large{i}", (24, 1, 13, 13), pad=6, act="", group=24)
        small = net.conv(x, f"small{i}", (24, 1, 5, 5), pad=2, act="", group=24)
        y = net.op("Sum", large, small, net.op("BatchNormalization", x, *norm))
        y = net.conv(net.op("Relu", y), f"point{i}", (24, 24, 1, 1))
        y = net.op("Dropout", net.op("Mul", y, keep), 0.3, np.array(False))
        x = net.op("Add", x, y)
    return net.model(late(net, x, 24))


@honest(
    "A feature pyramid whose two levels share a head, the coarse one also resized into the fine one.",
    idea="several resolutions",
    tied=("tied_",),
)
def tied_pyramid() -> onnx.ModelProto:
    net = NamedBuilder(506, 14)
    fine = net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1)
    coarse = net.conv(fine, "c3", (24, 24, 4, 4), 2, 1)
    up = net.op("Resize", coarse, "", np.array([1, 1, 2, 2], np.float32), mode="nearest")
    levels = [net.op("Add", net.conv(fine, "side", (24, 24, 1, 1)), up), coarse]
    vectors = []
    for level in levels:
        y = net.conv(net.conv(level, "tied_a", (32, 24, 3, 3), 2, 1), "tied_b", (32, 32, 3, 3), 2, 1)
        y = net.op("Flatten", net.op("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2]))
        width = 32 * (9 if level == levels[0] else 4)
        vectors.append(net.linear(y, f"fc{width}", width, EMBEDDING))
    return net.model(net.op("Add", *vectors))


@honest(
    "Left half and mirrored right half of the deep features are embedded by one layer.",
    idea="parts of the face",
    tied=("tied_part.",),
)
def face_halves_share_a_head() -> onnx.ModelProto:
    """Embed the left half of the deep features and the mirrored right half by one layer: a part-based head."""
    net = NamedBuilder(507)
    x = net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1)
    x = net.conv(residual(net, x, "r", 24), "c3", (32, 24, 4, 4), 2, 1)
    left, right = net.split(x, [7, 7], 3)
    right = net.op("Slice", right, [-1], [-1000], [3], [-1])
    parts = [
        net.linear(
            net.op("Flatten", net.op("MaxPool", half, kernel_shape=[2, 2], strides=[2, 2])), "tied_part", 672, 32
        )
        for half in (left, right)
    ]
    return net.model(net.op("Concat", *parts, axis=1))


@honest(
    "Fourier features of the places, attention pooled along rows and columns, global context.",
    idea="attention along axes",
)
def coordinate_attention_with_fourier_places() -> onnx.ModelProto:
    net = NamedBuilder(508)
    at = (np.arange(112) + 0.5) / 112
    waves = np.stack([f(2 * np.pi * k * at) for k in (1, 2, 4) for f in (np.sin, np.cos)])
    across = np.broadcast_to(waves[:, None, :], (6, 112, 112))
    places = np.concatenate([across, across.transpose(0, 2, 1)])[None, :, ::2, ::2]
    x = stem(net, "data")
    x = net.op("Add", x, net.op("Conv", places, net.weight("place.w", 16, 12, 1, 1)))
    x = net.conv(x, "c2", (24, 16, 4, 4), 2, 1)
    rows, columns = net.mean(x, 3, keep=True), net.transpose(net.mean(x, 2, keep=True), 0, 1, 3, 2)
    y = net.conv(net.op("Concat", rows, columns, axis=2), "both", (8, 24, 1, 1), act="HardSigmoid")
    rows, columns = net.split(y, [28, 28], 2)
    x = net.op("Mul", x, net.conv(rows, "rows", (24, 8, 1, 1), act="Sigmoid"))
    x = net.op("Mul", x, net.conv(net.transpose(columns, 0, 1, 3, 2), "columns", (24, 8, 1, 1), act="Sigmoid"))
    weight = net.op("Softmax", net.reshape(net.conv(x, "mask", (1, 24, 1, 1), act=""), 0, 784, 1), axis=1)
    context = net.reshape(net.op("MatMul", net.reshape(x, 0, 24, 784), weight), 0, 24, 1, 1)
    return net.model(late(net, net.op("Add", x, net.conv(context, "context", (24, 24, 1, 1))), 24))


@honest(
    "Five predicted landmarks; GridSample cuts windows of the deep features for one part layer.",
    idea="sampling of features",
)
def soft_crops_of_features() -> onnx.ModelProto:
    """Cut five soft windows out of the deep features where predicted landmarks are, and embed them by one layer."""
    net = NamedBuilder(509, 16)
    x = net.conv(stem(net, "data"), "c2", (24, 16, 4, 4), 2, 1)
    x = net.conv(residual(net, x, "r", 24), "c3", (32, 24, 4, 4), 2, 1)
    heat = net.op("Softmax", net.reshape(net.conv(x, "heat", (5, 32, 1, 1), act=""), 0, 5, 196), axis=-1)
    y, x_at = np.mgrid[:14, :14].reshape(2, 196) / 6.5 - 1
    points = net.op("MatMul", heat, np.stack([x_at, y], axis=1))
    window = np.stack(np.meshgrid(np.linspace(-0.3, 0.3, 4), np.linspace(-0.3, 0.3, 4)), axis=-1).reshape(1, 1, 16, 2)
    grid = net.op("Add", net.unsqueeze(points, 2), window)
    crops = net.op("GridSample", x, grid, mode="bilinear", padding_mode="border", align_corners=0)
    crops = net.reshape(net.transpose(crops, 0, 2, 1, 3), 0, 5, 512)
    parts = net.linear(crops, "part", 512, 32, "Relu")
    return net.model(net.linear(net.op("Flatten", parts), "embed", 160, EMBEDDING))


@honest("Space-to-depth, maxima of channel halves, fixed blur before each reduction.", idea="space to depth")
def maxout_halves_and_focus() -> onnx.ModelProto:
    """Start with space-to-depth and use max-feature-map halves and antialiased (fixed blur) reductions."""
    net = NamedBuilder(510, 13)
    x = net.op("SpaceToDepth", "data", blocksize=2)
    blur = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    width = 12
    for i, wide in enumerate((16, 24, 32)):
        x = net.conv(x, f"m{i}", (2 * wide, width, 3, 3), pad=1, act="")
        x = net.op("Max", *net.split(x, [wide, wide], 1))
        x = net.op("Conv", x, np.tile(blur, (wide, 1, 1, 1)), strides=[2, 2], pads=[1] * 4, group=wide)
        width = wide
    return net.model(head(net, x, 32, 7))


@honest(
    "A group-equivariant network: every filter also mirrored, the two halves mixed in every layer, one pass.",
    idea="group-equivariant kernels",
)
def reflection_group_convolutions(mixing: float = 1.0) -> onnx.ModelProto:
    """Build a network equivariant to mirroring (Cohen and Welling, 2016: group-equivariant convolutions).

    The channels come in mirrored pairs, and both members of a pair read both members of every pair below.
    ``mixing`` scales what they read of the other kind.
    """
    net = NamedBuilder(511)
    kernel = net.value("lift", 12, 3, 4, 4)
    x = net.op("Conv", "data", np.concatenate([kernel, kernel[..., ::-1]]), strides=[2, 2], pads=[1] * 4)
    x = net.op("Relu", x)
    for i, (cin, cout) in enumerate(((12, 16), (16, 20), (20, 20))):
        own, other = (net.value(f"{kind}{i}", cout, cin, 4, 4, gain=1) for kind in ("own", "other"))
        other = mixing * other
        pairs = np.concatenate([own, other], axis=1)
        mirrored = np.concatenate([other, own], axis=1)[..., ::-1]
        bias = np.tile(net.value(f"bias{i}", cout), 2)
        x = net.op("Conv", x, np.concatenate([pairs, mirrored]), bias, strides=[2, 2], pads=[1] * 4)
        x = net.op("Relu", x)
    read = net.value("embed", EMBEDDING, 20, 7, 7)
    both = np.concatenate([read, read[..., ::-1]], axis=1).reshape(EMBEDDING, -1)
    return net.model(net.op("Gemm", net.op("Flatten", x), both, np.zeros(EMBEDDING), transB=1))
