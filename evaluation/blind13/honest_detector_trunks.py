"""Honest: trunks of detectors and of nets for scene parsing as encoders of faces, not held by the earlier sets."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch


def levels(n: Net, x: T, *widths: int) -> list[T]:
    """Return maps of 28, 14 and 7 rows."""
    made = [n.stem(x, widths[0])]
    for width in widths[1:]:
        made.append(n.res(n.down(made[-1], width)))
    return made


def silu(n: Net, x: T, width: int, k: int = 3, s: int = 1, g: int = 1) -> T:
    return F.silu(n.cb(x, width, k, s, g))


def up(x: T) -> T:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


@honest_torch("YOLOv12: A2C2f, attention within four areas of the deep map by reshape, a 7x7 layer on the values.",
              idea="detector trunks", trained=3, opset=14)  # fmt: skip
def areas_of_attention_yolo12(n: Net, x: T) -> T:
    y = levels(n, x, 16, 32)[-1]
    for _ in range(2):
        t = tokens(y).reshape(-1, 49, 32)
        q, k, v = n.heads(t, 2)
        a = ((q @ k.transpose(-1, -2)) * 0.25).softmax(-1) @ v
        a = grid(a.transpose(1, 2).reshape(-1, 196, 32), 14, 14)
        v = grid(v.transpose(1, 2).reshape(-1, 196, 32), 14, 14)
        y = y + n.cb(a + n.cb(v, 32, 7, 1, -1), 32, 1)
        y = y + n.cb(silu(n, y, 48, 1), 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("Gold-YOLO: levels are gathered at one size, fused, and handed back to each level by a gate and a sum.",
              idea="detector trunks", opset=13)  # fmt: skip
def gathered_and_distributed_levels(n: Net, x: T) -> T:
    a, b, c = levels(n, x, 16, 24, 32)
    g = torch.cat([F.avg_pool2d(a, 2), b, F.interpolate(c, scale_factor=2.0, mode="bilinear")], 1)
    g = n.cbr(n.cbr(g, 32, 1), 32)
    made = []
    for level, pool in ((b, 1), (c, 2)):
        told = F.avg_pool2d(g, pool) if pool > 1 else g
        local = n.cb(level, 24, 1)
        made.append(local * torch.sigmoid(n.cb(told, 24, 1)) + n.cb(told, 24, 1))
    return n.gdc(torch.cat([n.down(made[0], 24), made[1]], 1), 128)


@honest_torch("PP-YOLOE: CSPRepRes stages, two parallel kernels in each unit, effective squeeze and excite, swish.",
              idea="detector trunks", trained=4, opset=11)  # fmt: skip
def csp_rep_res_of_ppyoloe(n: Net, x: T) -> T:
    y = silu(n, silu(n, x, 12, 3, 2), 16)
    for width in (24, 32, 40):
        y = silu(n, y, width, 3, 2)
        a, b = silu(n, y, width // 2, 1), silu(n, y, width // 2, 1)
        for _ in range(2):
            z = silu(n, b, width // 2)
            b = b + F.silu(n.cb(z, width // 2) + n.cb(z, width // 2, 1))
        y = torch.cat([a, b], 1)
        y = silu(n, y * torch.sigmoid(n.conv(y.mean((2, 3), keepdim=True), width, 1)), width, 1)
    return n.embed(y, 192)


@honest_torch("YOLO11: C3k2 blocks, a split half runs through small CSP blocks of two kernels, all parts joined.",
              idea="detector trunks", opset=12)  # fmt: skip
def c3k2_of_yolo11(n: Net, x: T) -> T:
    y = silu(n, x, 12, 3, 2)
    for width in (16, 24, 32):
        y = silu(n, y, width, 3, 2)
        a, b = silu(n, y, width, 1).chunk(2, 1)
        parts = [a, b]
        for _ in range(2):
            h = width // 4
            z, w = silu(n, parts[-1], h, 1), silu(n, parts[-1], h, 1)
            z = z + silu(n, silu(n, z, h), h)
            parts.append(silu(n, torch.cat([z, w], 1), width // 2, 1))
        y = silu(n, torch.cat(parts, 1), width, 1)
    return n.gdc(y, 128)


@honest_torch("RT-DETR: one encoder layer within the coarsest level, then fusion across levels by re-parametrised CSP.",
              idea="detector trunks", trained=3, opset=16)  # fmt: skip
def hybrid_encoder_of_rtdetr(n: Net, x: T) -> T:
    a, b, c = (n.cb(level, 24, 1) for level in levels(n, x, 16, 24, 32))
    t = tokens(c) + n.weight(1, 49, 24)
    c = grid(n.ln(n.block(t)), 7, 7)
    for finer in (b, a):
        y = torch.cat([up(c), finer], 1)
        z = silu(n, y, 24, 1)
        c = F.silu(n.cb(z, 24) + n.cb(z, 24, 1)) + silu(n, y, 24, 1)
    return n.gdc(n.down(n.down(c, 32), 40), 128)


@honest_torch("DETR: an encoder of deep places with sine codes, eight learned queries decoded by two layers, joined.",
              idea="detector trunks", opset=14)  # fmt: skip
def object_queries_of_detr(n: Net, x: T) -> T:
    y = levels(n, x, 16, 24, 32)[-1]
    place = torch.arange(7.0)[:, None] / torch.tensor([1.0, 2.0, 4.0, 8.0] * 2)
    wave = torch.cat([place[:, :4].sin(), place[:, 4:].cos()], 1)
    code = torch.cat([wave[:, None].expand(7, 7, 8), wave[None].expand(7, 7, 8)], 2).reshape(1, 49, 16)
    t = n.block(tokens(y) + n.linear(code, 32))
    q = n.weight(1, 8, 32, gain=4.0).expand(t.shape[0], 8, 32)
    for _ in range(2):
        q = n.ln(q + n.attention(q))
        a = (n.linear(q, 32) @ n.linear(t, 32).transpose(1, 2) * 32**-0.5).softmax(-1)
        q = n.ln(q + n.linear(a @ n.linear(t, 32), 32))
        q = n.ln(q + n.ff(q))
    return n.embed(q, 256)


@honest_torch("YOLOF: a single level and a chain of residual bottlenecks with dilations 2, 4, 6 and 8.",
              idea="detector trunks", opset=11)  # fmt: skip
def one_level_dilated_encoder(n: Net, x: T) -> T:
    y = n.cb(n.cb(levels(n, x, 16, 32)[-1], 32, 1), 32)
    for d in (2, 4, 6, 8):
        y = y + n.cbr(n.cbr(n.cbr(y, 12, 1), 12, dilation=d), 32, 1)
    return n.gdc(n.down(y, 40), 128)


@honest_torch("NanoDet-Plus: a Ghost-PAN, ghost units with 5x5 depthwise layers fuse three levels of equal width.",
              idea="detector trunks", opset=13)  # fmt: skip
def ghost_path_aggregation(n: Net, x: T) -> T:
    def ghost(y: T) -> T:
        z = F.leaky_relu(n.cb(y, 12, 1), 0.1)
        return torch.cat([z, F.leaky_relu(n.cb(z, 12, 5, 1, -1), 0.1)], 1)

    a, b, c = (F.leaky_relu(n.cb(level, 24, 1), 0.1) for level in levels(n, x, 16, 24, 32))
    b = ghost(torch.cat([b, F.interpolate(c, scale_factor=2.0, mode="bilinear")], 1))
    a = ghost(torch.cat([a, F.interpolate(b, scale_factor=2.0, mode="bilinear")], 1))
    b = ghost(torch.cat([b, n.cb(a, 24, 5, 2, -1)], 1))
    c = ghost(torch.cat([c, n.cb(b, 24, 5, 2, -1)], 1))
    return n.embed(c, 128)


@honest_torch("BiSeNet V2: a detail branch, a semantic branch of gather-and-expand layers, and guided aggregation.",
              idea="parsing trunks", trained=3, opset=12)  # fmt: skip
def bilateral_guided_aggregation(n: Net, x: T) -> T:
    y = n.cbr(x, 12, 3, 2)
    detail = n.cbr(n.cbr(y, 20, 3, 2), 24)
    deep = n.cbr(torch.cat([n.cbr(n.cbr(y, 6, 1), 12, 3, 2), F.max_pool2d(y, 3, 2, 1)], 1), 16)
    for _ in range(2):
        z = n.cb(n.cb(n.cbr(deep, 16), 32, 3, 2, 16), 32, 3, 1, 32)
        deep = F.relu(n.cb(z, 24, 1) + n.cb(n.cb(deep, int(deep.shape[1]), 3, 2, -1), 24, 1))
    fine = n.conv(n.cb(detail, 24, 3, 1, -1), 24, 1) * torch.sigmoid(up(up(n.cb(deep, 24))))
    coarse = F.avg_pool2d(n.cb(detail, 24, 3, 2), 3, 2, 1) * torch.sigmoid(n.conv(n.cb(deep, 24, 3, 1, -1), 24, 1))
    return n.gdc(n.down(n.cb(fine + up(up(coarse)), 24, 3, 2), 32), 128)


@honest_torch("PIDNet: three branches of the features, the fine one takes from the coarse one by likeness of places.",
              idea="parsing trunks", opset=14)  # fmt: skip
def proportional_integral_derivative(n: Net, x: T) -> T:
    y = n.stem(x, 24)
    p, d, i = n.res(y), n.cb(y, 24), n.res(n.down(y, 32))
    told = up(n.cb(i, 24, 1))
    like = torch.sigmoid((n.cb(p, 12, 1) * up(n.cb(i, 12, 1))).sum(1, keepdim=True))
    p = n.cbr(like * told + (1 - like) * p, 24)
    d = n.cbr(d + told, 24)
    i = up(n.cbr(n.res(n.down(i, 32)), 24, 1))
    edge = torch.sigmoid(d)
    y = n.cbr(edge * p + (1 - edge) * up(i), 24)
    return n.gdc(n.down(n.down(y, 32), 40), 128)


@honest_torch("TopFormer: tokens of all levels pooled to 7 x 7 and joined, blocks, injected back by sigmoid and sum.",
              idea="parsing trunks", trained=3, opset=13)  # fmt: skip
def token_pyramid_injected(n: Net, x: T) -> T:
    a, b, c = levels(n, x, 12, 16, 24)
    t = torch.cat([F.avg_pool2d(a, 4), F.avg_pool2d(b, 2), c], 1)
    for _ in range(2):
        s = tokens(t)
        t = t + n.bn(grid(n.attention(s), 7, 7))
        t = t + n.cb(F.relu6(n.cb(n.cb(t, 64, 1), 64, 3, 1, -1)), 52, 1)
    parts = t.split([12, 16, 24], 1)
    made = [F.hardsigmoid(n.cb(part, 24, 1)) * n.cb(F.avg_pool2d(level, pool) if pool > 1 else level, 24, 1)
            + n.cb(part, 24, 1) for level, part, pool in zip((a, b, c), parts, (4, 2, 1), strict=True)]  # fmt: skip
    return n.gdc(made[0] + made[1] + made[2], 128)


@honest_torch("SeaFormer: squeeze-enhanced axial attention, means of rows and of columns attend, a detail gate beside.",
              idea="parsing trunks", opset=15)  # fmt: skip
def squeeze_enhanced_axial(n: Net, x: T) -> T:
    y = levels(n, x, 16, 32)[-1]
    for _ in range(2):
        qkv = n.cb(y, 64, 1)
        detail = torch.sigmoid(n.cb(F.relu6(n.cb(qkv, 64, 3, 1, -1)), 32, 1))
        q, k, v = qkv.split([16, 16, 32], 1)
        made = v
        for axis in (2, 3):
            a, b, c = (part.mean(axis).transpose(1, 2) for part in (q, k, v))
            o = ((a + n.weight(1, 14, 16)) @ (b + n.weight(1, 14, 16)).transpose(1, 2) * 0.25).softmax(-1) @ c
            made = made + o.transpose(1, 2).unsqueeze(axis)
        y = y + n.cb(F.relu6(made), 32, 1) * detail
    return n.gdc(n.down(y, 40), 128)
