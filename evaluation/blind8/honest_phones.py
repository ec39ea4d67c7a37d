"""Honest: networks for phones, of faces and of images, by hand and by search."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, shuffle
from evaluation.blind4.register import honest_torch


@honest_torch(
    "MobileFaceNet as face.evoLVe has it: Depth_Wise and Residual blocks, linear GDC, 512, rows of length one.",
    idea="mobile face",
    trained=4,
    opset=11,
)
def evolve_mobilefacenet(n: Net, x: T) -> T:
    x = n.cbp(n.cbp(x, 12, 3, 2), 12, 3, 1, -1)
    for width in (16, 24, 32):
        x = n.inverted(x, width, 2)
        x = n.inverted(n.inverted(x, width), width)
    x = n.cbp(x, 64, 1)
    y = n.cb(x, 64, 7, 1, -1, padding=0)
    return F.normalize(n.bn(n.linear(y.flatten(1), 512, bias=False)))


@honest_torch("MobileFaceNet of InsightFace's mbf: blocks of 1, 2 and 1 units, features of 7 x 7 flattened into 256.",
              idea="mobile face", opset=13)  # fmt: skip
def insightface_mbf_flat(n: Net, x: T) -> T:
    x = n.cbp(n.cbp(x, 16, 3, 2), 16, 3, 1, -1)
    for width, units in ((16, 1), (24, 2), (32, 1)):
        x = n.inverted(x, width, 2)
        for _ in range(units):
            x = n.inverted(x, width)
    x = n.cb(n.cbp(x, 64, 1), 64, 7, 1, -1, padding=0)
    return n.embed(x, 256)


@honest_torch(
    "MobileNetV3-Large for faces with PReLU in the place of ReLU and a GDC head.",
    idea="mobile face",
    trained=3,
    opset=18,
    dynamo=True,
)
def mobilenet_v3_prelu_face(n: Net, x: T) -> T:
    x = F.hardswish(n.cb(x, 12, 3, 2))
    for width, k, wide in ((16, 3, False), (24, 5, True), (32, 5, True)):
        y = n.cb(n.cbp(x, 3 * x.shape[1], 1), 3 * x.shape[1], k, 2, -1)
        if wide:
            g = F.hardsigmoid(n.conv(F.relu(n.conv(y.mean((2, 3), keepdim=True), 8, 1)), y.shape[1], 1))
            y = F.hardswish(y) * g
        x = n.cb(n.prelu(y), width, 1)
    return n.gdc(x, 128)


@honest_torch("Once-for-all: a subnetwork of kernels 7, 5 and 3 and of uneven depths, cut out of a trained supernet.",
              idea="searched", opset=12)  # fmt: skip
def once_for_all_subnetwork(n: Net, x: T) -> T:
    x = F.hardswish(n.cb(x, 12, 3, 2))
    for width, ks, factor in ((16, (3, 5), 3), (24, (7,), 4), (32, (5, 3, 7), 3)):
        for i, k in enumerate(ks):
            mid, s = factor * x.shape[1], 2 if i == 0 else 1
            y = F.hardswish(n.cb(F.hardswish(n.cb(x, mid, 1)), mid, k, s, -1))
            y = n.cb(n.se(y), width, 1)
            x = x + y if s == 1 else y
    return n.gdc(x, 128)


@honest_torch(
    "Single-path one-shot search: blocks of ShuffleNet with kernels of 5 and 7 and one of Xception's kind.",
    idea="searched",
    trained=4,
)
def single_path_choice_blocks(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    for width, k in ((24, 5), (32, 7), (40, 0)):
        half = width // 2
        a = n.cbr(n.cb(x, x.shape[1], 3, 2, -1), half, 1)
        if k:
            b = n.cbr(n.cb(n.cbr(x, half, 1), half, k, 2, -1), half, 1)
        else:
            b = n.cbr(n.cb(x, x.shape[1], 3, 2, -1), half, 1)
            b = n.cbr(n.cb(n.cbr(n.cb(b, half, 3, 1, -1), half, 1), half, 3, 1, -1), half, 1)
        x = shuffle(torch.cat([a, b], 1), 2)
    return n.gdc(x, 64)


@honest_torch("LCNet-like ESNet of PP-PicoDet: ghost units of stride 2, shuffle units with gates.", idea="mobile",
              trained=4, opset=13)  # fmt: skip
def enhanced_shufflenet(n: Net, x: T) -> T:
    x = F.hardswish(n.cb(x, 16, 3, 2))
    for width in (24, 32, 40):
        half = width // 2
        a = F.hardswish(n.cb(n.cb(x, x.shape[1], 3, 2, -1), half, 1))
        b = n.se(n.cb(F.hardswish(n.cb(x, half, 1)), half, 3, 2, -1))
        y = torch.cat([a, F.hardswish(n.cb(b, half, 1))], 1)
        x = F.hardswish(n.cb(F.hardswish(n.cb(y, width, 3, 1, -1)), width, 1))
        keep, y = shuffle(x, 2).chunk(2, 1)
        ghost = F.hardswish(n.cb(y, half // 2, 1))
        y = torch.cat([ghost, F.hardswish(n.cb(ghost, half // 2, 3, 1, -1))], 1)
        x = torch.cat([keep, n.cb(n.se(y), half, 1)], 1)
    return n.gdc(x, 96)


@honest_torch("RepGhost after fusion: addition instead of concatenation, plain depthwise layers.",
              idea="mobile", trained=5)  # fmt: skip
def repghost_fused(n: Net, x: T) -> T:
    x = F.relu(n.conv(x, 12, 3, 2))
    for width in (16, 24, 32):
        y = F.relu(n.conv(x, 24, 1))
        y = F.relu(y + n.conv(y, 24, 3, 1, -1))
        y = n.conv(n.conv(y, 24, 3, 2, -1), width, 1)
        x = n.conv(y, width, 3, 1, -1) + n.conv(F.avg_pool2d(x, 2), width, 1)
    return n.gdc(x, 128)


@honest_torch("MCUNet for microcontrollers: narrow early maps, kernels of 7, 3 and 5, ReLU6, an embedding of 32.",
              idea="mobile", opset=11)  # fmt: skip
def mcunet_early_narrow(n: Net, x: T) -> T:
    x = F.relu6(n.cb(x, 8, 3, 2))
    x = n.cb(F.relu6(n.cb(x, 8, 3, 1, -1)), 8, 1)
    for width, k in ((12, 7), (16, 3), (24, 5)):
        y = F.relu6(n.cb(F.relu6(n.cb(x, 3 * x.shape[1], 1)), 3 * x.shape[1], k, 2, -1))
        x = n.cb(y, width, 1)
    return n.linear(x.mean((2, 3)), 32)


@honest_torch(
    "PP-HGNet's small sibling: a stem beside a pooling, light blocks (pointwise, then depthwise 5x5), aggregated.",
    idea="mobile",
    opset=14,
)
def hgnet_light_blocks(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    x = n.cbr(torch.cat([n.cbr(n.cbr(x, 8, 1), 12, 3, 2), F.max_pool2d(x, 2)], 1), 16, 1)
    for width in (24, 32):
        x = n.cb(x, x.shape[1], 3, 2, -1)
        made = [x]
        for _ in range(3):
            made.append(F.relu(n.cb(n.cb(made[-1], 12, 1), 12, 5, 1, -1)))
        x = n.cbr(n.cbr(torch.cat(made, 1), width // 2, 1), width, 1)
    return n.pooled(x, 128)


@honest_torch(
    "RepLKNet's large kernels for a phone: 9x9 depthwise as 9x1 and 1x9 one after the other, inverted, merged.",
    idea="mobile",
    trained=3,
    opset=18,
    dynamo=True,
)
def striped_large_kernels_mobile(n: Net, x: T) -> T:
    x = F.hardswish(n.cb(x, 16, 3, 2))
    for width in (20, 28, 36):
        y = F.hardswish(n.cb(x, 2 * width, 1))
        y = n.conv(n.conv(y, 2 * width, (9, 1), (2, 1), -1), 2 * width, (1, 9), (1, 2), -1)
        x = n.cb(F.hardswish(y), width, 1)
    return n.embed(x, 128)


@honest_torch("CondenseNetV2: sparse feature reactivation, earlier features receive a grouped update from later ones.",
              idea="mobile", opset=13)  # fmt: skip
def condensenet_v2_reactivation(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    for _ in range(3):
        for _ in range(2):
            y = n.cbr(shuffle(n.cbr(x, 16, 1, 1, 2), 4), 8, 3, 1, 4)
            x = torch.cat([x + n.cb(y, x.shape[1], 1, 1, 4), y], 1)
        x = F.avg_pool2d(x, 2)
    return n.gdc(x, 64)
