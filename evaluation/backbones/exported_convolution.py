"""Ordinary convolutional networks behind the evasions: images to one embedding each."""

from __future__ import annotations

import numpy as np

from evaluation.exported import ExportBuilder
from evaluation.images import SIDE
from evaluation.named import EMBEDDING


def pixel_norm(net: ExportBuilder, x: str) -> str:
    """Bring images to bytes and normalise them by the usual means and deviations."""
    mean = np.array([123.7, 116.3, 103.5]).reshape(1, 3, 1, 1)
    deviation = np.array([58.4, 57.1, 57.4]).reshape(1, 3, 1, 1)
    x = net.op("Add", net.op("Mul", x, 127.5), 127.5)
    return net.op("Div", net.op("Sub", x, mean), deviation)


def _prelu(net: ExportBuilder, x: str, name: str, width: int) -> str:
    slope = net.rng(f"{name}.slope").uniform(0.1, 0.4, (width, 1, 1)).astype(np.float32)
    return net.op("PRelu", x, net.store(f"{name}.slope", slope))


def _ir_unit(net: ExportBuilder, x: str, name: str, cin: int, cout: int) -> str:
    y = net.conv(net.batch_norm(x, f"{name}.bn1", cin), f"{name}.conv1", (cout, cin, 3, 3), pad=1, act="")
    y = _prelu(net, net.batch_norm(y, f"{name}.bn2", cout), name, cout)
    y = net.batch_norm(net.conv(y, f"{name}.conv2", (cout, cout, 3, 3), 2, 1, act=""), f"{name}.bn3", cout)
    y = net.excite(y, f"{name}.se", cout)
    way = net.batch_norm(net.conv(x, f"{name}.down", (cout, cin, 1, 1), 2, act=""), f"{name}.down_bn", cout)
    return net.op("Add", y, way)


def se_resnet(net: ExportBuilder, x: str) -> str:
    """IR-SE in small: unmerged normalisation, excitation, Dropout and a normalised embedding."""
    x = _prelu(net, net.batch_norm(net.conv(x, "stem", (8, 3, 3, 3), pad=1, act=""), "stem_bn", 8), "stem", 8)
    for i, (cin, cout) in enumerate(((8, 8), (8, 16), (16, 24), (24, 12))):
        x = _ir_unit(net, x, f"layer{i}", cin, cout)
    x = net.op("Dropout", net.batch_norm(x, "last_bn", 12))
    weight, bias = net.weight("fc.w", EMBEDDING, 12 * 49), net.weight("fc.b", EMBEDDING)
    return net.batch_norm(net.op("Gemm", net.op("Flatten", x), weight, bias, transB=1), "features", EMBEDDING)


# A hard swish weakens what it is given; kernels make up for it.
LOUD = 1.65


def _loud(net: ExportBuilder, x: str, name: str, shape: tuple[int, ...], stride: int = 1, group: int = 1) -> str:
    """Convolve with the larger kernels that hard swishes call for."""
    net.store(f"{name}.w", net.value(f"{name}.w", *shape, gain=LOUD))
    return net.conv(x, name, shape, stride, shape[2] // 2, act="", group=group)


def mobile_v3(net: ExportBuilder, x: str) -> str:
    """MobileNetV3 in small: depthwise reductions, excitation behind hard gates, one wide layer at the end."""
    x = net.hard_swish(_loud(net, x, "stem", (12, 3, 3, 3), 2))
    for i, (cin, wide, cout) in enumerate(((12, 24, 16), (16, 40, 24), (24, 64, 40))):
        y = net.hard_swish(_loud(net, x, f"block{i}.expand", (wide, cin, 1, 1)))
        y = net.excite(_loud(net, y, f"block{i}.depth", (wide, 1, 5, 5), 2, wide), f"block{i}.se", wide, "HardSigmoid")
        x = _loud(net, net.hard_swish(y), f"block{i}.project", (cout, wide, 1, 1))
        y = net.hard_swish(_loud(net, x, f"again{i}.expand", (wide, cout, 1, 1)))
        y = net.hard_swish(_loud(net, y, f"again{i}.depth", (wide, 1, 3, 3), group=wide))
        x = net.op("Add", x, _loud(net, y, f"again{i}.project", (cout, wide, 1, 1)))
    x = net.hard_swish(_loud(net, x, "last", (96, 40, 1, 1)))
    x = net.conv(x, "gdc", (96, 1, 7, 7), act="", group=96)
    x = net.hard_swish(net.linear(net.op("Flatten", x), "wide", 96, 96, gain=LOUD))
    return net.linear(net.op("Dropout", x), "classifier", 96, EMBEDDING)


def bottleneck_features(net: ExportBuilder, x: str) -> str:
    """Run the convolutions of a merged ResNet-50 in small: [B, 3, 112, 112] to [B, 64, 7, 7]."""
    x = net.conv(x, "conv1", (16, 3, 7, 7), 2, 3)
    x = net.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for i, (cin, inner, cout, stride) in enumerate(((16, 8, 32, 1), (32, 12, 48, 2), (48, 16, 64, 2), (64, 16, 64, 1))):
        y = net.conv(x, f"layer{i}.conv1", (inner, cin, 1, 1))
        y = net.conv(y, f"layer{i}.conv2", (inner, inner, 3, 3), stride, 1)
        y = net.conv(y, f"layer{i}.conv3", (cout, inner, 1, 1), act="")
        if cin != cout:
            x = net.conv(x, f"layer{i}.downsample", (cout, cin, 1, 1), stride, act="")
        x = net.op("Relu", net.op("Add", x, y))
    return x


def bottleneck_pool(net: ExportBuilder, x: str) -> str:
    return net.conv(x, "gdc", (64, 1, 7, 7), act="", group=64)


def bottleneck_head(net: ExportBuilder, x: str) -> str:
    return net.linear(net.op("Flatten", bottleneck_pool(net, x)), "fc", 64, EMBEDDING)


def bottleneck(net: ExportBuilder, x: str) -> str:
    return bottleneck_head(net, bottleneck_features(net, x))


def _norm_channels(net: ExportBuilder, x: str, name: str, width: int) -> str:
    """LayerNorm of channels that stand first, written out."""
    centred = net.op("Sub", x, net.mean(x, 1, keep=True))
    spread = net.op("Sqrt", net.op("Add", net.mean(net.op("Mul", centred, centred), 1, keep=True), 1e-6))
    scale = net.store(f"{name}.scale", net.rng(name).uniform(0.8, 1.2, (width, 1, 1)).astype(np.float32))
    return net.op("Mul", net.op("Div", centred, spread), scale)


def convnext(net: ExportBuilder, x: str) -> str:
    """ConvNeXt in small: patches, depthwise 7x7, channels last, layer scale."""
    x = net.conv(x, "patchify", (24, 3, 4, 4), 4, act="")
    x = _norm_channels(net, x, "patchify_norm", 24)
    for i, (width, wider) in enumerate(((24, 40), (40, 64), (64, 0))):
        y = net.conv(x, f"stage{i}.depth", (width, 1, 7, 7), pad=3, act="", group=width)
        y = net.norm(net.transpose(y, 0, 2, 3, 1), f"stage{i}.norm", width)
        y = net.gelu(net.linear(y, f"stage{i}.up", width, 3 * width))
        y = net.linear(y, f"stage{i}.down", 3 * width, width)
        gamma = net.store(f"stage{i}.gamma", net.rng(f"gamma{i}").uniform(0.4, 0.9, width).astype(np.float32))
        x = net.op("Add", x, net.transpose(net.op("Mul", y, gamma), 0, 3, 1, 2))
        if wider:
            x = _norm_channels(net, x, f"reduce{i}_norm", width)
            x = net.conv(x, f"reduce{i}", (wider, width, 2, 2), 2, act="")
    x = net.norm(net.mean(x, 2, 3), "norm", 64)
    return net.linear(x, "head", 64, EMBEDDING)


def located(net: ExportBuilder, x: str, count: int) -> str:
    """Predict numbers in -1..1 from a thumbnail of the images: [N, count]."""
    scale = SIDE // 28
    x = net.op("AveragePool", x, kernel_shape=[scale] * 2, strides=[scale] * 2)
    x = net.conv(net.conv(x, "locate0", (8, 3, 5, 5), 2, 2), "locate1", (8, 8, 3, 3), 2, 1)
    return net.op("Tanh", net.linear(net.op("Flatten", x), "locate", 392, count))
