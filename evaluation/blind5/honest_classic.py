"""Honest: convolutional networks of the classical kind, one pass over one image."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, shuffle
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


@honest_torch("AlexNet with local response normalisation over channels: one pass.", idea="classic", trained=4)
def alexnet_lrn(n: Net, x: T) -> T:
    x = n.same(F.relu(n.conv(x, 12, 11, 4, padding=2)), lambda: nn.LocalResponseNorm(5))
    x = n.same(F.relu(n.conv(F.max_pool2d(x, 3, 2), 24, 5)), lambda: nn.LocalResponseNorm(5))
    x = F.relu(n.conv(F.max_pool2d(x, 3, 2), 24))
    return n.linear(F.relu(n.linear(x.flatten(1), 64)), 64)


@honest_torch("VGG with a maximum pooling after every pair of layers.", idea="classic", opset=13)
def vgg_pairs(n: Net, x: T) -> T:
    for width in (8, 12, 16, 24):
        x = F.max_pool2d(F.relu(n.conv(F.relu(n.conv(x, width)), width)), 2)
    return n.embed(x)


@honest_torch(
    "Network in network: pointwise layers between spatial ones, the average of the last maps.", idea="classic"
)
def network_in_network(n: Net, x: T) -> T:
    for width in (16, 24, 48):
        x = F.max_pool2d(n.cbr(n.cbr(n.cbr(x, width, 5, 2), width, 1), width, 1), 3, 2, 1)
    return n.pooled(x)


def inception(n: Net, x: T, w: int) -> T:
    return torch.cat([
        n.cbr(x, w, 1), n.cbr(n.cbr(x, w, 1), w, 3), n.cbr(n.cbr(x, w // 2, 1), w, 5),
        n.cbr(F.max_pool2d(x, 3, 1, 1), w, 1),
    ], 1)  # fmt: skip


@honest_torch("GoogLeNet: four branches with kernels of their own on the same features.", idea="branches", trained=5)
def googlenet(n: Net, x: T) -> T:
    x = inception(n, n.stem(x), 8)
    x = inception(n, F.max_pool2d(x, 3, 2, 1), 10)
    return n.pooled(F.avg_pool2d(x, 2))


@honest_torch("Inception v3's factorised kernels: 1x7 and 7x1 one after the other.", idea="branches", opset=12)
def inception_factorised(n: Net, x: T) -> T:
    x = n.stem(x)
    a = n.cbr(n.cbr(n.cbr(x, 8, 1), 8, (1, 7)), 12, (7, 1))
    b = n.cbr(n.cbr(n.cbr(x, 8, 1), 8, (7, 1)), 12, (1, 7))
    x = n.down(torch.cat([a, b, n.cbr(F.avg_pool2d(x, 3, 1, 1), 8, 1)], 1), 32)
    return n.gdc(x)


@honest_torch("Xception: separable convolutions with residuals of stride 2.", idea="separable", trained=4)
def xception(n: Net, x: T) -> T:
    x = n.stem(x)
    for width in (24, 32):
        y = n.cb(n.conv(F.relu(x), x.shape[1], 3, 1, -1), width, 1)
        y = n.cb(n.conv(F.relu(y), width, 3, 1, -1), width, 1)
        x = F.max_pool2d(y, 3, 2, 1) + n.cb(x, width, 1, 2)
    return n.pooled(F.relu(x))


@honest_torch("ResNet-D: a deep stem, averages before the strided shortcut.", idea="residual", trained=6)
def resnet_d(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(n.cbr(x, 8, 3, 2), 8), 12)
    for width in (16, 24, 32):
        y = n.cb(n.cbr(n.cbr(x, 8, 1), 8, 3, 2), width, 1)
        x = F.relu(y + n.cb(F.avg_pool2d(x, 2), width, 1))
    return n.gdc(x)


@honest_torch("Wide ResNet with pre-activation and dropout between its layers.", idea="residual")
def wide_resnet(n: Net, x: T) -> T:
    x = n.conv(x, 16, 3, 2)
    for width in (32, 40):
        y = F.relu(n.bn(x))
        z = n.same(F.relu(n.bn(n.conv(y, width, 3, 2))), lambda: nn.Dropout(0.3))
        x = n.conv(z, width) + n.conv(y, width, 1, 2)
    return n.pooled(F.relu(n.bn(x)))


@honest_torch("PyramidNet: widths grow block by block, shortcuts are padded with zeros.", idea="residual", opset=13)
def pyramidnet(n: Net, x: T) -> T:
    x = n.stem(x, 12)
    for width in (16, 20, 24):
        y = n.bn(n.conv(n.cbr(n.bn(x), width, 3, 2 if width > 16 else 1), width))
        short = F.avg_pool2d(x, 2) if width > 16 else x
        x = y + F.pad(short, (0, 0, 0, 0, 0, width - short.shape[1]))
    return n.embed(F.relu(x))


@honest_torch(
    "CSPDarknet with spatial pyramid pooling: half of the channels bypass the blocks, three poolings of one map.",
    idea="branches", trained=5,
)  # fmt: skip
def cspdarknet_spp(n: Net, x: T) -> T:
    x = n.stem(x)
    a, b = n.cbr(x, 12, 1), n.cbr(x, 12, 1)
    for _ in range(2):
        b = b + n.cbr(n.cbr(b, 12, 1), 12)
    x = n.down(torch.cat([a, b], 1), 24)
    return n.embed(n.cbr(torch.cat([x, *(F.max_pool2d(x, k, 1, k // 2) for k in (3, 5, 7))], 1), 16, 1, 2))


@honest_torch("VoVNet: one aggregation of five layers in a row, effective squeeze and excite.", idea="dense")
def vovnet_ese(n: Net, x: T) -> T:
    x = n.stem(x)
    parts = [x]
    for _ in range(4):
        parts.append(n.cbr(parts[-1], 10))
    y = n.cbr(torch.cat(parts, 1), 24, 1)
    y = y * F.hardsigmoid(n.conv(y.mean((2, 3), keepdim=True), 24, 1))
    return n.gdc(n.down(y, 32))


@honest_torch("HarDNet: dense connections at harmonic distances only.", idea="dense", trained=4)
def hardnet_harmonic(n: Net, x: T) -> T:
    kept = [n.stem(x)]
    for i in range(1, 9):
        links = [kept[i - 2**k] for k in range(4) if i % 2**k == 0 and i >= 2**k]
        kept.append(n.cbr(torch.cat(links, 1), 8 + 4 * (i % 2 == 0)))
    return tail(n, torch.cat(kept[1::2] + kept[-1:], 1))


@honest_torch("Deep layer aggregation: a tree of residual blocks joined pairwise.", idea="dense", opset=12)
def deep_layer_aggregation(n: Net, x: T) -> T:
    x = n.stem(x)
    a = n.res(x)
    b = n.res(a)
    ab = F.relu(n.cb(torch.cat([a, b], 1), 16, 1))
    c = n.res(ab)
    d = n.res(c)
    return tail(n, F.relu(n.cb(torch.cat([ab, c, d], 1), 24, 1)))


@honest_torch("FractalNet: paths of one, two and four layers are averaged.", idea="branches")
def fractalnet(n: Net, x: T) -> T:
    def fractal(x: T, depth: int) -> T:
        short = n.cbr(x, 16)
        return short if depth == 1 else (short + fractal(fractal(x, depth - 1), depth - 1)) / 2

    return tail(n, fractal(n.stem(x), 3))


@honest_torch("Highway network: a gate of the features decides between layer and shortcut.", idea="gates", trained=5)
def highway(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(3):
        gate = torch.sigmoid(n.conv(x, 16) - 1)
        x = gate * F.relu(n.conv(x, 16)) + (1 - gate) * x
    return tail(n, x)


@honest_torch("RegNet Y: grouped bottlenecks with squeeze and excite.", idea="residual", trained=5, opset=14)
def regnet_y(n: Net, x: T) -> T:
    x = n.cbr(x, 8, 3, 2)
    for width in (16, 24, 40):
        y = n.cb(n.se(n.cbr(n.cbr(x, width, 1), width, 3, 2, width // 8)), width, 1)
        x = F.relu(y + n.cb(x, width, 1, 2))
    return n.gdc(x)


@honest_torch(
    "NFNet: no BatchNorm; kernels standardised at export, residuals scaled by constants.", idea="residual", opset=13
)
def nfnet(n: Net, x: T) -> T:
    x = n.stem(x)
    for i in range(2):
        w = n.weight(16, 16, 3, 3)
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (12 * w.std((1, 2, 3), keepdim=True)) * 1.7
        x = x + 0.2 * F.gelu(F.conv2d(x / (1 + 0.1 * i) ** 0.5, w, padding=1)) * n.weight(1)
    return tail(n, x)


@honest_torch(
    "ReXNet: widths that grow in small steps, SiLU before and ReLU6 behind the depthwise layer.", idea="mobile"
)
def rexnet(n: Net, x: T) -> T:
    x = F.silu(n.cb(x, 10, 3, 2))
    for width, s in ((13, 2), (16, 1), (20, 2), (24, 1), (30, 2)):
        y = n.cb(F.relu6(n.se(n.cb(F.silu(n.cb(x, 2 * width, 1)), 2 * width, 3, s, -1))), width, 1)
        x = torch.cat([y[:, : x.shape[1]] + x, y[:, x.shape[1] :]], 1) if s == 1 else y
    return n.gdc(x)


@honest_torch(
    "TResNet: space to depth by a reshape, leaky ReLU, blurred strides on features.", idea="residual", trained=4
)
def tresnet(n: Net, x: T) -> T:
    y = x.reshape(-1, 3, 28, 4, 28, 4).permute(0, 3, 5, 1, 2, 4).reshape(-1, 48, 28, 28)
    x = F.leaky_relu(n.cb(y, 24), 1e-3)
    x = x + n.se(n.cb(F.leaky_relu(n.cb(x, 24), 1e-3), 24))
    blur = torch.tensor([1.0, 2, 1]).outer(torch.tensor([1.0, 2, 1])).div(16).expand(32, 1, 3, 3)
    return n.gdc(F.conv2d(F.leaky_relu(n.cb(x, 32), 1e-3), blur, stride=2, padding=1, groups=32))


@honest_torch("RepLKNet: kernels of 13x13, with a 5x5 branch that is not merged yet.", idea="large kernels", trained=3)
def replknet_unmerged(n: Net, x: T) -> T:
    x = n.stem(x)
    y = n.cbr(x, 20, 1)
    y = F.relu(n.cb(y, 20, 13, 1, -1) + n.cb(y, 20, 5, 1, -1))
    x = x + n.cb(y, 16, 1)
    x = x + n.cb(F.gelu(n.cb(x, 48, 1)), 16, 1)
    return tail(n, x)


@honest_torch(
    "SLaK: large kernels as two stripes, 21x3 and 3x21, with a small square beside them.", idea="large kernels"
)
def slak_stripes(n: Net, x: T) -> T:
    x = n.stem(x)
    x = F.gelu(n.cb(x, 16, (21, 3), 1, -1) + n.cb(x, 16, (3, 21), 1, -1) + n.cb(x, 16, 3, 1, -1)) + x
    return tail(n, x)


@honest_torch("InceptionNeXt: a quarter each of a square, two bands and the identity.", idea="large kernels", opset=17)
def inceptionnext(n: Net, x: T) -> T:
    x = n.ln2d(n.conv(x, 24, 4, 4, padding=0))
    for _ in range(2):
        a, b, c, d = x.chunk(4, 1)
        mixed = torch.cat([a, n.conv(b, 6, 3, 1, -1), n.conv(c, 6, (1, 11), 1, -1), n.conv(d, 6, (11, 1), 1, -1)], 1)
        x = x + n.conv(F.gelu(n.conv(n.bn(mixed), 72, 1)), 24, 1)
    return tail(n, x)


@honest_torch("HorNet: recursive gated convolution of third order.", idea="gates", trained=4)
def hornet_gated(n: Net, x: T) -> T:
    x = n.stem(x)
    p, q = n.conv(x, 32, 1).split([4, 28], 1)
    a, b, c = n.conv(q, 28, 7, 1, -1).split([4, 8, 16], 1)
    y = n.conv(p * a, 8, 1) * b
    x = x + n.conv(n.conv(y, 16, 1) * c, 16, 1)
    return tail(n, n.bn(x))


@honest_torch("FocalNet: contexts of three sizes and the global mean, gated and summed on features.", idea="gates")
def focalnet(n: Net, x: T) -> T:
    x = n.stem(x)
    query, context, gates = n.conv(x, 36, 1).split([16, 16, 4], 1)
    total = 0.0
    for i, k in enumerate((3, 5, 7)):
        context = F.gelu(n.conv(context, 16, k, 1, -1))
        total = total + context * gates[:, i : i + 1]
    total = total + F.gelu(context.mean((2, 3), keepdim=True)) * gates[:, 3:]
    return tail(n, x + query * n.conv(total, 16, 1))


@honest_torch("VAN: large-kernel attention by depthwise, dilated depthwise and pointwise layers.", idea="large kernels")
def visual_attention_network(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(2):
        y = F.gelu(n.conv(n.bn(x), 16, 1))
        z = n.conv(n.conv(n.conv(y, 16, 5, 1, -1), 16, 7, 1, -1, dilation=3), 16, 1)
        x = x + 0.5 * n.conv(y * z, 16, 1)
    return tail(n, x)


@honest_torch("StarNet: the product of two pointwise layers of one map.", idea="gates", trained=5)
def starnet(n: Net, x: T) -> T:
    x = n.stem(x)
    for _ in range(2):
        y = n.cb(x, 16, 7, 1, -1)
        x = x + n.cb(n.conv(F.relu6(n.conv(y, 40, 1)) * n.conv(y, 40, 1), 16, 1), 16, 7, 1, -1)
    return tail(n, x)


@honest_torch(
    "CondenseNet: learned group convolutions behind a stored permutation of channels.", idea="dense", opset=11
)
def condensenet_permuted(n: Net, x: T) -> T:
    x = n.stem(x)
    order = torch.from_numpy(np.random.default_rng(3).permutation(16))
    y = shuffle(n.cbr(x[:, order], 16, 1, 1, 4), 4)
    x = torch.cat([x, n.cbr(y, 12, 3, 1, 4)], 1)
    return tail(n, x)


@honest_torch(
    "SCNet: self-calibration at a quarter of the size, brought back by nearest up-sampling.", idea="attention"
)
def self_calibrated(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    a, b = x.chunk(2, 1)
    gate = torch.sigmoid(a + F.interpolate(n.cb(F.avg_pool2d(a, 4), 12), scale_factor=4.0))
    x = F.relu(x + n.cb(torch.cat([n.cbr(n.cb(a, 12) * gate, 12), n.cbr(b, 12)], 1), 24, 1))
    return tail(n, x)


@honest_torch(
    "HRNet v2 with bilinear up-sampling of deep streams and a head over all of them.", idea="pyramid", trained=4
)
def hrnet_v2_bilinear(n: Net, x: T) -> T:
    a = n.stem(x)
    b = n.down(a, 24)
    for _ in range(2):
        up = F.interpolate(n.cb(b, 16, 1), scale_factor=2.0, mode="bilinear", align_corners=False)
        a, b = F.relu(n.cb(a, 16) + up), F.relu(n.cb(b, 24) + n.cb(a, 24, 3, 2))
    up = F.interpolate(b, scale_factor=2.0, mode="bilinear", align_corners=False)
    return tail(n, n.cbr(torch.cat([a, up], 1), 24, 1))


@honest_torch("PANet: a pyramid top-down by nearest up-sampling, then bottom-up again, on features.", idea="pyramid")
def path_aggregation(n: Net, x: T) -> T:
    a = n.stem(x)
    b = n.down(a, 24)
    c = n.down(b, 32)
    b = n.cbr(b, 16, 1) + F.interpolate(n.cbr(c, 16, 1), scale_factor=2.0)
    a = n.cbr(a, 16, 1) + F.interpolate(b, scale_factor=2.0)
    b = n.cbr(a, 16, 3, 2) + b
    return n.gdc(n.cbr(b, 32, 3, 2))
