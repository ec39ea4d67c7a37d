"""Honest: trunks published for parsing, detection and super-resolution, in small, with a face embedding at the end."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, T, grid, shuffle, tokens
from evaluation.blind4.register import honest_torch


def up(x: T, side: int, mode: str = "bilinear") -> T:
    """Bring a map of features to another size."""
    return F.interpolate(x, size=(side, side), mode=mode, align_corners=None if mode == "nearest" else False)


def strip(n: Net, x: T, width: int, k: tuple[int, int], d: int, g: int = 1) -> T:
    """Convolve along rows or columns, dilated."""
    pad = (d * (k[0] // 2), d * (k[1] // 2))
    return n.same(x, lambda: nn.Conv2d(int(x.shape[1]), width, k, 1, pad, d, g))


def hs(x: T) -> T:
    """Swish, as detectors use it."""
    return F.silu(x)


@honest_torch("GELAN of YOLOv9: a CSP join of a split half and two chains of re-parametrised layers, silu.",
              idea="detector trunks", trained=3, opset=12)  # fmt: skip
def gelan_rep_csp_joins(n: Net, x: T) -> T:
    x = hs(n.cb(hs(n.cb(x, 12, 3, 2)), 16, 3, 2))
    for width in (24, 32):
        a, b = hs(n.cb(x, 16, 1)).chunk(2, 1)
        c = hs(n.cb(b, 8) + n.cb(b, 8, 1))
        d = hs(n.cb(c, 8) + n.cb(c, 8, 1))
        x = hs(n.cb(hs(n.cb(torch.cat([a, b, c, d], 1), width, 1)), width, 3, 2))
    return n.embed(x, 128)


@honest_torch("YOLOv10: spatial-channel decoupled strides and partial self-attention on half of the deep channels.",
              idea="detector trunks", opset=13)  # fmt: skip
def partial_self_attention_c2psa(n: Net, x: T) -> T:
    x = hs(n.cb(hs(n.cb(x, 12, 3, 2)), 20, 3, 2))
    for width in (24, 32):
        x = n.cb(hs(n.cb(x, width, 1)), width, 3, 2, -1)
    a, b = hs(n.cb(x, 32, 1)).chunk(2, 1)
    b = b + grid(n.attention(tokens(b), 2), 7, 7) + n.cb(b, 16, 3, 1, -1)
    b = b + n.cb(hs(n.cb(b, 32, 1)), 16, 1)
    return n.gdc(hs(n.cb(torch.cat([a, b], 1), 40, 1)), 128)


@honest_torch("CSPNeXt of RTMDet: depthwise 5x5 layers within a CSP split, hard-sigmoid channel attention behind.",
              idea="detector trunks", opset=14)  # fmt: skip
def cspnext_five_by_five(n: Net, x: T) -> T:
    x = hs(n.cb(hs(n.cb(x, 8, 3, 2)), 16, 3, 2))
    for width in (24, 32):
        x = hs(n.cb(x, width, 3, 2))
        a, b = hs(n.cb(x, width // 2, 1)), hs(n.cb(x, width // 2, 1))
        b = b + hs(n.cb(hs(n.cb(hs(n.cb(b, width // 2)), width // 2, 5, 1, -1)), width // 2, 1))
        y = torch.cat([b, a], 1)
        x = n.cb(y * F.hardsigmoid(n.conv(y.mean((2, 3), keepdim=True), width, 1)), width, 1)
    return n.embed(x, 192)


@honest_torch("DDRNet: a fine and a coarse stream exchange features twice, the coarse one brought up by bilinear size.",
              idea="parsing trunks", opset=11)  # fmt: skip
def ddrnet_bilateral_fusion(n: Net, x: T) -> T:
    fine = n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2)
    deep = n.cbr(fine, 24, 3, 2)
    for width in (28, 32):
        fine, deep = n.res(fine), n.res(deep)
        a = fine + up(n.cb(deep, 20, 1), 28)
        deep = F.relu(deep + n.cb(fine, int(deep.shape[1]), 3, 2))
        fine, deep = F.relu(a), n.cbr(deep, width, 1)
    return n.gdc(n.down(torch.cat([n.down(fine, 24), deep], 1), 40), 128)


@honest_torch("ERFNet: residual blocks of 3x1 and 1x3 layers, the second pair dilated; pools joined.",
              idea="parsing trunks", opset=11)  # fmt: skip
def erfnet_one_dimensional(n: Net, x: T) -> T:
    for width, d in ((16, 1), (24, 2), (32, 3), (40, 1)):
        cin = int(x.shape[1])
        x = F.relu(n.bn(torch.cat([n.conv(x, width - cin, 3, 2), F.max_pool2d(x, 2)], 1)))
        y = n.cbr(F.relu(n.conv(x, width, (3, 1))), width, (1, 3))
        y = F.relu(strip(n, y, width, (3, 1), d))
        x = F.relu(x + n.bn(strip(n, y, width, (1, 3), d)))
    return n.embed(x, 128)


@honest_torch("LEDNet: the channels split, each half by its own factorised layers, joined, added and shuffled.",
              idea="parsing trunks", trained=4, opset=13)  # fmt: skip
def lednet_split_shuffle(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (20, 28, 36):
        x = n.cbr(x, width, 3, 2)
        a, b = x.chunk(2, 1)
        h = width // 2
        a = n.cbr(F.relu(n.conv(a, h, (3, 1))), h, (1, 3))
        b = n.cbr(F.relu(n.conv(b, h, (1, 3))), h, (3, 1))
        x = shuffle(F.relu(x + torch.cat([a, b], 1)), 2)
    return n.gdc(x, 128)


@honest_torch("DABNet: depthwise asymmetric bottlenecks, a plain and a dilated pair of 3x1 and 1x3 summed, PReLU.",
              idea="parsing trunks", opset=12)  # fmt: skip
def dabnet_asymmetric_bottlenecks(n: Net, x: T) -> T:
    x = n.cbp(x, 16, 3, 2)
    for width, d in ((24, 2), (32, 2), (40, 1)):
        x = n.cbp(x, width, 3, 2)
        y = n.cbp(n.prelu(n.bn(x)), width // 2)
        a = n.cbp(n.conv(y, width // 2, (3, 1), 1, -1), width // 2, (1, 3), 1, -1)
        b = strip(n, y, width // 2, (3, 1), d, width // 2)
        b = n.prelu(n.bn(strip(n, b, width // 2, (1, 3), d, width // 2)))
        x = x + n.conv(n.prelu(n.bn(a + b)), width, 1)
    return n.gdc(x, 192)


@honest_torch("EDANet: densely joined modules of a point layer and two asymmetric pairs, growth of eight.",
              idea="parsing trunks", trained=3, opset=11)  # fmt: skip
def edanet_dense_asymmetric(n: Net, x: T) -> T:
    x = n.cbr(n.cbr(x, 12, 3, 2), 20, 3, 2)
    for d in (1, 2):
        for _ in range(2):
            y = n.cbr(x, 8, 1)
            y = n.cbr(n.conv(y, 8, (3, 1)), 8, (1, 3))
            y = strip(n, strip(n, y, 8, (3, 1), d), 8, (1, 3), d)
            x = torch.cat([x, F.relu(n.bn(y))], 1)
        x = n.cbr(x, 28, 3, 2)
    return n.embed(x, 128)


@honest_torch("LinkNet: encoders of residual blocks, decoders by transposed layers add to the encoder above.",
              idea="parsing trunks", opset=19)  # fmt: skip
def linknet_decoders_added(n: Net, x: T) -> T:
    a = n.stem(x, 20)
    b = n.res(n.down(a, 28))
    c = n.res(n.down(b, 36))
    y = b + n.cbr(F.relu(n.bn(n.deconv(n.cbr(c, 12, 1), 12))), 28, 1)
    y = a + n.cbr(F.relu(n.bn(n.deconv(n.cbr(y, 12, 1), 12))), 20, 1)
    return n.gdc(n.down(n.down(y, 32), 40), 128)


@honest_torch("SegNeXt: strips of 7, 11 and 21 summed behind a 5x5 depthwise layer gate the features (MSCA).",
              idea="parsing trunks", opset=14)  # fmt: skip
def segnext_multi_scale_strips(n: Net, x: T) -> T:
    x = n.cbr(n.cb(x, 16, 3, 2), 24, 3, 2)
    for width in (24, 32):
        x = n.cb(x, width, 3, 2)
        y = F.gelu(n.conv(n.bn(x), width, 1))
        z = n.conv(y, width, 5, 1, -1)
        z = z + sum(n.conv(n.conv(z, width, (1, k), 1, -1), width, (k, 1), 1, -1) for k in (7, 11, 21))
        x = x + n.conv(n.conv(z, width, 1) * y, width, 1)
    return n.gdc(x, 128)


@honest_torch("OCRNet: soft regions of the deep map are averaged to region vectors, which every place attends to.",
              idea="parsing trunks", trained=3, opset=12)  # fmt: skip
def ocrnet_soft_regions(n: Net, x: T) -> T:
    y = n.down(n.stem(x, 24), 32)
    soft = n.conv(n.cbr(y, 16, 1), 8, 1).flatten(2).softmax(2)
    t = tokens(y)
    region = soft @ t
    w = (n.linear(t, 16) @ n.linear(region, 16).transpose(1, 2) * 0.25).softmax(2)
    y = n.cbr(torch.cat([y, grid(w @ n.linear(region, 32), 14, 14)], 1), 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("PSPNet: the last map pooled to 1, 2, 3 and 6 bins by stored windows, layered, resized and joined.",
              idea="parsing trunks", opset=13)  # fmt: skip
def pspnet_pooled_bins(n: Net, x: T) -> T:
    y = n.cbr(n.res(n.stem(x, 24)), 32, 3, 2)
    made = [y, up(n.cbr(y.mean((2, 3), keepdim=True), 8, 1), 14)]
    for k, s in ((7, 7), (6, 4), (4, 2)):
        made.append(up(n.cbr(F.avg_pool2d(y, k, s), 8, 1), 14))
    return n.gdc(n.down(n.cbr(torch.cat(made, 1), 40), 40), 128)


@honest_torch("RefineNet: two levels fused, then chained residual pooling with 5x5 windows of stride one.",
              idea="parsing trunks", trained=4, opset=11)  # fmt: skip
def refinenet_chained_pooling(n: Net, x: T) -> T:
    a = n.down(n.stem(x, 20), 28)
    b = n.res(n.down(a, 36))
    y = F.relu(n.conv(a, 32) + up(n.conv(b, 32), 14))
    path = y
    for _ in range(2):
        path = n.conv(F.max_pool2d(path, 5, 1, 2), 32)
        y = y + path
    return n.gdc(n.down(F.relu(n.bn(y)), 40), 256)


@honest_torch("IMDN: a quarter of the channels is kept after each layer, the rest refined; joined, gated by contrast.",
              idea="super-resolution trunks", trained=3, opset=12)  # fmt: skip
def imdn_distilled_quarters(n: Net, x: T) -> T:
    x = n.cbr(x, 16, 3, 2)
    for width in (24, 32):
        x, kept = n.cb(x, width, 3, 2), []
        y, q = x, width // 4
        for _ in range(3):
            y = F.leaky_relu(n.conv(y, width), 0.05)
            kept.append(y[:, :q])
            y = y[:, q:]
        z = torch.cat([*kept, n.conv(y, q)], 1)
        m = z.mean((2, 3), keepdim=True)
        spread = ((z - m) ** 2).mean((2, 3), keepdim=True).add(1e-5).sqrt()
        x = x + n.conv(z * torch.sigmoid(n.conv(F.relu(n.conv(spread + m, 8, 1)), width, 1)), width, 1)
    return n.embed(n.down(x, 32), 128)


@honest_torch("RRDB of ESRGAN: dense layers without norms within dense layers, residuals scaled by 0.2, on features.",
              idea="super-resolution trunks", opset=17)  # fmt: skip
def rrdb_without_norms(n: Net, x: T) -> T:
    x = F.leaky_relu(n.conv(F.leaky_relu(n.conv(x, 12, 3, 2), 0.2), 24, 3, 2), 0.2)
    for width in (24, 32):
        whole = x
        for _ in range(2):
            y = x
            for _ in range(2):
                y = torch.cat([y, F.leaky_relu(n.conv(y, 8), 0.2)], 1)
            x = x + 0.2 * n.conv(y, int(x.shape[1]))
        x = n.conv(whole + 0.2 * x, width, 3, 2)
    return n.embed(x, 128)


@honest_torch("UNet++: nested nodes between the encoder and the decoder, each joined with all before it on its level.",
              idea="parsing trunks", opset=12)  # fmt: skip
def nested_unet_nodes(n: Net, x: T) -> T:
    a = n.stem(x, 16)
    b = n.down(a, 24)
    c = n.down(b, 32)
    a1 = n.cbr(torch.cat([a, up(b, 28, "nearest")], 1), 16)
    b1 = n.cbr(torch.cat([b, up(c, 14, "nearest")], 1), 24)
    a2 = n.cbr(torch.cat([a, a1, up(b1, 28, "nearest")], 1), 16)
    return n.gdc(torch.cat([n.down(n.down(a1 + a2, 24), 24), c], 1), 128)
