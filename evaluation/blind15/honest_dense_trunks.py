"""Honest: trunks that are known from parsing and from key points, with an embedding at their end."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import honest_form, old_names
from evaluation.blind6.honest_handed_in import to_one
from evaluation.blind14.honest_ends import deep, last, up


def three(n: Net, x: T) -> list[T]:
    """Return features of three sizes: 28, 14 and 7 places a side."""
    a = n.res(n.stem(x, 16))
    b = n.res(n.down(a, 24))
    return [a, b, n.res(n.down(b, 32))]


@honest_torch("Segmenter: learned class vectors go through a decoder with the patches, and their dot products are "
              "maps.",
              idea="parsing trunks", trained=3, opset=17)  # fmt: skip
def class_vectors_make_masks(n: Net, x: T) -> T:
    t = n.block(n.patches(n.stem(x, 16), 32, 4))
    both = torch.cat([t, n.weight(1, 6, 32, gain=2.0) + 0 * t[:, :6]], 1)
    both = n.block(both)
    p, c = F.normalize(n.linear(both[:, :49], 32), dim=2), F.normalize(n.linear(both[:, 49:], 32), dim=2)
    masks = n.ln(p @ c.transpose(1, 2))
    pooled = masks.softmax(1).transpose(1, 2) @ both[:, :49]
    return n.embed(pooled, 128)


@honest_torch("DenseASPP: atrous layers of rates 1 to 4 in a row, each reading all the ones before.",
              idea="parsing trunks", opset=11)  # fmt: skip
def densely_joined_atrous_layers(n: Net, x: T) -> T:
    y = deep(n, x)
    for d in (1, 2, 3, 4):
        y = torch.cat([y, n.cbr(n.cbr(y, 24, 1), 12, 3, dilation=d)], 1)
    return n.gdc(n.down(y, 40), 128)


@honest_form("Lite R-ASPP of MobileNetV3: deep features times a sigmoid of widely pooled ones, plus a finer level.",
              idea="parsing trunks", trained=3, before=to_one, forms=(old_names,), opset=13)  # fmt: skip
def lite_pyramid_pooling_head(n: Net, x: T) -> T:
    y = F.hardswish(n.cb(x, 12, 3, 2))
    low = n.inverted(n.inverted(y, 16, 2), 24, 2)
    high = n.inverted(low, 32, 2, 5)
    gate = torch.sigmoid(n.conv(F.avg_pool2d(high, 5, 2), 32, 1))
    z = n.cbr(high, 32, 1) * F.interpolate(gate, size=(7, 7), mode="bilinear", align_corners=True)
    return n.gdc(torch.cat([z, F.avg_pool2d(n.conv(low, 16, 1), 2)], 1), 128)


@honest_torch("RegSeg: RegNet's bottlenecks whose groups are cut in two halves of different dilation, with gates.",
              idea="parsing trunks", opset=11)  # fmt: skip
def bottlenecks_of_two_dilations(n: Net, x: T) -> T:
    y = n.stem(x, 16)
    for w, d in ((24, 2), (32, 3), (32, 4)):
        s = 2 if w != int(y.shape[1]) else 1
        a, b = n.cbr(y, w, 1).chunk(2, 1)
        z = torch.cat([n.conv(a, w // 2, 3, s, 2, bias=False), n.conv(b, w // 2, 3, s, 2, bias=False, dilation=d)], 1)
        z = n.cb(n.se(F.relu(n.bn(z))), w, 1)
        y = F.relu(z + (n.cb(F.avg_pool2d(y, 2), w, 1) if s == 2 else y))
    return n.gdc(y, 128)


@honest_torch("SINet: spatial squeeze units, halved by a pooling, filtered and brought up beside a 3x3, PReLU.",
              idea="parsing trunks", opset=11)  # fmt: skip
def spatial_squeeze_units(n: Net, x: T) -> T:
    y = n.prelu(n.cb(n.stem(x, 16), 24, 3, 2))
    for _ in range(2):
        z = n.prelu(n.cb(y, 12, 1))
        a = n.prelu(n.cb(z, 12, 3, 1, -1))
        b = up(n.prelu(n.cb(F.avg_pool2d(z, 2), 12, 5, 1, -1)))
        y = n.prelu(y + n.cb(torch.cat([a, b], 1), 24, 1))
    return n.gdc(n.cbp(y, 36, 3, 2), 128)


@honest_torch("UNeXt: tokenised MLP units of deep features, channels in fifths rolled along one axis and then the "
              "other.",
              idea="parsing trunks", trained=3, opset=13)  # fmt: skip
def rolled_fifths_token_units(n: Net, x: T) -> T:
    y = deep(n, x, 30)
    for _ in range(2):
        z = n.ln2d(y)
        for axis in (2, 3):
            parts = z.chunk(5, 1)
            z = torch.cat([torch.roll(p, s, axis) for p, s in zip(parts, (-2, -1, 0, 1, 2), strict=True)], 1)
            z = n.conv(z, 30, 1)
            z = F.gelu(n.conv(z, 30, 3, 1, -1)) if axis == 2 else z
        y = y + z
    return n.gdc(n.down(y, 40), 128)


@honest_torch("HRFormer: two sizes in parallel, attention within windows and a feed-forward with a depthwise 3x3, "
              "exchanged.",
              idea="key point trunks", opset=14)  # fmt: skip
def high_resolution_window_streams(n: Net, x: T) -> T:
    a = deep(n, x, 24)
    b = n.down(a, 32)
    for _ in range(2):
        w = a.reshape(-1, 24, 2, 7, 2, 7).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, 49, 24)
        q, k, v = n.linear(n.ln(w), 72).chunk(3, 3)
        w = w + n.linear((q @ k.transpose(2, 3) * 24**-0.5).softmax(-1) @ v, 24)
        a = w.reshape(-1, 2, 2, 7, 7, 24).permute(0, 5, 1, 3, 2, 4).reshape(-1, 24, 14, 14)
        a = a + n.conv(F.gelu(n.cb(F.gelu(n.cb(a, 48, 1)), 48, 3, 1, -1)), 24, 1)
        b = grid(n.block(tokens(b)), 7, 7)
        a, b = a + up(n.cb(b, 24, 1), mode="nearest"), b + n.cb(a, 32, 3, 2)
    return n.gdc(torch.cat([F.avg_pool2d(a, 2), b], 1), 128)


@honest_torch("SimCC: key points as two one-dimensional distributions, whose expected deep features join the "
              "embedding.",
              idea="key point trunks", trained=3, opset=11)  # fmt: skip
def key_points_on_two_axes(n: Net, x: T) -> T:
    y = n.res(last(n, x))
    maps = n.linear(n.conv(y, 5, 1).flatten(2), 24)
    r, c = n.linear(maps, 7).softmax(-1), n.linear(maps, 7).softmax(-1)
    share = (r.unsqueeze(3) * c.unsqueeze(2)).flatten(2)
    return n.embed(torch.cat([(share @ tokens(y)).flatten(1), y.mean((2, 3))], 1), 128)


@honest_torch("SimpleBaseline: a residual trunk, two transposed layers up, heat maps that pool the finer features.",
              idea="key point trunks", trained=3, opset=13)  # fmt: skip
def transposed_layers_and_pooled_parts(n: Net, x: T) -> T:
    y = last(n, x)
    for w in (24, 20):
        y = F.relu(n.bn(n.deconv(y, w)))
    share = n.conv(y, 6, 1).flatten(2).softmax(-1)
    return n.embed(torch.cat([(share @ tokens(y)).flatten(1), y.mean((2, 3))], 1), 128)


@honest_torch("Dite-HRNet: dynamic split layers, each group of channels a kernel mixed of three stored ones by its "
              "mean.",
              idea="key point trunks", opset=11)  # fmt: skip
def dynamic_split_kernels(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(2):
        kept = []
        for part, k in zip(y.chunk(2, 1), (3, 5), strict=True):
            share = n.linear(part.mean((2, 3)), 3).softmax(1)
            made = [n.conv(part, 16, k, 1, -1, bias=False) * share[:, i].reshape(-1, 1, 1, 1) for i in range(3)]
            kept.append(made[0] + made[1] + made[2])
        y = y + n.cbr(F.relu(n.bn(torch.cat(kept, 1))), 32, 1)
    return n.gdc(n.down(y, 40), 128)
