"""Honest: small networks for phones, as they are published for faces and for images."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, shuffle
from evaluation.blind4.register import honest_torch


@honest_torch(
    "MobileFaceNet, trained: depthwise bottlenecks and a global depthwise head over one image.",
    idea="mobile",
    trained=8,
)
def mobilefacenet_prelu(n: Net, x: T) -> T:
    x = n.cbp(n.cbp(x, 16, 3, 2), 16, 3, 1, -1)
    x = n.inverted(x, 16, 2)
    x = n.inverted(n.inverted(x, 16), 24, 2)
    x = n.inverted(n.inverted(x, 24), 32, 2)
    return n.gdc(n.cbp(x, 48, 1))


@honest_torch(
    "MobileFaceNet y2 in small: the baseline of LFR19, wider and deeper; the image is read once.", idea="mobile"
)
def mobilefacenet_y2(n: Net, x: T) -> T:
    x = n.cbp(n.cbp(x, 24, 3, 2), 24, 3, 1, -1)
    for width, depth in ((24, 2), (32, 3), (32, 1)):
        x = n.inverted(x, width, 2, factor=3)
        for _ in range(depth):
            x = n.inverted(x, width)
    return n.gdc(n.cbp(x, 64, 1))


@honest_torch(
    "GhostNet: half of the features are cheap depthwise images of the others, of one pass.", idea="ghost modules"
)
def ghostnet_v1(n: Net, x: T) -> T:
    def ghost(y: T, width: int) -> T:
        first = n.cbr(y, width // 2, 1)
        return torch.cat([first, n.cbr(first, width // 2, 3, 1, -1)], 1)

    x = n.stem(x)
    for width in (24, 32):
        x = n.down(x, width)
        y = n.se(ghost(x, 2 * width))
        x = x + n.cb(ghost(y, width), width, 1)
    return n.gdc(x)


@honest_torch(
    "GhostFaceNets with GhostNetV2's long-range attention: gates made of the same features at half size.",
    idea="ghost modules",
    trained=6,
)
def ghostfacenet_v2(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        x = n.down(x, width)
        first = n.cbp(x, width, 1)
        y = torch.cat([first, n.cbp(first, width, 5, 1, -1)], 1)
        gate = n.cb(F.avg_pool2d(x, 2, ceil_mode=True), 2 * width, 1)
        gate = n.cb(n.cb(gate, 2 * width, (1, 5), 1, -1), 2 * width, (5, 1), 1, -1)
        y = y * F.interpolate(torch.sigmoid(gate), size=y.shape[2:], mode="nearest")
        x = x + n.cb(y, width, 1)
    return n.gdc(x)


@honest_torch(
    "ShuffleNetV2: split, three convolutions on one half, concatenation, shuffle; channels of one image.",
    idea="shuffle",
)
def shufflenet_v2(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (32, 48):
        left = n.cbr(n.cb(x, x.shape[1], 3, 2, -1), width // 2, 1)
        right = n.cbr(n.cb(n.cbr(x, width // 2, 1), width // 2, 3, 2, -1), width // 2, 1)
        x = torch.cat([left, right], 1)
        for _ in range(2):
            left, right = shuffle(x, 2).chunk(2, 1)
            x = torch.cat([left, n.cbr(n.cb(n.cbr(right, width // 2, 1), width // 2, 3, 1, -1), width // 2, 1)], 1)
    return n.gdc(x)


@honest_torch("ShuffleFaceNet: ShuffleNetV2 units with PReLU and a global depthwise head.", idea="shuffle", trained=6)
def shufflefacenet(n: Net, x: T) -> T:
    x = n.cbp(n.cbp(x, 12, 3, 2), 24, 3, 2)
    for _ in range(2):
        c = x.shape[1]
        y = n.cbp(n.cb(n.cbp(x, c, 1), c, 3, 2, -1), c, 1)
        y = torch.cat([n.cbp(n.cb(x, c, 3, 2, -1), c, 1), y], 1)
        x = y.reshape(-1, 2, c, y.shape[2], y.shape[3]).transpose(1, 2).reshape(-1, 2 * c, y.shape[2], y.shape[3])
        x = n.cbp(x, 32, 1)
    return n.gdc(x)


@honest_torch("ShuffleNetV1: grouped 1x1 convolutions with a shuffle between them.", idea="shuffle")
def shufflenet_v1_groups(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    for _ in range(2):
        y = shuffle(n.cbr(x, 24, 1, 1, 3), 3)
        y = n.cb(n.cb(y, 24, 3, 2, -1), 24, 1, 1, 3)
        x = F.relu(torch.cat([F.avg_pool2d(x, 3, 2, 1), y], 1))
        x = n.cbr(x, 24, 1)
    return n.gdc(x)


@honest_torch("EfficientNet: MBConv with squeeze-excitation and swish.", idea="mobile")
def efficientnet_b0_small(n: Net, x: T) -> T:
    x = F.silu(n.cb(x, 16, 3, 2))
    for width, k in ((16, 3), (24, 5), (32, 3), (32, 5)):
        y = F.silu(n.cb(n.conv(x, 3 * x.shape[1], 1), 3 * x.shape[1], k, 2, -1))
        x = n.cb(n.se(y), width, 1)
    return n.pooled(F.silu(n.cb(x, 64, 1)))


@honest_torch("EfficientNetV2: fused MBConv first, MBConv later.", idea="mobile")
def efficientnet_v2_fused(n: Net, x: T) -> T:
    x = F.silu(n.cb(x, 12, 3, 2))
    for width in (16, 24):
        x = n.cb(F.silu(n.cb(x, 3 * width, 3, 2)), width, 1)
        x = x + n.cb(F.silu(n.cb(x, 2 * width)), width, 1)
    x = n.cb(n.se(F.silu(n.cb(F.silu(n.cb(x, 64, 1)), 64, 3, 2, -1))), 32, 1)
    return n.pooled(F.silu(n.cb(x, 64, 1)))


@honest_torch("MobileNetV3: hard swish, hard sigmoid gates, kernels of 5.", idea="mobile")
def mobilenet_v3(n: Net, x: T) -> T:
    x = F.hardswish(n.cb(x, 16, 3, 2))
    for width, k in ((16, 3), (24, 5), (32, 5)):
        y = F.hardswish(n.cb(F.hardswish(n.cb(x, 2 * width, 1)), 2 * width, k, 2, -1))
        gate = n.conv(F.relu(n.conv(y.mean((2, 3), keepdim=True), width // 2, 1)), 2 * width, 1)
        x = n.cb(y * F.hardsigmoid(gate), width, 1)
    return n.gdc(x)


@honest_torch("MobileNetV1: depthwise and pointwise in turn, nothing beside it.", idea="mobile")
def mobilenet_v1(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.cbr(n.cbr(x, x.shape[1], 3, 2, -1), width, 1)
    return n.pooled(x)


@honest_torch(
    "MixNet / MixFaceNet: depthwise kernels of 3, 5, 7 and 9 on parts of the channels of one map.",
    idea="mixed kernels",
    trained=6,
)
def mixfacenet(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        y = shuffle(n.cbp(x, 2 * width, 1), 2)
        parts = [n.conv(part, width // 2, k, 2, -1) for part, k in zip(y.chunk(4, 1), (3, 5, 7, 9), strict=True)]
        x = n.cb(n.se(n.bn(torch.cat(parts, 1))), width, 1)
    return n.gdc(x)


@honest_torch("AirFace: MobileFaceNet with CBAM gates; the gates read the features they scale.", idea="mobile")
def airface(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    for width in (16, 24, 32):
        x = n.inverted(x, width, 2)
        x = n.inverted(n.se(x), width)
        stats = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        x = x * torch.sigmoid(n.conv(stats, 1, 7))
    return n.gdc(x)


@honest_torch("ProxylessFAN: blocks of different kernels and factors as a search found them.", idea="mobile")
def proxylessfan(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    for width, k, factor, s in ((16, 5, 1, 2), (16, 3, 3, 1), (24, 7, 2, 2), (24, 3, 3, 1), (32, 5, 3, 2)):
        x = n.inverted(x, width, s, k, factor)
    return n.gdc(n.cbp(x, 48, 1))


@honest_torch(
    "VarGFaceNet: groups of a fixed number of channels, squeeze-excitation, a grouped embedding layer.",
    idea="mobile",
    trained=6,
)
def vargfacenet(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    for width in (16, 32, 32):
        two = [n.cbp(n.cbp(x, 32, 3, 2, x.shape[1] // 8), width, 1) for _ in range(2)]
        x = n.prelu(n.se(n.cb(n.cbp(two[0] + two[1], 32, 3, 1, width // 8), width, 1)) + two[0])
    y = n.cb(n.cbp(x, 64, 1), 64, 7, 1, 8, padding=0)
    return n.embed(n.cbp(y, 32, 1))


@honest_torch(
    "BlazeFace: 5x5 depthwise double blocks whose shortcut is max-pooled and padded with channels of zeros.",
    idea="mobile",
)
def blazeface_backbone(n: Net, x: T) -> T:
    x = F.relu(n.conv(x, 16, 5, 2))
    for width in (16, 24, 32):
        y = n.cb(n.conv(x, x.shape[1], 5, 2, -1), 12, 1)
        y = n.cb(n.conv(F.relu(y), 12, 5, 1, -1), width, 1)
        x = F.relu(y + F.pad(F.max_pool2d(x, 2), (0, 0, 0, 0, 0, width - x.shape[1])))
    return n.embed(x)


@honest_torch("SqueezeNet: fire modules, two kernel sizes on one squeezed map.", idea="mobile")
def squeezenet_fire(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(2):
        y = F.relu(n.conv(x, 8, 1))
        x = F.max_pool2d(torch.cat([F.relu(n.conv(y, 16, 1)), F.relu(n.conv(y, 16))], 1), 3, 2, 1)
    return n.pooled(F.relu(n.conv(x, 64, 1)))


@honest_torch("MnasNet with a plain 112 x 112 depthwise layer before the first stride.", idea="mobile")
def mnasnet_full_resolution_first(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(n.cbr(x, 8, 3), 8, 3, 1, -1), 12, 3, 2)
    for width in (16, 24, 32):
        x = n.inverted(x, width, 2, 5)
    return n.gdc(x)


@honest_torch(
    "MobileOne as trained: branches of one kernel size on one map, each with its own BatchNorm.", idea="re-parametrised"
)
def mobileone_unfused(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        y = sum((n.cb(x, x.shape[1], 3, 2, -1) for _ in range(3)), n.cb(x, x.shape[1], 1, 2, -1))
        y = F.relu(y)
        x = F.relu(sum((n.cb(y, width, 1) for _ in range(2)), n.cb(y, width, 1)))
    return n.gdc(x)


@honest_torch("EdgeFace / EdgeNeXt: depthwise splits of growing reach, and attention across channels.", idea="hybrid")
def edgeface(n: Net, x: T) -> T:
    x = n.ln2d(n.conv(x, 16, 4, 4, padding=0))
    for width in (24, 32):
        x = n.conv(n.ln2d(x), width, 2, 2, padding=0)
        parts = list(x.chunk(2, 1))
        parts[1] = n.conv(parts[1] + parts[0], width // 2, 3, 1, -1)
        y = torch.cat(parts, 1)
        t = n.ln(y.flatten(2).transpose(1, 2))
        q, k, v = n.heads(t, 2)
        q, k = F.normalize(q, dim=-2), F.normalize(k, dim=-2)
        mixed = (v @ (q.transpose(-1, -2) @ k).softmax(-1)).transpose(1, 2).reshape(t.shape[0], -1, width)
        x = x + n.ff(n.ln(t + mixed)).transpose(1, 2).reshape(y.shape)
    return n.pooled(x)


@honest_torch("FasterNet: partial convolution, one quarter of the channels convolved and the rest kept.", idea="mobile")
def fasternet_partial(n: Net, x: T) -> T:
    x = n.bn(n.conv(x, 16, 4, 4, padding=0))
    for width in (24, 32):
        x = n.cb(x, width, 2, 2, padding=0)
        quarter = width // 4
        y = torch.cat([n.conv(x[:, :quarter], quarter), x[:, quarter:]], 1)
        x = x + n.conv(n.cbr(y, 2 * width, 1), width, 1)
    return n.pooled(x)
