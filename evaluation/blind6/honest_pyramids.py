"""Honest: branches, dense connections and several resolutions of features of one image."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, shuffle
from evaluation.blind4.register import honest_torch
from evaluation.blind5.tails import tail


def up(x: T, by: float = 2.0) -> T:
    return F.interpolate(x, scale_factor=by, mode="bilinear", align_corners=False)


@honest_torch("PeleeNet: a stem of two branches, dense layers with reaches of 3 and 5.", idea="dense", trained=4)
def peleenet(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    x = n.cbr(torch.cat([n.cbr(n.cbr(x, 6, 1), 12, 3, 2), F.max_pool2d(x, 2)], 1), 16, 1)
    for _ in range(3):
        a = n.cbr(n.cbr(x, 8, 1), 4)
        b = n.cbr(n.cbr(n.cbr(x, 8, 1), 4), 4)
        x = torch.cat([x, a, b], 1)
    return n.embed(F.avg_pool2d(n.cbr(F.avg_pool2d(n.cbr(x, 32, 1), 2), 32), 2), 128)


@honest_torch("STDC: widths halve along a chain, all of its members are joined.", idea="dense", trained=4, opset=12)
def short_term_dense(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 32, 48):
        a = n.cbr(x, width // 2, 1)
        b = n.cbr(a, width // 4, 3, 2)
        c = n.cbr(b, width // 8)
        x = torch.cat([F.avg_pool2d(a, 3, 2, 1), b, c, n.cbr(c, width // 8)], 1)
    return n.pooled(x, 128)


@honest_torch("YOLOv7's ELAN: two pointwise entries, two pairs of layers in a row, all joined.", idea="dense",
              trained=4, opset=13)  # fmt: skip
def elan_aggregation(n: Net, x: T) -> T:
    x = F.silu(n.cb(x, 12, 3, 2))
    for width in (16, 24, 32):
        parts = [F.silu(n.cb(x, width // 2, 1)), F.silu(n.cb(x, width // 2, 1))]
        for _ in range(2):
            parts.append(F.silu(n.cb(F.silu(n.cb(parts[-1], width // 2)), width // 2)))
        y = F.silu(n.cb(torch.cat(parts, 1), width, 1))
        x = torch.cat([n.cb(F.max_pool2d(y, 2), width // 2, 1), n.cb(y, width // 2, 3, 2)], 1)
    return n.embed(F.silu(x))


@honest_torch("YOLOv8's C2f and SPPF: every inner block's output is kept; one pooling three times in a row.",
              idea="dense", opset=17)  # fmt: skip
def c2f_and_sppf(n: Net, x: T) -> T:
    x = F.silu(n.cb(F.silu(n.cb(x, 12, 3, 2)), 16, 3, 2))
    parts = list(F.silu(n.cb(x, 16, 1)).chunk(2, 1))
    for _ in range(2):
        parts.append(parts[-1] + F.silu(n.cb(F.silu(n.cb(parts[-1], 8)), 8)))
    x = F.silu(n.cb(torch.cat(parts, 1), 24, 1))
    pools = [F.silu(n.cb(x, 12, 3, 2))]
    for _ in range(3):
        pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
    return n.embed(F.silu(n.cb(torch.cat(pools, 1), 32, 3, 2)), 32)


@honest_torch("MSDNet: a grid of scales and depths, dense along both.", idea="dense", opset=14)
def multi_scale_dense(n: Net, x: T) -> T:
    fine = [n.stem(x, 8)]
    coarse = [n.cbr(fine[0], 12, 3, 2)]
    for _ in range(3):
        old = torch.cat(fine, 1)
        fine.append(n.cbr(old, 6))
        coarse.append(torch.cat([n.cbr(torch.cat(coarse, 1), 6), n.cbr(old, 6, 3, 2)], 1))
    return n.embed(n.cbr(torch.cat(coarse, 1), 32, 3, 2), 32)


@honest_torch("BiSeNet: a shallow wide path and a deep narrow one over the image, of different layers, fused by gates.",
              idea="paths", dynamo=True, opset=18, trained=4)  # fmt: skip
def two_path_network(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    detail = n.cbr(n.cbr(x, 16, 3, 2), 24, 3, 2)
    y = n.inverted(n.inverted(n.inverted(x, 12, 2), 16, 2), 24, 2)
    context = F.interpolate(n.se(y) * torch.sigmoid(n.conv(y.mean((2, 3), keepdim=True), 24, 1)), scale_factor=2.0)
    return tail(n, n.se(n.cbr(torch.cat([detail, context], 1), 32, 1)), dim=32)


@honest_torch("ENet: a convolution beside a maximum pooling of the image as the first block, asymmetric and dilated "
              "bottlenecks.", idea="paths", opset=12)  # fmt: skip
def enet_initial_block(n: Net, x: T) -> T:
    x = n.prelu(n.bn(torch.cat([n.conv(x, 13, 3, 2), F.max_pool2d(x, 2)], 1)))
    y = n.cb(n.cbp(n.cbp(x, 8, 2, 2, padding=0), 8), 24, 1)
    x = n.prelu(F.pad(F.max_pool2d(x, 2), (0, 0, 0, 0, 0, 8)) + y)
    y = n.cbp(n.conv(n.cbp(x, 8, 1), 8, (5, 1), bias=False), 8, (1, 5))
    x = n.prelu(x + n.cb(y, 24, 1))
    x = n.prelu(x + n.cb(n.cbp(n.cbp(x, 8, 1), 8, 3, dilation=4), 24, 1))
    return tail(n, x)


@honest_torch("CGNet: local and surrounding features joined, a global gate, pooled images given to later stages.",
              idea="paths", opset=11)  # fmt: skip
def context_guided(n: Net, x: T) -> T:
    small = F.avg_pool2d(x, 4)
    x = n.stem(x)
    for _ in range(2):
        y = n.cbp(x, 8, 1)
        y = n.prelu(n.bn(torch.cat([n.conv(y, 8, 3, 1, -1), n.conv(y, 8, 3, 1, -1, dilation=2)], 1)))
        x = x + n.se(y)
    return tail(n, n.bn(torch.cat([x, small], 1)), dim=32)


@honest_torch("Fast-SCNN: learning to down-sample, a pyramid pooling of deep features, fused with the fine ones.",
              idea="pyramid", trained=4, opset=13)  # fmt: skip
def fast_scnn(n: Net, x: T) -> T:
    fine = n.cbr(n.conv(n.cbr(n.conv(n.cbr(x, 12, 3, 2), 12, 3, 2, -1), 16, 1), 16, 3, 1, -1), 16, 1)
    y = n.inverted(n.inverted(fine, 24, 2), 24, 2)
    pools = [F.interpolate(n.cbr(F.adaptive_avg_pool2d(y, k), 6, 1), size=(7, 7), mode="nearest") for k in (1, 7)]
    y = n.cbr(torch.cat([y, *pools], 1), 24, 1)
    y = n.cb(n.conv(up(y, 4.0), 24, 3, 1, -1), 16, 1)
    return tail(n, F.relu(n.cb(fine, 16, 1) + y))


@honest_torch("U2Net's RSU: a small U within a block, added to the block's input.", idea="pyramid", trained=4)
def residual_u_block(n: Net, x: T) -> T:
    x = n.stem(x)
    a = n.cbr(x, 8)
    b = n.cbr(F.max_pool2d(a, 2), 8)
    c = n.cbr(b, 8, 3, dilation=2)
    b = n.cbr(torch.cat([c, b], 1), 8)
    a = n.cbr(torch.cat([up(b), a], 1), 16)
    return tail(n, x + a)


@honest_torch("Global convolutional network: 1x15 behind 15x1 and the other way round, added, with a refinement.",
              idea="large kernels", opset=14, trained=3)  # fmt: skip
def crossed_bands(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 24)
    y = n.conv(n.conv(x, 12, (15, 1)), 12, (1, 15)) + n.conv(n.conv(x, 12, (1, 15)), 12, (15, 1))
    return tail(n, y + n.conv(F.relu(n.conv(y, 12)), 12))


@honest_torch("UniRepLKNet: a 13x13 layer with dilated 5x5 and 3x3 ones beside it, and GRN, unmerged.",
              idea="large kernels", trained=3)  # fmt: skip
def unireplknet(n: Net, x: T) -> T:
    x = n.stem(x)
    y = n.cb(x, 16, 13, 1, -1) + n.cb(x, 16, 5, 1, -1) + n.cb(x, 16, 5, 1, -1, dilation=2)
    y = n.se(y + n.cb(x, 16, 3, 1, -1, dilation=3))
    z = F.gelu(n.conv(y, 48, 1))
    size = z.norm(dim=(2, 3), keepdim=True)
    z = z * (size / (size.mean(1, keepdim=True) + 1e-6)) * n.weight(1, 48, 1, 1) + z
    return tail(n, x + n.cb(z, 16, 1))


@honest_torch("ASFF: three levels are brought to one size and mixed place by place by a softmax.", idea="pyramid",
              opset=13)  # fmt: skip
def adaptive_spatial_fusion(n: Net, x: T) -> T:
    a = n.stem(x)
    b = n.down(a, 24)
    c = n.down(b, 32)
    levels = [n.cbr(a, 24, 3, 2), b, F.interpolate(n.cbr(c, 24, 1), scale_factor=2.0)]
    share = n.conv(torch.cat([n.cbr(y, 4, 1) for y in levels], 1), 3, 1).softmax(1)
    return tail(n, sum(y * share[:, i : i + 1] for i, y in enumerate(levels)))


@honest_torch("Lite-HRNet: shuffled halves, channel weights made across both resolutions.", idea="pyramid",
              trained=4, opset=12)  # fmt: skip
def lite_hrnet(n: Net, x: T) -> T:
    a = n.stem(x)
    b = n.down(a, 24)
    for _ in range(2):
        (a1, a2), (b1, b2) = a.chunk(2, 1), b.chunk(2, 1)
        both = torch.sigmoid(n.cb(n.cbr(torch.cat([F.avg_pool2d(a2, 2), b2], 1), 6, 1), 20, 1))
        a2 = n.cb(a2 * F.interpolate(both[:, :8], scale_factor=2.0), 8, 3, 1, -1)
        b2 = n.cb(b2 * both[:, 8:], 12, 3, 1, -1)
        a, b = shuffle(torch.cat([a1, a2], 1), 2), shuffle(torch.cat([b1, b2], 1), 2)
        a, b = F.relu(a + F.interpolate(n.cb(b, 16, 1), scale_factor=2.0)), F.relu(b + n.cb(a, 24, 3, 2))
    return tail(n, torch.cat([F.avg_pool2d(a, 2), b], 1), dim=512)


@honest_torch("TridentNet: three dilations of one shared kernel on deep features, of which each keeps its own map.",
              idea="shared kernels", dynamo=True, opset=18, trained=4)  # fmt: skip
def trident_shared_dilations(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 16)
    w = n.weight(16, 16, 3, 3, gain=0.4)
    made = [F.relu(n.bn(F.conv2d(x, w, padding=d, dilation=d))) for d in (1, 2, 3)]
    return tail(n, n.cbr(torch.cat(made, 1), 32, 1), dim=32)


@honest_torch("Switchable atrous convolution: one kernel and its small correction at two dilations, chosen place by "
              "place.", idea="shared kernels", trained=4)  # fmt: skip
def switchable_atrous(n: Net, x: T) -> T:
    x = n.down(n.stem(x), 20)
    x = x + n.conv(x.mean((2, 3), keepdim=True), 20, 1)
    gate = torch.sigmoid(n.conv(F.avg_pool2d(x, 5, 1, 2), 1, 1))
    w = n.weight(20, 20, 3, 3, gain=0.4)
    y = gate * F.conv2d(x, w, padding=1)
    y = y + (1 - gate) * F.conv2d(x, w + n.weight(20, 20, 3, 3, gain=0.1), padding=3, dilation=3)
    return tail(n, F.relu(n.bn(y)))


@honest_torch(
    "DUC: sub-pixel shuffling brings deep features to a finer level, where they are added.",
    idea="pyramid",
    trained=4,
    opset=11,
)
def sub_pixel_decoder(n: Net, x: T) -> T:
    a = n.stem(x)
    b = n.down(n.down(a, 24), 32)
    y = F.pixel_shuffle(n.cb(F.pixel_shuffle(n.cb(b, 64, 1), 2), 64, 1), 2)
    return tail(n, n.cbr(F.relu(a + y), 24), dim=512)


@honest_torch("MWCNN: Haar transforms in place of pooling on features, their inverse on the way back.",
              idea="pyramid", dynamo=True, opset=18, trained=3)  # fmt: skip
def wavelet_pooling(n: Net, x: T) -> T:
    def forward(y: T) -> T:
        a, b, c, d = y[:, :, ::2, ::2], y[:, :, ::2, 1::2], y[:, :, 1::2, ::2], y[:, :, 1::2, 1::2]
        return torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2

    def back(y: T) -> T:
        p, q, r, s = y.chunk(4, 1)
        z = torch.stack([p + q + r + s, p - q + r - s, p + q - r - s, p - q - r + s], 2) / 2
        return F.pixel_shuffle(z.flatten(1, 2), 2)

    x = n.stem(x, 12)
    y = n.cbr(n.cbr(forward(x), 24), 48)
    return tail(n, F.relu(x + back(y)), dim=96)
