"""Honest: light networks for phones, of face recognition and of images, that the earlier sets do not have."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, grid, shuffle, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


def separable(n: Net, x: T, width: int, k: int = 3, s: int = 1) -> T:
    """Depthwise and pointwise layer with hard swish, as PP-LCNet has them."""
    return F.hardswish(n.cb(F.hardswish(n.cb(x, x.shape[1], k, s, -1)), width, 1))


@honest_torch("MobileFaceNet with squeeze and excite, hard swish and a head of 512.", idea="mobile face",
              opset=14)  # fmt: skip
def mobilefacenet_excited_hswish(n: Net, x: T) -> T:
    x = F.hardswish(n.cb(F.hardswish(n.cb(x, 12, 3, 2)), 12, 3, 1, -1))
    for width in (16, 24, 32):
        y = F.hardswish(n.cb(F.hardswish(n.cb(x, 2 * width, 1)), 2 * width, 3, 2, -1))
        gate = F.hardsigmoid(n.conv(F.relu(n.conv(y.mean((2, 3), keepdim=True), 8, 1)), 2 * width, 1))
        x = n.cb(y * gate, width, 1)
    return n.gdc(F.hardswish(n.cb(x, 64, 1)), 512)


@honest_torch("EdgeFace's low-rank layers: each linear layer is two, around EdgeNeXt's split depthwise encoder.",
              idea="mobile face", dynamo=True, opset=18, trained=4)  # fmt: skip
def edgeface_low_rank(n: Net, x: T) -> T:
    def low(y: T, width: int) -> T:
        return n.linear(n.linear(y, max(int(min(y.shape[-1], width) * 0.6), 4), bias=False), width)

    x = n.ln2d(n.conv(x, 16, 4, 4, padding=0))
    for width in (24, 32):
        y = n.conv(x, x.shape[1], 5, 1, -1).permute(0, 2, 3, 1)
        x = x + low(F.gelu(low(n.ln(y), 2 * int(x.shape[1]))), int(x.shape[1])).permute(0, 3, 1, 2)
        x = n.conv(n.ln2d(x), width, 2, 2, padding=0)
    a, b = x.chunk(2, 1)
    t = tokens(torch.cat([a, n.conv(a + b, 16, 3, 1, -1)], 1))
    q, k, v = (y.transpose(1, 2) for y in low(n.ln(t), 96).chunk(3, 2))
    mixed = (F.normalize(q, dim=2) @ F.normalize(k, dim=2).transpose(1, 2) * n.weight(1, 1, 1)).softmax(-1) @ v
    t = t + low(mixed.transpose(1, 2), 32)
    t = t + low(F.gelu(low(n.ln(t), 64)), 32)
    return low(n.ln(t.mean(1)), 512)


@honest_torch("PocketNet-M in small: a reduction cell first, PReLU in every searched operation.", idea="mobile face",
              trained=4, opset=12)  # fmt: skip
def pocketnet_reduction_first(n: Net, x: T) -> T:
    def op(y: T, k: int, s: int) -> T:
        return n.cb(n.cbp(y, y.shape[1], k, s, -1), y.shape[1], 1)

    a = b = n.cbp(x, 12, 3, 2)
    for width, s in ((12, 2), (16, 1), (20, 2), (24, 2)):
        a = n.cb(n.prelu(a), width, 1, a.shape[2] // b.shape[2])
        c = n.cb(n.prelu(b), width, 1)
        d = op(a, 3, s) + op(c, 5, s)
        e = op(c, 3, s) + (d if s == 1 else F.max_pool2d(a, 3, 2, 1))
        a, b = b, n.cb(torch.cat([d, e], 1), width, 1)
    return n.gdc(b, 128)


@honest_torch("ShuffleMixFaceNet: mixed depthwise kernels, then a shuffle of the channels.", idea="mobile face",
              opset=15)  # fmt: skip
def shuffle_mixfacenet(n: Net, x: T) -> T:
    x = n.cbp(n.cbp(x, 16, 3, 2), 16, 3, 1, -1)
    for width in (24, 32, 40):
        parts = n.cbp(x, 2 * width, 1).chunk(2, 1)
        y = torch.cat([n.conv(part, width, k, 2, -1, bias=False) for part, k in zip(parts, (3, 7), strict=True)], 1)
        x = shuffle(n.cb(n.prelu(n.bn(y)), width, 1, 1, 2), 4)
    return n.gdc(x, 256)


@honest_torch("ShuffleFaceNet whose shuffle is a Gather with stored places.", idea="mobile face", opset=15)
def shuffleface_by_gather(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    for width in (24, 32, 40):
        half = width // 2
        a = n.cbp(n.cb(x, x.shape[1], 3, 2, -1), half, 1)
        b = n.cbp(n.cb(n.cbp(x, half, 1), half, 3, 2, -1), half, 1)
        x = torch.cat([a, b], 1)[:, torch.arange(width).reshape(2, half).T.reshape(-1)]
        keep, y = x.chunk(2, 1)
        y = n.cbp(n.cb(n.cbp(y, half, 1), half, 3, 1, -1), half, 1)
        x = torch.cat([keep, y], 1)[:, torch.arange(width).reshape(2, half).T.reshape(-1)]
    return n.gdc(x, 64)


@honest_torch("VarGFaceNet's head setting: full resolution first, groups of eight channels, SE and PReLU.",
              idea="mobile face", dynamo=True, opset=18, trained=4)  # fmt: skip
def vargface_head_setting(n: Net, x: T) -> T:
    x = n.cbp(x, 8)
    for width in (16, 24, 32, 40):
        c = x.shape[1]
        y = n.cbp(n.cbp(x, 2 * c, 3, 2, c // 8), width, 1)
        y = n.se(n.cb(n.cbp(y, 2 * width, 3, 1, width // 8), width, 1))
        x = n.prelu(y + n.cb(n.cb(x, c, 3, 2, c // 8), width, 1))
    return n.embed(n.cb(n.conv(x, 64, 1), 64, 7, 1, 8, padding=0), 512)


@honest_torch("MobileNetV2 for faces: ReLU6, a pointwise layer of 96, a 7x7 depthwise layer, unit rows.",
              idea="mobile face", trained=4)  # fmt: skip
def mobilenet_v2_unit_rows(n: Net, x: T) -> T:
    x = F.relu6(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        for s in (2, 1):
            y = F.relu6(n.cb(F.relu6(n.cb(x, 3 * x.shape[1], 1)), 3 * x.shape[1], 3, s, -1))
            y = n.cb(y, width, 1)
            x = y if s == 2 else x + y
    y = n.cb(F.relu6(n.cb(x, 96, 1)), 96, 7, 1, -1, padding=0)
    return F.normalize(n.cb(y, 128, 1).flatten(1))


@honest_torch("ConvFaceNeXt: enhanced ConvNeXt blocks, 3x3 depthwise, one PReLU, features of all stages added.",
              idea="mobile face", opset=16, trained=4)  # fmt: skip
def convfacenext_added_stages(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    made = []
    for width in (16, 24, 32):
        x = n.cb(n.cb(x, x.shape[1], 3, 2, -1), width, 1)
        x = x + n.cb(n.cbp(n.cb(x, width, 3, 1, -1), 3 * width, 1), width, 1)
        made.append(n.cb(x, 32, 1))
    y = F.avg_pool2d(made[0], 4) + F.avg_pool2d(made[1], 2) + made[2]
    return n.gdc(n.prelu(y), 64)


@honest_torch("MobileNeXt: sandglass blocks, depthwise layers at the wide ends.", idea="mobile", opset=11)
def mobilenext_sandglass(n: Net, x: T) -> T:
    x = F.relu6(n.cb(x, 24, 3, 2))
    for width in (32, 40, 48):
        y = F.relu6(n.cb(x, x.shape[1], 3, 1, -1))
        y = F.relu6(n.cb(n.cb(y, 8, 1), width, 1))
        x = n.cb(y, width, 3, 2, -1)
        x = x + n.cb(n.cb(n.cb(F.relu6(n.cb(x, width, 3, 1, -1)), 8, 1), width, 1), width, 3, 1, -1)
    return n.pooled(x, 128)


@honest_torch(
    "G-GhostNet: the last block's other half is a cheap image of the stage's first block.", idea="mobile", opset=13
)
def g_ghost_stages(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    for width in (24, 32, 40):
        first = n.cbr(x, width, 3, 2)
        y = first[:, : width // 2]
        deep = [n.cbr(y, width // 2), n.cbr(n.cbr(y, width // 2), width // 2)]
        mix = torch.sigmoid(n.conv(torch.cat(deep, 1).mean((2, 3), keepdim=True), width // 2, 1))
        x = torch.cat([deep[1], n.cbr(first, width // 2, 1) * mix], 1)
    return n.embed(x, 64)


@honest_torch("PP-LCNet: depthwise separable layers, kernels of 5 and SE in the end, a wide layer behind the mean.",
              idea="mobile", opset=14, trained=4)  # fmt: skip
def pp_lcnet(n: Net, x: T) -> T:
    x = F.hardswish(n.cb(x, 12, 3, 2))
    x = separable(n, separable(n, x, 16), 24, 3, 2)
    x = n.se(separable(n, separable(n, x, 32, 3, 2), 48, 5, 2))
    y = F.hardswish(n.conv(F.adaptive_avg_pool2d(x, 1), 128, 1, bias=False))
    return n.embed(y, 256)


@honest_torch("MicroNet: factorised pointwise layers in groups, and the larger of two gated shifts of the channels.",
              idea="mobile", opset=16)  # fmt: skip
def micronet_shift_max(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    for width in (16, 24, 32):
        x = n.cb(n.cb(x, 2 * x.shape[1], (3, 1), (2, 1), -1), width, (1, 3), (1, 2), 4)
        g = torch.sigmoid(n.linear(F.relu(n.linear(x.mean((2, 3)), 8)), 2 * width)).reshape(-1, 2, width, 1, 1) * 2
        turned = torch.cat([x[:, width // 4 :], x[:, : width // 4]], 1)
        x = torch.maximum(x * g[:, 0], turned * (g[:, 1] - 0.5))
        x = n.cb(shuffle(n.conv(x, 8, 1, 1, 2), 4), width, 1, 1, 2)
    return n.embed(x, 64)


@honest_torch("ParC-Net: features convolved in a circle over a whole column or row, by joining the map to itself.",
              idea="mobile", trained=4, opset=13)  # fmt: skip
def parcnet_circular(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 16), 24)
    a, b = n.bn(x).chunk(2, 1)
    a = a + n.weight(1, 12, 14, 1)
    b = b + n.weight(1, 12, 1, 14)
    a = n.conv(torch.cat([a, a[:, :, :-1]], 2), 12, (14, 1), 1, -1, padding=0)
    b = n.conv(torch.cat([b, b[:, :, :, :-1]], 3), 12, (1, 14), 1, -1, padding=0)
    x = x + torch.cat([a, b], 1)
    return tail(n, x + n.se(n.conv(F.gelu(n.conv(n.bn(x), 48, 1)), 24, 1)))


@honest_torch("DiCENet: kernels over channels and rows, channels and columns, rows and columns, then fused.",
              idea="mobile", opset=14)  # fmt: skip
def dicenet_three_dimensions(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 12), 28)
    a = n.conv(x, 28, 3, 1, -1)
    b = n.conv(x.transpose(1, 2), 14, 3, 1, -1).transpose(1, 2)
    c = n.conv(x.permute(0, 3, 2, 1), 14, 3, 1, -1).permute(0, 3, 2, 1)
    y = n.prelu(n.bn(torch.stack([a, b, c], 2).flatten(1, 2)))
    return tail(n, n.cbp(y, 28, 1, 1, 28), dim=96)


@honest_torch("ESPNetv2: dilated depthwise pyramids summed from fine to coarse; averages of the image reinforce them.",
              idea="mobile", opset=17)  # fmt: skip
def espnet_v2_reinforced(n: Net, x: T) -> T:
    small = F.avg_pool2d(x, 3, 2, 1)
    y = n.cbp(x, 16, 3, 2)
    for width in (24, 32, 40):
        small = F.avg_pool2d(small, 3, 2, 1)
        z, made = n.cbp(y, width // 4, 1, 1, 2), []
        last = torch.zeros(1)
        for d in (1, 2, 3, 4):
            last = last + n.conv(z, width // 4, 3, 2, -1, dilation=d)
            made.append(last)
        y = n.cb(n.prelu(n.bn(torch.cat(made, 1))), width, 1, 1, 4)
        y = n.prelu(y + n.cb(n.cbp(small, 3), width, 1))
    return n.gdc(y, 128)


@honest_torch("OSNet: streams of one to three light 3x3 layers, weighed by one gate that they share.", idea="mobile",
              trained=4, opset=13)  # fmt: skip
def osnet_shared_gate(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (24, 32):
        z = n.cbr(x, 12, 1)
        a, b = n.keep(lambda: nn.Linear(12, 4)), n.keep(lambda: nn.Linear(4, 12))
        y = torch.zeros_like(z)
        for depth in (1, 2, 3):
            stream = z
            for _ in range(depth):
                stream = F.relu(n.cb(n.conv(stream, 12, 1, bias=False), 12, 3, 1, -1))
            y = y + stream * torch.sigmoid(b(F.relu(a(stream.mean((2, 3))))))[:, :, None, None]
        x = F.avg_pool2d(F.relu(n.cb(y, width, 1) + n.cb(x, width, 1)), 2)
    return n.embed(x, 512)


@honest_torch("HBONet: features are halved, worked on, and brought back by bilinear up-sampling inside each block.",
              idea="mobile", opset=11, trained=4)  # fmt: skip
def hbonet_harmonious(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    for width in (24, 32):
        y = n.cb(x, x.shape[1], 5, 2, -1)
        y = n.inverted(n.cbr(y, 24, 1), width)
        y = n.bn(F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False))
        x = n.cb(torch.cat([y[:, : width // 2], n.cb(x, width // 2, 1)], 1), width, 3, 2, -1)
    return tail(n, x)


@honest_torch("Mobile-Former: six tokens and a map in parallel, with a bridge each way.", idea="mobile", opset=16)
def mobile_former_bridges(n: Net, x: T) -> T:
    x = F.hardswish(n.cb(x, 16, 3, 2))
    z = n.weight(1, 6, 24, gain=3.0).expand(x.shape[0], -1, -1)
    for width in (16, 24, 32):
        t = tokens(x)
        q = n.linear(z, int(t.shape[2]))
        z = n.block(z + n.linear((q @ t.transpose(1, 2) / 4).softmax(-1) @ t, 24))
        g = 2 * torch.sigmoid(n.linear(z[:, 0], 2 * width))[:, :, None, None]
        x = n.cb(F.relu(n.cb(F.relu(n.cb(x, 2 * width, 1)) * g, 2 * width, 3, 2, -1)), width, 1)
        t = tokens(x)
        back = (t @ n.linear(z, width).transpose(1, 2) / 5).softmax(-1) @ n.linear(z, width)
        x = x + grid(back, int(x.shape[2]), int(x.shape[3]))
    return n.embed(torch.cat([x.mean((2, 3)), z[:, 0]], 1), 256)


@honest_torch("MobileNetEdgeTPU: fused inverted residuals early, depthwise ones late, no gates.", idea="mobile",
              opset=20, dynamo=True)  # fmt: skip
def edge_tpu_fused_blocks(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24):
        x = n.cb(n.cbr(x, 3 * x.shape[1], 3, 2), width, 1)
        x = x + n.cb(n.cbr(x, 2 * width, 3), width, 1)
    x = n.cb(n.cbr(n.cbr(x, 72, 1), 72, 5, 2, -1), 32, 1)
    return n.gdc(x, 96)


@honest_torch("SqueezeFaceNet: fire modules with shortcuts and PReLU, a global depthwise head.", idea="mobile face",
              opset=17)  # fmt: skip
def squeezefacenet_shortcuts(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    for width in (24, 32, 40):
        x = F.max_pool2d(x, 2)
        y = n.cbp(x, 8, 1)
        y = torch.cat([n.cb(y, width // 2, 1), n.cb(y, width // 2)], 1)
        x = n.prelu(y + n.cb(x, width, 1))
    return n.gdc(x, 128)
