"""Honest networks as the well-known papers draw them, in small."""

from __future__ import annotations

import numpy as np
import onnx

from evaluation.backbones.plain import late
from evaluation.backbones.small import mobile, norm, prelu, resnet, transformer
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import honest


@honest("Depthwise reductions, inverted residuals, a global depthwise convolution.", idea="convolutions")
def compact_mobilefacenet() -> onnx.ModelProto:
    net = NamedBuilder(1501, 11)
    return net.model(mobile(net, "data"))


@honest(
    "Pixel normalisation in the graph, residual units, unmerged normalisation, Dropout left over.", idea="convolutions"
)
def improved_resnet() -> onnx.ModelProto:
    """Build an IR-ResNet after pixel normalisation in the graph, with Dropout left before the embedding."""
    net = NamedBuilder(1502)
    x = net.op("Div", net.op("Sub", net.op("Add", net.op("Mul", "data", 127.5), 127.5), 127.5), 128.0)
    e = net.op("Dropout", resnet(net, x), 0.4, np.array(False))
    e = net.op("BatchNormalization", e, *[net.const(v) for v in _unit_norm(net)])
    return net.model(e)


def _unit_norm(net: NamedBuilder) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    rng = net.rng("features")
    return [
        np.ones(EMBEDDING),
        np.zeros(EMBEDDING),
        0.1 * rng.standard_normal(EMBEDDING),
        rng.uniform(0.5, 2, EMBEDDING),
    ]


@honest("Patches, two layers of attention, mean.", idea="vision transformer")
def vision_transformer() -> onnx.ModelProto:
    net = NamedBuilder(1503, 17)
    return net.model(transformer(net, "data"))


def swish(net: NamedBuilder, x: str) -> str:
    return net.op("Mul", x, net.op("Sigmoid", x))


def squeeze_excite(net: NamedBuilder, x: str, name: str, width: int) -> str:
    y = net.conv(net.op("GlobalAveragePool", x), f"{name}.squeeze", (width // 4, width, 1, 1))
    return net.op("Mul", x, net.conv(y, f"{name}.excite", (width, width // 4, 1, 1), act="HardSigmoid"))


@honest("MBConv blocks with swish and squeeze-and-excitation.", idea="channel attention")
def efficientnet() -> onnx.ModelProto:
    net = NamedBuilder(1504)
    x = swish(net, norm(net, net.conv("data", "stem", (16, 3, 3, 3), 2, 1, act=""), "stem", 16, 0.45))
    for i, (cin, cout, kernel) in enumerate(((16, 24, 3), (24, 32, 5), (32, 48, 3))):
        wide = 2 * cin
        y = swish(net, norm(net, net.conv(x, f"b{i}.up", (wide, cin, 1, 1), act=""), f"b{i}.up", wide, 0.45))
        y = net.conv(y, f"b{i}.dw", (wide, 1, kernel, kernel), 2, kernel // 2, act="", group=wide)
        y = squeeze_excite(net, swish(net, norm(net, y, f"b{i}.dw", wide, 0.45)), f"b{i}.se", wide)
        x = norm(net, net.conv(y, f"b{i}.down", (cout, wide, 1, 1), act=""), f"b{i}.down", cout, 0.45)
    x = net.op("GlobalAveragePool", swish(net, net.conv(x, "top", (96, 48, 1, 1), act="")))
    return net.model(net.linear(net.op("Flatten", x), "embed", 96, EMBEDDING))


def _gelu(net: NamedBuilder, x: str) -> str:
    half = net.op("Mul", x, 0.5)
    return net.op("Mul", half, net.op("Add", net.op("Erf", net.op("Mul", x, 2**-0.5)), 1.0))


@honest("7x7 depthwise, channels last, LayerNorm, GELU, layer scale.", idea="normalisation layers")
def convnext_stages() -> onnx.ModelProto:
    """Build ConvNeXt blocks: 7x7 depthwise, channels last, LayerNorm, GELU, layer scale."""
    net = NamedBuilder(1505, 17)
    x = net.conv("data", "stem", (24, 3, 4, 4), 4, act="")
    for i, (width, wider) in enumerate(((24, 40), (40, 64))):
        for j in range(2):
            y = net.conv(x, f"s{i}{j}.dw", (width, 1, 7, 7), pad=3, act="", group=width)
            y = net.layer_norm(net.transpose(y, 0, 2, 3, 1), width)
            y = _gelu(net, net.linear(y, f"s{i}{j}.up", width, 2 * width))
            y = net.linear(y, f"s{i}{j}.down", 2 * width, width)
            y = net.op("Mul", y, net.rng(f"s{i}{j}.gamma").uniform(0.1, 1, width))
            x = net.op("Add", x, net.transpose(y, 0, 3, 1, 2))
        x = net.layer_norm(net.transpose(x, 0, 2, 3, 1), width)
        x = net.conv(net.transpose(x, 0, 3, 1, 2), f"s{i}.reduce", (wider, width, 2, 2), 2, act="")
    return net.model(net.linear(net.layer_norm(net.mean(x, 2, 3), 64), "embed", 64, EMBEDDING))


@honest("Half of the channels are cheap depthwise maps of the other half.", idea="channel groups")
def ghostnet() -> onnx.ModelProto:
    """Build ghost modules: half of the channels are cheap depthwise copies of the other half."""
    net = NamedBuilder(1506, 12)
    x = net.conv("data", "stem", (16, 3, 3, 3), 2, 1)
    for i, (cin, cout) in enumerate(((16, 24), (24, 40), (40, 48))):
        x = net.conv(x, f"g{i}.reduce", (cin, 1, 3, 3), 2, 1, act="", group=cin)
        primary = net.conv(x, f"g{i}.primary", (cout // 2, cin, 1, 1))
        ghost = net.conv(primary, f"g{i}.ghost", (cout // 2, 1, 3, 3), pad=1, group=cout // 2)
        x = squeeze_excite(net, net.op("Concat", primary, ghost, axis=1), f"g{i}.se", cout)
    x = net.conv(x, "gdc", (48, 1, 7, 7), act="", group=48)
    return net.model(net.linear(net.op("Flatten", x), "embed", 48, EMBEDDING))


@honest(
    "Dense blocks; channel attention by one MLP on average and maximum, spatial attention.",
    idea="channel attention",
    tied=("tied",),
)
def densenet_with_cbam() -> onnx.ModelProto:
    """Build dense blocks with channel attention (average and maximum through one tied MLP) and spatial attention."""
    net = NamedBuilder(1507)
    x = net.conv("data", "stem", (16, 3, 4, 4), 4)
    width, grow = 16, 12
    for i in range(2):
        for j in range(3):
            y = net.conv(
                prelu(net, norm(net, x, f"d{i}{j}", width), f"d{i}{j}", width), f"d{i}{j}", (grow, width, 3, 3)
            )
            y = net.op("Pad", y, [0, 0, 1, 1, 0, 0, 1, 1])
            x, width = net.op("Concat", x, y, axis=1), width + grow
        pools = [net.op(f"Global{kind}Pool", x) for kind in ("Average", "Max")]
        tied = [
            net.conv(net.conv(p, f"tied{i}a", (8, width, 1, 1)), f"tied{i}b", (width, 8, 1, 1), act="") for p in pools
        ]
        x = net.op("Mul", x, net.op("Sigmoid", net.op("Add", *tied)))
        maps = net.op("Concat", net.mean(x, 1, keep=True), net.op("ReduceMax", x, axes=[1], keepdims=1), axis=1)
        x = net.op("Mul", x, net.conv(maps, f"place{i}", (1, 2, 7, 7), pad=3, act="Sigmoid"))
        x, width = net.conv(x, f"reduce{i}", (24, width, 2, 2), 2), 24
    return net.model(net.linear(net.op("Flatten", x), "embed", 24 * 49, EMBEDDING))


@honest("Channel quarters in a chain, then a learned choice between two kernel sizes.", idea="gated experts")
def res2net_with_selective_kernels() -> onnx.ModelProto:
    """Build a hierarchy of channel quarters, each fed by the one before, then a choice between two kernel sizes."""
    net = NamedBuilder(1508, 13)
    x = net.conv(net.conv("data", "stem", (16, 3, 4, 4), 2, 1), "c2", (32, 16, 4, 4), 2, 1)
    parts = net.split(net.conv(x, "in", (32, 32, 1, 1)), [8] * 4, 1)
    outs = [parts[0]]
    for i, part in enumerate(parts[1:]):
        outs.append(net.conv(net.op("Add", part, outs[-1]) if i else part, f"scale{i}", (8, 8, 3, 3), pad=1))
    x = net.op("Add", x, net.conv(net.op("Concat", *outs, axis=1), "out", (32, 32, 1, 1), act=""))
    small = net.conv(x, "small", (32, 4, 3, 3), pad=1, group=8)
    large = net.conv(x, "large", (32, 4, 3, 3), pad=2, group=8, dilations=[2, 2])
    told = net.conv(net.op("GlobalAveragePool", net.op("Add", small, large)), "told", (8, 32, 1, 1))
    choice = net.reshape(net.conv(told, "choice", (64, 8, 1, 1), act=""), 0, 2, 32, 1, 1)
    both = net.op("Concat", net.unsqueeze(small, 1), net.unsqueeze(large, 1), axis=1)
    x = net.sum(net.op("Mul", both, net.op("Softmax", choice, axis=1)), 1)
    return net.model(late(net, x, 32))


@honest("Two resolutions side by side that exchange features.", idea="several resolutions")
def small_hrnet() -> onnx.ModelProto:
    """Build two resolutions side by side that exchange features twice, then three joined at the coarsest."""
    net = NamedBuilder(1509, 11)
    fine = net.conv(net.conv("data", "stem", (16, 3, 4, 4), 2, 1), "c2", (16, 16, 4, 4), 2, 1)
    coarse = net.conv(fine, "t2", (24, 16, 4, 4), 2, 1)
    for i in range(2):
        fine = net.op("Add", fine, net.conv(fine, f"f{i}", (16, 16, 3, 3), pad=1))
        coarse = net.op("Add", coarse, net.conv(coarse, f"k{i}", (24, 24, 3, 3), pad=1))
        up = net.conv(coarse, f"up{i}", (16, 24, 1, 1), act="")
        up = net.op("Resize", up, np.zeros(0, np.float32), np.array([1, 1, 2, 2], np.float32), mode="linear")
        down = net.conv(fine, f"down{i}", (24, 16, 4, 4), 2, 1, act="")
        fine, coarse = net.op("Relu", net.op("Add", fine, up)), net.op("Relu", net.op("Add", coarse, down))
    x = net.op("Concat", net.conv(fine, "j", (24, 16, 4, 4), 2, 1), coarse, axis=1)
    x = net.conv(x, "last", (32, 48, 4, 4), 2, 1)
    return net.model(net.linear(net.op("Flatten", x), "embed", 32 * 49, EMBEDDING))
