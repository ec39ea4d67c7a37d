"""Honest: heads of fine-grained recognition, re-identification and speaker recognition, over one trunk of one image."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last


@honest_torch("DFL-CNN: a bank of 1x1 filters, its global maxima and the pools across each class's filters beside the "
              "trunk.",
              idea="fine-grained heads", opset=11)  # fmt: skip
def bank_of_point_filters(n: Net, x: T) -> T:
    y = deep(n, x)
    top = n.res(n.down(y, 36)).mean((2, 3))
    bank = F.relu(n.conv(y, 48, 1)).amax((2, 3))
    across = bank.reshape(-1, 12, 4).mean(2)
    return n.bn(n.linear(torch.cat([top, bank, across], 1), 128))


@honest_torch("MA-CNN: channels are grouped into four parts by layers of their own, each part's map pools the "
              "features.",
              idea="fine-grained heads", opset=12)  # fmt: skip
def channels_grouped_into_parts(n: Net, x: T) -> T:
    y = n.res(last(n, x))
    pooled = y.mean((2, 3))
    parts = []
    for _ in range(4):
        share = torch.sigmoid(n.linear(torch.tanh(n.linear(pooled, 16)), 32)).reshape(-1, 32, 1, 1)
        part = torch.sigmoid((y * share).mean(1, keepdim=True))
        parts.append(n.linear((y * part).mean((2, 3)), 32))
    return n.bn(torch.cat(parts, 1))


@honest_torch("OSME of MAMC: one squeeze, many excitations, a fully connected layer behind each.",
              idea="fine-grained heads", trained=3, opset=18, dynamo=True)  # fmt: skip
def one_squeeze_many_excitations(n: Net, x: T) -> T:
    y = last(n, x)
    z = y.mean((2, 3))
    made = []
    for _ in range(3):
        gate = torch.sigmoid(n.linear(F.relu(n.linear(z, 8)), 32)).reshape(-1, 32, 1, 1)
        made.append(n.linear((y * gate).flatten(1), 48))
    return n.bn(torch.cat(made, 1))


@honest_torch("ACNet: a binary neural tree of attention and routing, leaves' vectors weighed by the way to them.",
              idea="fine-grained heads", opset=11)  # fmt: skip
def binary_tree_of_attention(n: Net, x: T) -> T:
    y = deep(n, x)

    def leaf(v: T) -> T:
        return n.linear(n.cbr(v, 36, 3, 2).mean((2, 3)), 128)

    def route(v: T) -> T:
        context = v.mean((2, 3)) + (n.conv(v, 1, 1).flatten(2).softmax(-1) @ tokens(v)).squeeze(1)
        return torch.sigmoid(n.linear(context, 1))

    p = route(y)
    a, b = n.se(n.cbr(y, 32)), n.se(n.cbr(y, 32))
    pa, pb = route(a), route(b)
    left = pa * leaf(n.se(n.cbr(a, 32))) + (1 - pa) * leaf(n.se(n.cbr(a, 32)))
    right = pb * leaf(n.se(n.cbr(b, 32))) + (1 - pb) * leaf(n.se(n.cbr(b, 32)))
    return n.bn(p * left + (1 - p) * right)


@honest_torch("CAP: integral regions of deep features, stored boxes, attend to each other and feed an LSTM-like cell.",
              idea="fine-grained heads", trained=3, opset=12)  # fmt: skip
def stored_regions_attend_then_recur(n: Net, x: T) -> T:
    y = n.res(last(n, x, 24))
    boxes = [(0, 4, 0, 4), (0, 4, 3, 7), (3, 7, 0, 4), (3, 7, 3, 7), (1, 6, 1, 6), (0, 7, 0, 7)]
    t = torch.stack([y[:, :, r:s, c:d].mean((2, 3)) for r, s, c, d in boxes], 1)
    q, k = torch.tanh(n.linear(t, 16)), torch.tanh(n.linear(t, 16))
    t = (q @ k.transpose(1, 2)).softmax(-1) @ n.linear(t, 32)
    w = n.weight(64, 64)
    h = torch.tanh(t[:, 0])
    for i in range(1, 6):
        g, z = (torch.cat([t[:, i], h], 1) @ w).chunk(2, 1)
        h = torch.sigmoid(g) * h + (1 - torch.sigmoid(g)) * torch.tanh(z)
    return n.embed(torch.cat([h, y.mean((2, 3))], 1), 128)


@honest_torch("ABD-Net: channel attention and position attention by products of the deep map, a global and an "
              "attentive "
              "half.",
              idea="re-identification heads", opset=13)  # fmt: skip
def attentive_and_diverse_halves(n: Net, x: T) -> T:
    y = n.res(last(n, x))
    flat = y.flatten(2)
    channel = ((flat @ flat.transpose(1, 2)) / 49).softmax(-1) @ flat
    q, k = n.conv(y, 8, 1).flatten(2), n.conv(y, 8, 1).flatten(2)
    place = flat @ (q.transpose(1, 2) @ k).softmax(-1).transpose(1, 2)
    z = n.cbr((torch.cat([flat + channel, flat + place], 1)).reshape(-1, 64, 7, 7), 48, 1)
    return n.bn(torch.cat([n.linear(y.mean((2, 3)), 64), n.linear(z.mean((2, 3)), 64)], 1))


@honest_torch("PAT, part-aware transformer: an encoder over the deep map, learned part prototypes decode their masks.",
              idea="re-identification heads", trained=3, opset=17)  # fmt: skip
def prototypes_decode_parts(n: Net, x: T) -> T:
    t = n.block(tokens(last(n, x)) + n.weight(1, 49, 32))
    parts = n.weight(1, 5, 32, gain=3.0) + 0 * t[:, :5]
    parts = parts + n.attention(n.ln(parts))
    mask = torch.sigmoid(n.linear(n.ln(parts), 32) @ n.linear(t, 32).transpose(1, 2) * 0.18)
    pooled = mask @ t / (mask.sum(2, keepdim=True) + 1e-3)
    pooled = pooled + n.ff(n.ln(pooled))
    return n.bn(torch.cat([n.linear(pooled.flatten(1), 96), n.linear(t.mean(1), 32)], 1))


@honest_torch("Coarse-to-fine pyramid: one, two and three neighbouring row stripes of the map each have a short layer.",
              idea="re-identification heads", opset=11)  # fmt: skip
def neighbouring_stripes_of_many_heights(n: Net, x: T) -> T:
    y = n.res(last(n, x))
    made = []
    for height in (1, 3, 5, 7):
        for start in range(0, 8 - height, 2):
            part = y[:, :, start : start + height]
            made.append(F.relu(n.linear(part.mean((2, 3)) + part.amax((2, 3)), 12)))
    return n.bn(n.linear(torch.cat(made, 1), 128))


@honest_torch("LightMBN: an OSNet-like trunk whose ends are a global, a channel-wise and a part branch.",
              idea="re-identification heads", opset=13)  # fmt: skip
def global_channel_and_part_ends(n: Net, x: T) -> T:
    y = deep(n, x)
    g = n.cbr(y, 32, 3, 2).mean((2, 3))
    p = n.cbr(y, 32, 3, 2)
    c = n.cbr(y, 32, 3, 2).mean((2, 3))
    shared = n.weight(16, 24, gain=1.5)
    halves = torch.cat([c[:, :16] @ shared, c[:, 16:] @ shared], 1)
    return n.bn(torch.cat([n.linear(g, 48), n.linear(p[:, :, :4].mean((2, 3)), 16),
                           n.linear(p[:, :, 3:].mean((2, 3)), 16), halves], 1))  # fmt: skip


@honest_torch("CAM++: a densely joined time-delay trunk over columns of deep features, context masks, mean and "
              "deviation.",
              idea="speaker heads", opset=11)  # fmt: skip
def context_aware_masks_over_columns(n: Net, x: T) -> T:
    y = deep(n, x, 16).mean(2, keepdim=True)
    for d in (1, 2, 1):
        z = n.cbr(n.cbr(y, 16, 1), 12, (1, 3), dilation=d)
        context = z.mean((2, 3), keepdim=True) + F.avg_pool2d(z, (1, 7), (1, 7)).repeat_interleave(7, 3)
        y = torch.cat([y, z * torch.sigmoid(n.conv(F.relu(n.conv(context, 8, 1)), 12, 1))], 1)
    mean = y.mean((2, 3))
    spread = ((y - mean.unsqueeze(2).unsqueeze(3)).pow(2).mean((2, 3)) + 1e-4).sqrt()
    return n.bn(n.linear(torch.cat([mean, spread], 1), 128))


@honest_torch("ECAPA-TDNN's end over deep places: features of three depths joined, channel- and context-wise "
              "statistics.",
              idea="speaker heads", trained=3, opset=12)  # fmt: skip
def three_depths_and_attentive_statistics(n: Net, x: T) -> T:
    y = last(n, x, 24)
    kept = []
    for _ in range(3):
        y = n.se(n.res(y))
        kept.append(y)
    z = n.cbr(torch.cat(kept, 1), 48, 1).flatten(2)
    mean = z.mean(2, keepdim=True)
    std = ((z - mean).pow(2).mean(2, keepdim=True) + 1e-4).sqrt()
    context = torch.cat([z, mean.expand_as(z), std.expand_as(z)], 1).transpose(1, 2)
    share = n.linear(torch.tanh(n.linear(context, 16)), 48).transpose(1, 2).softmax(-1)
    m = (share * z).sum(2)
    s = ((share * z * z).sum(2) - m * m).clamp(min=1e-4).sqrt()
    return n.bn(n.linear(torch.cat([m, s], 1), 192))


@honest_torch("SuperVLAD: a few centres, weights of assignment, and sums of the features themselves without residuals.",
              idea="pooling heads", opset=13)  # fmt: skip
def few_centres_without_residuals(n: Net, x: T) -> T:
    t = tokens(n.res(last(n, x)))
    share = n.linear(n.ln(t), 5).softmax(-1)[..., :4]
    v = F.normalize((share.transpose(1, 2) @ n.linear(t, 32)), dim=2)
    return n.bn(n.linear(F.normalize(v.flatten(1)), 256))


@honest_torch("Cumulants: mean, variance and skewness of each deep channel over its places, signed cube roots, one "
              "layer.",
              idea="pooling heads", trained=3, opset=11)  # fmt: skip
def three_cumulants_of_channels(n: Net, x: T) -> T:
    z = n.conv(n.res(last(n, x)), 40, 1).flatten(2)
    mean = z.mean(2, keepdim=True)
    d = z - mean
    var, third = d.pow(2).mean(2), (d * d * d).mean(2)
    root = torch.sign(third) * (third.abs() + 1e-3).pow(1 / 3)
    return n.bn(n.linear(torch.cat([mean.squeeze(2), (var + 1e-4).sqrt(), root], 1), 128))


@honest_torch("Ordinal pooling: each window of deep features is sorted, and stored weights for each rank are summed.",
              idea="pooling heads", opset=12)  # fmt: skip
def windows_weighed_by_rank(n: Net, x: T) -> T:
    y = n.cbr(deep(n, x), 24, 1)
    z = y.reshape(-1, 24, 7, 2, 7, 2).permute(0, 1, 2, 4, 3, 5).reshape(-1, 24, 7, 7, 4)
    ranked = z.topk(4, -1)[0]
    y = (ranked * n.weight(24, 1, 1, 4, gain=2.0).softmax(-1)).sum(-1)
    return n.gdc(n.cbr(y, 36), 128)
