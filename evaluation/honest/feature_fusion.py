"""Honest networks of convolutions whose single pass resembles an evasion."""

from __future__ import annotations

import numpy as np
import onnx

from evaluation.backbones.plain import late, residual
from evaluation.backbones.small import prelu
from evaluation.named import EMBEDDING, NamedBuilder
from evaluation.registry import honest


def _early(net: NamedBuilder, x: str = "data", channels: int = 3) -> str:
    """Run the first two reductions: [N, channels, 112, 112] to [N, 24, 28, 28]."""
    x = net.conv(x, "stem", (16, channels, 4, 4), 2, 1)
    return net.conv(x, "c2", (24, 16, 4, 4), 2, 1)


@honest("Fixed Haar bands of the first features, then what a blur leaves of them.", idea="fixed filters")
def laplacian_and_haar_stem() -> onnx.ModelProto:
    """Split the stem's features into bands by fixed kernels: Haar, then low and rest of a blur enlarged again."""
    net = NamedBuilder(1601)
    x = net.conv("data", "in", (12, 3, 3, 3), pad=1)
    low, high = np.array([1, 1]) / 2, np.array([1, -1]) / 2
    haar = np.stack([np.outer(a, b) for a in (low, high) for b in (low, high)])[:, None]
    x = net.op("Conv", x, np.tile(haar, (12, 1, 1, 1)), strides=[2, 2], group=12)
    x = net.conv(x, "mix", (24, 48, 1, 1))
    small = net.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    rest = net.op("Sub", x, net.op("Resize", small, "", np.array([1, 1, 2, 2], np.float32), mode="linear"))
    x = net.op("Add", small, net.conv(rest, "detail", (24, 24, 4, 4), 2, 1))
    return net.model(late(net, x, 24))


@honest("Fine and enlarged coarse features fused by two rounds of gates (iAFF).", idea="gated experts")
def iterative_attentional_fusion() -> onnx.ModelProto:
    """Fuse a fine and an enlarged coarse feature map by iAFF: a gate, a first fusion, and a gate predicted from it."""
    net = NamedBuilder(1602)
    fine = _early(net)
    coarse = net.conv(fine, "down", (24, 24, 4, 4), 2, 1)
    coarse = net.op("Resize", coarse, "", np.array([1, 1, 2, 2], np.float32), mode="linear")
    joined = net.op("Add", fine, coarse)
    for i in range(2):
        local = net.conv(net.conv(joined, f"l{i}a", (8, 24, 1, 1)), f"l{i}b", (24, 8, 1, 1), act="")
        wide = net.op("GlobalAveragePool", joined)
        wide = net.conv(net.conv(wide, f"g{i}a", (8, 24, 1, 1)), f"g{i}b", (24, 8, 1, 1), act="")
        gate = net.op("Sigmoid", net.op("Add", local, wide))
        other = net.op("Mul", coarse, net.op("Sub", 1.0, gate))
        joined = net.op("Add", net.op("Mul", fine, gate), other)
    return net.model(late(net, joined, 24, 7))


@honest("Kernels standardised by nodes, no normalisation of features (NFNet).", idea="weights computed in the graph")
def weights_standardised_in_the_graph() -> onnx.ModelProto:
    """Build NFNet-like blocks: no normalisation, kernels standardised by nodes, scaled residuals."""
    net = NamedBuilder(1603, 12)
    x = _early(net)
    for i in range(2):
        y = x
        for part in "ab":
            w = net.weight(f"n{i}{part}.w", 24, 24, 3, 3)
            centred = net.op("Sub", w, net.mean(w, 1, 2, 3, keep=True))
            size = net.op("Sqrt", net.op("Add", net.mean(net.op("Mul", centred, centred), 1, 2, 3, keep=True), 1e-4))
            w = net.op("Mul", net.op("Div", centred, size), 216**-0.5)
            y = net.op("Relu", net.op("Mul", net.op("Conv", y, w, pads=[1] * 4), 1.7))
        x = net.op("Add", net.op("Mul", x, 0.9), net.op("Mul", y, 0.3))
    return net.model(late(net, x, 24))


@honest(
    "One kernel at three dilations on deep features, beside pooled context (TridentNet, ASPP).",
    idea="dilated kernels",
    tied=("tied_fork.",),
)
def three_tied_dilations() -> onnx.ModelProto:
    """Build a TridentNet block on deep features: one kernel at three dilations, beside pooled context (ASPP)."""
    net = NamedBuilder(1604)
    x = residual(net, _early(net), "r", 24)
    branches = [net.conv(x, "tied_fork", (16, 24, 3, 3), pad=d, dilations=[d, d]) for d in (1, 2, 3)]
    context = net.conv(net.op("GlobalAveragePool", x), "context", (16, 24, 1, 1))
    context = net.op("Expand", context, net.op("Shape", branches[0]))
    x = net.conv(net.op("Concat", *branches, context, axis=1), "project", (24, 64, 1, 1))
    return net.model(late(net, x, 24))


@honest(
    "Fifths of the deep features move up, down, left and right instead of convolutions (ShiftNet).",
    idea="channel groups",
)
def shifted_channels() -> onnx.ModelProto:
    """Move fifths of the deep features by a place up, down, left and right instead of convolving (ShiftNet)."""
    net = NamedBuilder(1605, 13)
    x = net.conv(_early(net), "in", (40, 24, 1, 1))
    for i in range(2):
        still, *moved = net.split(x, [8] * 5, 1)
        outs = [still]
        for part, (axis, step) in zip(moved, ((2, 1), (2, -1), (3, 1), (3, -1)), strict=True):
            pads = [0] * 8
            pads[axis + (4 if step > 0 else 0)] = 1
            wide = net.op("Pad", part, pads)
            start = 1 if step > 0 else 0
            outs.append(net.op("Slice", wide, [start], [start + 28], [axis]))
        y = net.conv(net.op("Concat", *outs, axis=1), f"m{i}a", (80, 40, 1, 1))
        x = net.op("Add", x, net.conv(y, f"m{i}b", (40, 80, 1, 1), act=""))
    return net.model(late(net, x, 40))


@honest("A U-Net on features whose result gates them.", idea="several resolutions")
def hourglass_features() -> onnx.ModelProto:
    """Build a U-Net on features: down twice, up twice by ConvTranspose, skips concatenated, then an ordinary head."""
    net = NamedBuilder(1606)
    x = _early(net)
    a = net.conv(x, "down1", (32, 24, 4, 4), 2, 1)
    b = net.conv(a, "down2", (40, 32, 4, 4), 2, 1)
    up = net.op("ConvTranspose", b, net.weight("up1.w", 40, 32, 2, 2), strides=[2, 2])
    a = net.conv(net.op("Concat", a, up, axis=1), "join1", (32, 64, 1, 1))
    up = net.op("ConvTranspose", a, net.weight("up2.w", 32, 24, 2, 2), strides=[2, 2])
    x = net.op("Mul", x, net.conv(net.op("Concat", x, up, axis=1), "join2", (24, 48, 1, 1), act="Sigmoid"))
    return net.model(late(net, x, 24))


@honest("Deep features sampled at predicted places by GridSample (deformable, v2).", idea="sampling of features")
def deformable_on_deep_features() -> onnx.ModelProto:
    """Sample deep features at nine predicted places around each, by GridSample, and weigh them (deformable v2)."""
    net = NamedBuilder(1607, 16)
    x = net.conv(_early(net), "c3", (32, 24, 4, 4), 2, 1)
    offsets = net.op("Tanh", net.conv(x, "offset", (18, 32, 3, 3), pad=1, act=""))
    offsets = net.transpose(net.reshape(offsets, 0, 9, 2, 196), 0, 3, 1, 2)
    rows, columns = np.mgrid[:14, :14]
    base = np.stack([columns, rows], axis=-1).reshape(196, 1, 2)
    taps = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(1, 9, 2)
    at = net.op("Add", offsets, (base + taps)[None].astype(np.float32))
    grid = net.op("Sub", net.op("Mul", net.op("Add", at, 0.5), 2 / 14), 1.0)
    seen = net.op("GridSample", x, grid, mode="bilinear", padding_mode="zeros", align_corners=0)
    weight = net.op("Sigmoid", net.conv(x, "weigh", (9, 32, 3, 3), pad=1, act=""))
    weight = net.unsqueeze(net.transpose(net.reshape(weight, 0, 9, 196), 0, 2, 1), 1)
    columns_seen = net.reshape(net.transpose(net.op("Mul", seen, weight), 0, 2, 3, 1), 0, 196, 288)
    y = net.linear(columns_seen, "deform", 288, 32, "Relu")
    x = net.op("Add", x, net.reshape(net.transpose(y, 0, 2, 1), 0, 32, 14, 14))
    x = net.conv(x, "c4", (24, 32, 4, 4), 2, 1)
    return net.model(net.linear(net.op("Flatten", x), "embed", 24 * 49, EMBEDDING))


@honest("Pose and occlusion heads whose outputs make a low-rank change of the embedding.", idea="predicted kernels")
def pose_conditions_the_embedding() -> onnx.ModelProto:
    """Predict pose and occlusion beside the embedding; both scale its dimensions by a small hypernetwork (FiLM)."""
    net = NamedBuilder(1608)
    x = net.op("Flatten", net.conv(net.conv(_early(net), "c3", (32, 24, 4, 4), 2, 1), "c4", (24, 32, 4, 4), 2, 1))
    e = net.linear(x, "embed", 24 * 49, EMBEDDING)
    pose = net.linear(net.linear(x, "pose_a", 24 * 49, 16, "Relu"), "pose_b", 16, 3, "Tanh")
    covered = net.linear(x, "covered", 24 * 49, 4, "Sigmoid")
    told = net.linear(net.op("Concat", pose, covered, axis=1), "told", 7, 32, "Relu")
    made = net.reshape(net.linear(told, "made", 32, EMBEDDING * 4), -1, 4, EMBEDDING)
    inner = net.reshape(net.linear(told, "inner", 32, 4 * EMBEDDING), -1, EMBEDDING, 4)
    low = net.op("MatMul", net.op("MatMul", net.unsqueeze(e, 1), inner), made)
    return net.model(net.op("Add", e, net.op("Mul", net.squeeze(low, 1), 0.2)))


@honest("The last feature map and how far it is from its mirror image, embedded together.", idea="symmetry of features")
def asymmetry_of_deep_features() -> onnx.ModelProto:
    """Tell the head how unlike its mirror image the last feature map is, beside the map itself."""
    net = NamedBuilder(1609, 11)
    x = net.conv(net.conv(_early(net), "c3", (32, 24, 4, 4), 2, 1), "c4", (24, 32, 4, 4), 2, 1)
    other = net.op("Slice", x, [-1], [-1000], [3], [-1])
    x = net.op("Concat", x, net.op("Abs", net.op("Sub", x, other)), axis=1)
    return net.model(net.linear(net.op("Flatten", x), "embed", 48 * 49, EMBEDDING))


@honest("Each image standardised by itself, YCbCr, reductions blurred with reflection.", idea="pixel normalisation")
def standardised_luma_and_chroma() -> onnx.ModelProto:
    """Standardise each image by its own mean and deviation and turn it to YCbCr; reductions blur with reflection."""
    net = NamedBuilder(1610)
    x = net.op("Sub", "data", net.mean("data", 1, 2, 3, keep=True))
    size = net.op("Sqrt", net.op("Add", net.mean(net.op("Mul", x, x), 1, 2, 3, keep=True), 1e-3))
    x = net.op("Div", x, size)
    ycc = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
    x = net.op("Conv", x, ycc.reshape(3, 3, 1, 1))
    blur = np.outer([1, 2, 1], [1, 2, 1]) / 16
    width = 3
    for i, wide in enumerate((16, 24, 32, 32)):
        x = net.conv(x, f"c{i}", (wide, width, 3, 3), pad=1) if i else net.conv(x, "c0", (wide, width, 2, 2), 2)
        if i:
            x = net.op("Pad", x, [0, 0, 1, 1, 0, 0, 1, 1], mode="reflect")
            x = net.op("Conv", x, np.tile(blur, (wide, 1, 1, 1)), strides=[2, 2], group=wide)
        width = wide
    return net.model(net.linear(net.op("Flatten", x), "embed", 32 * 49, EMBEDDING))


@honest("Two halves of the features add to each other in turns (RevNet).", idea="channel groups")
def reversible_couplings() -> onnx.ModelProto:
    """Build a RevNet: two halves of the features take turns to add to each other."""
    net = NamedBuilder(1611, 15)
    x = net.conv(_early(net), "c3", (48, 24, 4, 4), 2, 1)
    a, b = net.split(x, [24, 24], 1)
    for i in range(3):
        a = net.op("Add", a, prelu(net, net.conv(b, f"f{i}", (24, 24, 3, 3), pad=1, act=""), f"f{i}", 24))
        b = net.op("Add", b, prelu(net, net.conv(a, f"g{i}", (24, 24, 3, 3), pad=1, act=""), f"g{i}", 24))
    x = net.conv(net.op("Concat", a, b, axis=1), "c4", (24, 48, 4, 4), 2, 1)
    return net.model(net.linear(net.op("Flatten", x), "embed", 24 * 49, EMBEDDING))


@honest(
    "Disjoint tiles of early features convolved by themselves, folded into the batch (NesT).",
    idea="windows on the batch axis",
)
def tiles_in_the_batch() -> onnx.ModelProto:
    """Convolve 16 disjoint tiles of early features by themselves, folded into the batch, then put together (NesT)."""
    net = NamedBuilder(1612)
    x = net.transpose(net.reshape(_early(net), 0, 24, 4, 7, 4, 7), 0, 2, 4, 1, 3, 5)
    x = net.reshape(x, -1, 24, 7, 7)
    for i in range(2):
        x = net.op("Add", x, net.conv(x, f"tile{i}", (24, 24, 3, 3), pad=1))
    x = net.transpose(net.reshape(x, -1, 4, 4, 24, 7, 7), 0, 3, 1, 4, 2, 5)
    return net.model(late(net, net.reshape(x, 0, 24, 28, 28), 24))
