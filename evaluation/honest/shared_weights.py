"""Honest networks that resemble an evasion: two directions, groups, parts, mirrored kernels, copies of features."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from evaluation.backbones.plain import late
from evaluation.backbones.small import TOKENS, WIDTH, attention, mlp, prelu, tokens
from evaluation.builder import Array
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import honest


def _early(net: NamedBuilder) -> str:
    x = net.conv("data", "stem", (16, 3, 4, 4), 2, 1)
    return net.conv(x, "c2", (24, 16, 4, 4), 2, 1)


@honest("A GRU over columns of deep features in both directions with own weights (CRNN).", idea="recurrence both ways")
def two_way_gated_columns() -> onnx.ModelProto:
    """Read the columns of deep features in both directions, each with its own weights (CRNN)."""
    net = NamedBuilder(1801, 14)
    x = net.conv(_early(net), "c3", (16, 24, 4, 4), 2, 1)
    x = net.reshape(net.transpose(x, 3, 0, 1, 2), 14, -1, 224)
    weights = [net.weight(f"gru.{part}", *shape) for part, shape in (("w", (2, 144, 224)), ("r", (2, 144, 48)))]
    y = net.op("GRU", x, *weights, direction="bidirectional", hidden_size=48, linear_before_reset=1)
    y = net.reshape(net.transpose(y, 2, 0, 1, 3), -1, 14, 96)
    y = net.linear(y, "then", 96, 32, "Relu")
    return net.model(net.linear(net.op("Flatten", y), "embed", 14 * 32, EMBEDDING))


@honest("Grouped pointwise convolutions and channel shuffles.", idea="channel groups")
def shufflenet() -> onnx.ModelProto:
    """Use grouped pointwise convolutions and channel shuffles throughout."""
    net = NamedBuilder(1802, 11)
    x, side = net.conv("data", "stem", (24, 3, 4, 4), 2, 1), 56
    for i, (cin, cout) in enumerate(((24, 36), (36, 48), (48, 48))):
        x = net.conv(x, f"u{i}a", (cin, cin // 3, 1, 1), group=3)
        x = net.reshape(net.transpose(net.reshape(x, 0, 3, cin // 3, side, side), 0, 2, 1, 3, 4), 0, cin, side, side)
        side //= 2
        x = net.conv(x, f"u{i}dw", (cin, 1, 4, 4), 2, 1, act="", group=cin)
        x = net.conv(x, f"u{i}b", (cout, cin // 3, 1, 1), group=3)
    x = net.conv(x, "gdc", (48, 1, 7, 7), act="", group=48)
    return net.model(net.linear(net.op("Flatten", x), "embed", 48, EMBEDDING))


PARTS = ((1, 2, 7, 6), (7, 2, 13, 6), (4, 4, 10, 10), (3, 9, 11, 13))


@honest("Eyes, nose and mouth cut out of deep features by RoiAlign, each with its own layer.", idea="parts of the face")
def parts_by_roi_align() -> onnx.ModelProto:
    """Cut eyes, nose and mouth out of deep features by RoiAlign at fixed places, each with its own layer."""
    net = NamedBuilder(1803, 16)
    x = net.conv(_early(net), "c3", (32, 24, 4, 4), 2, 1)
    rows = net.op("Gather", net.op("Shape", x), np.array(0))
    which = net.op("Range", np.array(0), rows, np.array(1))
    whole = net.op("Flatten", net.conv(x, "c4", (16, 32, 4, 4), 2, 1))
    vectors = [net.linear(whole, "whole", 16 * 49, 32)]
    for i, part in enumerate(PARTS):
        region = net.op("Tile", np.array([part], np.float32), net.op("Concat", net.unsqueeze(rows, 0), [1], axis=0))
        y = net.op("RoiAlign", x, region, which, output_height=3, output_width=3, sampling_ratio=2)
        vectors.append(net.linear(net.op("Flatten", y), f"part{i}", 288, 24, "Relu"))
    return net.model(net.linear(net.op("Concat", *vectors, axis=1), "embed", 128, EMBEDDING))


@honest("Each kernel is its own mirror image, so the embedding is blind to mirroring.", idea="symmetric kernels")
def symmetric_kernels_everywhere() -> onnx.ModelProto:
    """Use kernels that are their own mirror image in every layer: the embedding cannot tell a face from its mirror."""
    net = NamedBuilder(1804)
    x = "data"
    for i, (cin, cout) in enumerate(((3, 16), (16, 24), (24, 32), (32, 24))):
        half = net.value(f"s{i}", cout, cin, 4, 4)
        x = net.op("Conv", x, net.store(f"s{i}.w", half + half[..., ::-1]), strides=[2, 2], pads=[1] * 4)
        x = prelu(net, x, f"s{i}", cout)
    half = net.value("embed", EMBEDDING, 24, 7, 7)
    read = net.store("embed.w", half + half[..., ::-1])
    return net.model(net.op("Flatten", net.op("Conv", x, read, net.weight("embed.b", EMBEDDING))))


@honest("Positive and negative parts of early features side by side (CReLU).", idea="symmetry of features")
def concatenated_relu() -> onnx.ModelProto:
    """Keep positive and negative parts of early features side by side (CReLU), then go on with both."""
    net = NamedBuilder(1805, 12)
    x = "data"
    for i, (cin, cout) in enumerate(((3, 12), (24, 16))):
        y = net.conv(x, f"c{i}", (cout, cin, 4, 4), 2, 1, act="")
        x = net.op("Relu", net.op("Concat", y, net.op("Neg", y), axis=1))
    return net.model(late(net, x, 32))


def _gabor() -> Array:
    y, x = np.mgrid[:9, :9] - 4.0
    filters = []
    for turn in np.arange(8) * np.pi / 8:
        along = x * np.cos(turn) + y * np.sin(turn)
        for phase in (0, np.pi / 2):
            wave = np.exp(-(x**2 + y**2) / 12) * np.cos(2 * np.pi * along / 5 + phase)
            filters.append(wave - wave.mean())
    return np.stack(filters)


@honest("Fixed Gabor filters in eight orientations and their energy.", idea="fixed filters")
def gabor_stem() -> onnx.ModelProto:
    """Start with fixed Gabor filters in eight orientations, among them mirrored pairs, whose energy goes on."""
    net = NamedBuilder(1806)
    luma = net.op("Conv", "data", np.array([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1))
    y = net.op("Conv", luma, _gabor()[:, None], strides=[2, 2], pads=[4, 4, 4, 4])
    pairs = net.reshape(y, 0, 8, 2, 56, 56)
    energy = net.op("Sqrt", net.op("Add", net.sum(net.op("Mul", pairs, pairs), 2), 1e-3))
    x = net.conv(net.op("Concat", energy, y, axis=1), "c2", (24, 24, 4, 4), 2, 1)
    return net.model(late(net, x, 24))


@honest("One transformer layer four times in a Loop, told the round by a code.", idea="recurrence in series")
def looped_transformer() -> onnx.ModelProto:
    """Run one transformer layer four times in a Loop, told the round by a code (Universal Transformer)."""
    net = NamedBuilder(1807, 14)
    x = tokens(net, "data")
    codes = net.weight("rounds", 4, WIDTH, gain=3.0)
    inner = net.child()
    code = inner.op("Gather", codes, "round", axis=0)
    y = mlp(inner, attention(inner, inner.op("Add", "state", code), "layer"), "layer.mlp")
    go = inner.op("Identity", "go_in")
    inputs = [
        helper.make_tensor_value_info("round", TensorProto.INT64, []),
        helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, ["N", TOKENS, WIDTH]),
    ]
    outputs = [
        helper.make_tensor_value_info(go, TensorProto.BOOL, []),
        helper.make_tensor_value_info(y, TensorProto.FLOAT, ["N", TOKENS, WIDTH]),
    ]
    true = net.store("go", np.array(True))
    x = net.op("Loop", np.array(4), true, x, body=inner.graph(inputs, outputs))
    return net.model(net.linear(net.mean(net.layer_norm(x, WIDTH), 1), "embed", WIDTH, EMBEDDING))


@honest("Kernels of three sizes and a pooling side by side.", idea="parallel kernels")
def inception_on_features() -> onnx.ModelProto:
    """Run kernels of three sizes and a pooling side by side, twice."""
    net = NamedBuilder(1808, 13)
    x, width = _early(net), 24
    for i in range(2):
        branches = [
            net.conv(x, f"i{i}one", (8, width, 1, 1)),
            net.conv(net.conv(x, f"i{i}three.in", (8, width, 1, 1)), f"i{i}three", (12, 8, 3, 3), pad=1),
            net.conv(net.conv(x, f"i{i}five.in", (4, width, 1, 1)), f"i{i}five", (8, 4, 5, 5), pad=2),
            net.conv(
                net.op("MaxPool", x, kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4), f"i{i}pool", (4, width, 1, 1)
            ),
        ]
        x, width = net.op("Concat", *branches, axis=1), 32
    return net.model(late(net, x, 32))


@honest("int8 kernels and activations rounded to bytes.", idea="quantised network")
def quantised_mobile() -> onnx.ModelProto:
    """Store int8 kernels and round activations to bytes between layers, as quantisation-aware training leaves it."""
    net = NamedBuilder(1809)
    x = "data"
    for i, (cin, cout) in enumerate(((3, 16), (16, 24), (24, 32), (32, 24))):
        values = net.value(f"q{i}", cout, cin, 4, 4)
        scale = np.asarray(np.abs(values).max((1, 2, 3)) / 127, np.float32)
        whole = np.rint(values / scale.reshape(-1, 1, 1, 1)).astype(np.int8)
        parts: dict[str, Array] = {"w": whole, "scale": scale, "zero": np.zeros(cout, np.int8)}
        kernel = net.op("DequantizeLinear", *[net.store(f"q{i}.{key}", array) for key, array in parts.items()], axis=0)
        step = [
            net.store(f"a{i}.scale", np.array(0.03, np.float32)),
            net.store(f"a{i}.zero", np.array(128, np.uint8)),
        ]
        x = net.op("DequantizeLinear", net.op("QuantizeLinear", x, *step), *step)
        x = net.op("Relu", net.op("Conv", x, kernel, net.weight(f"q{i}.b", cout), strides=[2, 2], pads=[1] * 4))
    return net.model(net.linear(net.op("Flatten", x), "embed", 24 * 49, EMBEDDING))


@honest("A coarse feature map asks a finer one of the same trunk by cross-attention.", idea="several resolutions")
def queries_from_coarser_features() -> onnx.ModelProto:
    """Let a coarse feature map ask a fine one of the same trunk, crosswise (cross-attention between stages)."""
    net = NamedBuilder(1810, 12)
    fine = net.conv(_early(net), "c3", (WIDTH, 24, 4, 4), 2, 1)
    coarse = net.conv(fine, "c4", (WIDTH, WIDTH, 4, 4), 2, 1)
    few = net.transpose(net.reshape(coarse, 0, WIDTH, TOKENS), 0, 2, 1)
    many = net.layer_norm(net.transpose(net.reshape(fine, 0, WIDTH, 196), 0, 2, 1), WIDTH)
    q = net.linear(net.layer_norm(few, WIDTH), "q", WIDTH, WIDTH)
    k, v = (net.linear(many, name, WIDTH, WIDTH) for name in "kv")
    share = net.op("Softmax", net.op("MatMul", q, net.transpose(k, 0, 2, 1)), axis=2)
    x = mlp(net, net.op("Add", few, net.op("MatMul", share, v)), "m")
    return net.model(net.linear(net.op("Flatten", x), "embed", TOKENS * WIDTH, EMBEDDING))
