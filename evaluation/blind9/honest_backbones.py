"""Honest: convolutional networks of published papers that the earlier sets do not hold, each in small."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import honest_torch


def dw(n: Net, x: T, k: int = 3, s: int = 1, d: int = 1) -> T:
    """Convolve each channel by itself, then BatchNorm."""
    return n.cb(x, int(x.shape[1]), k, s, -1, dilation=d)


def mlp(n: Net, x: T, factor: int = 2) -> T:
    """Two 1x1 layers with GELU between them."""
    return n.conv(F.gelu(n.conv(x, factor * int(x.shape[1]), 1)), int(x.shape[1]), 1)


@honest_torch("RepNeXt before merging: a 7x7 depthwise layer beside 3x3, 1x7 and 7x1 ones on the same features.",
              idea="convnets", trained=4, opset=13)  # fmt: skip
def repnext_unmerged(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (24, 32):
        x = n.cb(x, width, 3, 2)
        y = dw(n, x, 7) + dw(n, x) + n.cb(x, width, (1, 7), 1, -1) + n.cb(x, width, (7, 1), 1, -1)
        x = x + mlp(n, n.bn(x + y))
    return n.gdc(x, 128)


@honest_torch("LSNet: a wide kernel looks, a small kernel made of what it saw gathers the 3x3 neighbours of features.",
              idea="convnets", opset=12)  # fmt: skip
def see_large_focus_small(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (24, 32):
        x = n.cb(x, width, 3, 2)
        h = int(x.shape[2])
        w = n.conv(dw(n, F.relu(n.cb(x, 16, 1)), 7), 4 * 9, 1).reshape(-1, 4, 1, 9, h, h)
        near = F.unfold(x, 3, padding=1).reshape(-1, 4, width // 4, 9, h, h)
        x = x + n.bn((w.softmax(3) * near).sum(3).reshape(-1, width, h, h))
        x = x + n.cb(F.relu(n.cb(x, 2 * width, 1)), width, 1)
    return n.pooled(x, 96)


@honest_torch("MambaOut: gated convolution units, a part of the channels through 7x7, no state space.",
              idea="convnets", trained=4, opset=17)  # fmt: skip
def mambaout_gated_convolution(n: Net, x: T) -> T:
    x = n.ln2d(n.conv(F.gelu(n.ln2d(n.conv(x, 12, 3, 2))), 24, 3, 2))
    for width in (24, 32, 40):
        x = n.ln2d(n.conv(x, width, 3, 2))
        g, i, c = n.conv(n.ln2d(x), 2 * width + width // 2, 1).split([width, width, width // 2], 1)
        c = n.conv(c, width // 2, 7, 1, -1)
        mixed = F.gelu(g) * torch.cat([i[:, : width // 2], c], 1)
        x = x + n.conv(mixed, width, 1)
    return n.embed(n.ln2d(x).mean((2, 3)), 128)


@honest_torch("OverLoCK: coarse deep features, brought up by nearest, tell a second pass of features where to look.",
              idea="convnets", opset=13)  # fmt: skip
def overview_then_closer(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    base = x + mlp(n, dw(n, x, 7))
    over = n.down(n.down(base, 24), 32)
    over = over + mlp(n, dw(n, over))
    context = F.interpolate(n.conv(over, 24, 1), scale_factor=2.0, mode="nearest")
    y = n.down(base, 24)
    for _ in range(2):
        y = y + n.cb(F.silu(n.cb(torch.cat([y, context], 1), 32, 1)), 24, 1) * torch.sigmoid(n.conv(context, 24, 1))
    return n.gdc(n.down(y, 40), 128)


@honest_torch("RevCol: columns that share one stem; a level adds the one below and the same one before.",
              idea="convnets", trained=3, opset=13)  # fmt: skip
def reversible_columns(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    levels: list[T] = []
    for column in range(2):
        below, fresh = x, []
        for i, width in enumerate((16, 24, 32)):
            y = below if i == 0 else n.cb(below, width, 3, 2)
            if column and i < 2:
                y = y + F.interpolate(n.cb(levels[i + 1], width, 1), scale_factor=2.0, mode="nearest")
            y = y + mlp(n, dw(n, y, 5))
            if column:
                y = y + levels[i] * n.weight(1, width, 1, 1, gain=3.0)
            fresh.append(y)
            below = y
        levels = fresh
    return n.embed(n.bn(levels[2]).mean((2, 3)), 256)


@honest_torch("SelecSLS: three rows of layers whose outputs are joined, the first of the stage selected into the last.",
              idea="convnets", opset=11)  # fmt: skip
def selecsls_long_and_short(n: Net, x: T) -> T:
    x, skip = n.cbr(n.cbr(x, 12, 3, 2), 16, 3, 2), None
    for width, first in ((24, True), (24, False), (32, True), (32, False)):
        a = n.cbr(x, width, 3, 2 if first else 1)
        b = n.cbr(n.cbr(a, width, 1), width // 2)
        c = n.cbr(n.cbr(b, width, 1), width // 2)
        row = [a, b, c] + ([] if first or skip is None else [skip])
        x = n.cbr(torch.cat(row, 1), width, 1)
        skip = x if first else skip
    return n.pooled(x, 128)


@honest_torch("Hybrid channel groups: squeezed and merged by gates of a global and a local kind, as HCGNet has them.",
              idea="convnets", opset=12)  # fmt: skip
def hybrid_channel_groups(n: Net, x: T) -> T:
    x = n.stem(x, 24)
    for width in (32, 40):
        old = n.cbr(x, width // 2, 1)
        new = n.cbr(old, width // 2, 3, 1, 4)
        forget = torch.sigmoid(n.conv(old, 1, 3))
        update = torch.tanh(n.conv(new.mean((2, 3), keepdim=True), width // 2, 1))
        x = n.cbr(torch.cat([old * forget + new * update, new], 1), width, 3, 2)
    return n.pooled(x, 96)


@honest_torch("PyConv: kernels of 3, 5, 7 and 9 with ever more groups on the same features, joined.", idea="convnets",
              trained=3, opset=11, fold=False)  # fmt: skip
def pyramidal_kernels(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (24, 32):
        y = n.cbr(x, 16, 1)
        y = torch.cat([n.conv(y, 8, k, 2, g) for k, g in ((3, 1), (5, 2), (7, 4), (9, 8))], 1)
        x = F.relu(n.cb(F.relu(n.bn(y)), width, 1) + n.cb(x, width, 1, 2))
    return n.embed(x, 128)


@honest_torch("HS-ResNet: parts of the channels; each is convolved, half of it goes out, half joins the next part.",
              idea="convnets", opset=13, trained=3)  # fmt: skip
def hierarchical_split(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (32, 32):
        x = n.cbr(x, width, 1, 2)
        first, *parts = x.chunk(4, 1)
        out, carried = [first], None
        for i, part in enumerate(parts):
            y = n.cbr(part if carried is None else torch.cat([part, carried], 1), 8)
            if i < 2:
                out.append(y[:, :4])
                carried = y[:, 4:]
            else:
                out.append(y)
        x = F.relu(x + n.cb(torch.cat(out, 1), width, 1))
    return n.gdc(x, 128)


@honest_torch("Polarised self-attention: channels by a softmax over places, places by a softmax over channels.",
              idea="convnets", trained=4, opset=15)  # fmt: skip
def polarised_self_attention(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (24, 32):
        x = n.res(n.down(x, width))
        q = n.conv(x, 1, 1).flatten(2).softmax(2)
        z = (n.conv(x, width // 2, 1).flatten(2) @ q.transpose(1, 2)).unsqueeze(3)
        c = torch.sigmoid(n.ln(n.conv(z, width, 1).flatten(1)))[:, :, None, None]
        q = n.conv(x, width // 2, 1).mean((2, 3)).softmax(1).unsqueeze(1)
        s = torch.sigmoid(q @ n.conv(x, width // 2, 1).flatten(2)).reshape(-1, 1, *(int(i) for i in x.shape[2:]))
        x = x * c + x * s
    return n.pooled(x, 128)


@honest_torch("ACmix: the three 1x1 projections of one map serve attention and, summed by a layer, a convolution.",
              idea="convnets", opset=13)  # fmt: skip
def attention_and_convolution_mixed(n: Net, x: T) -> T:
    x = n.down(n.stem(x, 16), 24)
    for _ in range(2):
        q, k, v = (n.conv(x, 24, 1) for _ in range(3))
        a = (q.flatten(2).transpose(1, 2) @ k.flatten(2) * 24**-0.5).softmax(-1)
        att = (a @ v.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(-1, 24, 14, 14)
        conv = n.conv(n.conv(torch.cat([q, k, v], 1), 9 * 4, 1), 24, 3, 1, 4)
        x = F.relu(x + n.bn(n.weight(1, gain=1.0) * att + (0.5 + n.weight(1, gain=0.3)) * conv))
    return n.gdc(n.down(x, 32), 96)


@honest_torch("Fixup: residual units without norms, scalars around each layer; BatchNorm for the embedding alone.",
              idea="convnets", trained=5, opset=11)  # fmt: skip
def fixup_scalars(n: Net, x: T) -> T:
    def scalar(start: float = 0.0) -> T:
        return start + n.weight(1, 1, 1, 1, gain=0.1)

    x = F.relu(n.conv(x, 12, 3, 2) + scalar())
    for width in (16, 24, 32):
        y = F.relu(n.conv(x + scalar(), width, 3, 2, bias=False) + scalar())
        y = n.conv(y + scalar(), width, bias=False) * scalar(0.7) + scalar()
        x = F.relu(y + n.conv(x, width, 1, 2, bias=False))
    return n.bn(n.linear(x.flatten(1) + scalar().flatten(), 128))


@honest_torch("All-CNN: no pooling and no linear layer before the mean, strided 3x3 layers in their place.",
              idea="convnets", opset=18, dynamo=True)  # fmt: skip
def all_convolutional(n: Net, x: T) -> T:
    x = F.relu(n.conv(x, 12, 3, 2))
    for width in (16, 24, 32):
        x = n.cbr(n.cbr(x, width), width, 3, 2)
    return n.bn(n.conv(n.cbr(x, 64, 1), 96, 1).mean((2, 3)))


@honest_torch("PReLU-net of MSRA: PReLU everywhere, a spatial pyramid of 7, 3, 2 and 1 cells, two linear layers.",
              idea="convnets", opset=11, trained=3)  # fmt: skip
def msra_prelu_pyramid(n: Net, x: T) -> T:
    x = F.max_pool2d(n.prelu(n.conv(x, 12, 7, 2)), 2)
    for width in (16, 24):
        x = n.prelu(n.conv(n.prelu(n.conv(x, width)), width, 3, 2))
    cells = [F.max_pool2d(x, k, s).flatten(1) for k, s in ((1, 1), (3, 2), (4, 3), (7, 7))]
    y = F.prelu(n.linear(torch.cat(cells, 1), 128), torch.tensor([0.25]))
    return n.bn(n.linear(y, 128))


@honest_torch("OverFeat's fast network: 11x11 at stride 4, large pools, features of 6 x 6 read by a full-size kernel.",
              idea="convnets", opset=12)  # fmt: skip
def overfeat_fast(n: Net, x: T) -> T:
    x = F.max_pool2d(F.relu(n.conv(x, 16, 11, 4)), 2)
    x = F.relu(n.conv(x, 24, 5))
    x = F.max_pool2d(F.relu(n.conv(F.relu(n.conv(x, 32)), 32)), 2)
    x = F.relu(n.conv(x, 96, 6, padding=0))
    return n.bn(n.conv(x, 128, 1).amax((2, 3)))


@honest_torch("Local importance pooling: strides by a mean weighed with the exponent of learned scores of features.",
              idea="pools", opset=12, trained=4)  # fmt: skip
def local_importance_pooling(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.cbr(x, width)
        w = torch.exp(3 * torch.sigmoid(n.conv(x, width, 1)))
        x = F.avg_pool2d(x * w, 3, 2, 1) / F.avg_pool2d(w, 3, 2, 1)
    return n.embed(x, 96)


@honest_torch("Stochastic pooling as it is at test time: a window's values weighed by themselves; no chance is left.",
              idea="pools", opset=13)  # fmt: skip
def probability_weighted_pooling(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = F.relu(n.cb(x, width)) + 1e-3
        x = F.avg_pool2d(x * x, 2) / F.avg_pool2d(x, 2)
    return n.gdc(x, 96)


@honest_torch("Gated pooling: a learned 2x2 mask for each map mixes the maximum and the mean of its window.",
              idea="pools", opset=11, trained=3)  # fmt: skip
def gated_maximum_and_mean(n: Net, x: T) -> T:
    x = n.cbr(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.cbr(x, width)
        g = torch.sigmoid(n.conv(x, 1, 2, 2, padding=0))
        x = g * F.max_pool2d(x, 2) + (1 - g) * F.avg_pool2d(x, 2)
    return n.gdc(x, 64)


@honest_torch("ScaleNet: means over blocks of features are convolved and brought back to size by nearest, then joined.",
              idea="convnets", opset=13, trained=3, fold=False)  # fmt: skip
def scale_aggregation(n: Net, x: T) -> T:
    x = n.stem(x, 16)
    for width in (24, 32):
        coarse = {k: n.cbr(F.max_pool2d(x, k), 6) for k in (2, 7)}
        made = [F.interpolate(y, scale_factor=float(k), mode="nearest") for k, y in coarse.items()] + [n.cbr(x, 12)]
        x = n.cbr(torch.cat(made, 1), width, 1) + n.cb(x, width, 1)
        x = F.max_pool2d(F.relu(x), 2)
    return n.embed(x, 128)


@honest_torch("RDNet: DenseNets revisited, with ConvNeXt-like mixers, joins of channels and strided patch layers.",
              idea="convnets", opset=17, trained=3)  # fmt: skip
def dense_nets_reloaded(n: Net, x: T) -> T:
    x = n.ln2d(n.conv(x, 24, 4, 4, padding=0))
    for s in (1, 2, 2):
        if s == 2:
            x = n.conv(n.ln2d(x), 32, 2, 2, padding=0)
        for _ in range(2):
            y = n.ln2d(n.conv(x, int(x.shape[1]), 7, 1, -1))
            x = torch.cat([x, n.conv(F.gelu(n.conv(y, 48, 1)), 8, 1)], 1)
    return n.embed(n.ln2d(x).mean((2, 3)), 128)
