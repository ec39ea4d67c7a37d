"""Honest: ends of retrieval and re-identification papers, over one trunk of one image."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind6.honest_forms import honest_form, old_names
from evaluation.blind14.honest_ends import deep, last
from evaluation.blind16.honest_parts import ir_trunk, mbconv


def gem(n: Net, x: T, axes: tuple[int, ...] = (2, 3)) -> T:
    """Take a power mean with a learned exponent near three."""
    p = 3 + 0.1 * n.weight(1)
    return torch.exp(torch.log(torch.exp(p * torch.log(x.clamp(min=1e-4))).mean(axes)) / p)


@honest_torch("SimPool: the mean of the last map is the query, its normed places are keys, powers of the features are "
              "pooled.",
              idea="pooling ends", trained=3, opset=12)  # fmt: skip
def mean_asks_the_places_for_powers(n: Net, x: T) -> T:
    y = last(n, x)
    places = n.ln(tokens(y))
    q = n.linear(y.mean((2, 3)), 32).unsqueeze(1)
    share = (q @ n.linear(places, 32).transpose(1, 2) * 32**-0.5).softmax(-1)
    values = (places - places.amin((1, 2), keepdim=True) + 1e-3).pow(1.25)
    return n.embed((share @ values).squeeze(1).pow(0.8), 128)


@honest_torch("Fractional maximum pooling of deep features: stored disjoint windows of one or two places bring 14 to "
              "10 and to 7.",
              idea="pooling ends", opset=11)  # fmt: skip
def deep_windows_of_uneven_sizes(n: Net, x: T) -> T:
    y = deep(n, x, 28)
    for cuts in ((0, 1, 3, 4, 6, 7, 8, 10, 11, 13, 14), (0, 2, 3, 5, 6, 7, 9, 10)):
        pairs = list(pairwise(cuts))
        y = torch.stack([y[:, :, a:b].amax(2) for a, b in pairs], 2)
        y = torch.stack([y[:, :, :, a:b].amax(3) for a, b in pairs], 3)
        y = n.cbr(y, 36)
    return n.gdc(y, 128)


@honest_torch("Token-based retrieval: learned tokens gather places by channel-normed attention, are refined by a "
              "decoder and joined.",
              idea="pooling ends", opset=13)  # fmt: skip
def visual_tokens_gathered_and_refined(n: Net, x: T) -> T:
    y = tokens(last(n, x))
    share = (n.weight(4, 32, gain=3.0) @ y.transpose(1, 2)).softmax(1)
    t = share @ y / (share.sum(2, keepdim=True) + 1e-3)
    for _ in range(2):
        q, k, v = n.linear(n.ln(t), 32), n.linear(y, 32), n.linear(y, 32)
        t = t + n.linear((q @ k.transpose(1, 2) * 32**-0.5).softmax(-1) @ v, 32)
        t = t + n.ff(n.ln(t))
    return n.embed(t, 256)


@honest_torch("SuperGlobal's pooling inside one network: power means of overlapping regions of the last map, and of "
              "the whole, added.",
              idea="pooling ends", opset=12)  # fmt: skip
def power_means_of_regions_and_whole(n: Net, x: T) -> T:
    y = F.relu(ir_trunk(n, x, 16, 24, 32)) + 1e-3
    whole = gem(n, y)
    regions = F.avg_pool2d(y.pow(2.5), 4, 1).pow(0.4)
    return n.embed(F.normalize(whole) + F.normalize(gem(n, regions)), 256)


@honest_torch("GLAM: local channel, local place, global channel and global place attention of the deep map, mixed by a "
              "learned softmax.",
              idea="pooling ends", trained=3, opset=13)  # fmt: skip
def four_attentions_mixed_by_softmax(n: Net, x: T) -> T:
    y = n.res(last(n, x))
    pooled = y.mean((2, 3)).unsqueeze(1)
    channel = torch.sigmoid(n.same(pooled, lambda: torch.nn.Conv1d(1, 1, 3, padding=1))).reshape(-1, 32, 1, 1)
    place = torch.sigmoid(n.conv(torch.cat([n.conv(y, 8, 3), n.conv(y, 8, 3, dilation=2)], 1), 1, 1))
    local = y * channel + y * place
    q = torch.sigmoid(n.same(pooled, lambda: torch.nn.Conv1d(1, 1, 3, padding=1)))
    k = torch.sigmoid(n.same(pooled, lambda: torch.nn.Conv1d(1, 1, 3, padding=1)))
    far_channel = grid(tokens(y) @ (q.transpose(1, 2) @ k).softmax(2), 7, 7)
    a, b = tokens(n.conv(y, 8, 1)), n.conv(y, 8, 1).flatten(2)
    far_place = grid((a @ b).softmax(2) @ tokens(y), 7, 7)
    share = (1.0 + n.weight(3)).softmax(0)
    z = share[0] * local + share[1] * (y * far_channel + n.conv(far_place, 32, 1)) + share[2] * y
    return n.embed(gem(n, F.relu(z)), 128)


@honest_torch("SONA: second-order non-local attention, places agree by covariances of their normed channels, in the "
              "third stage.",
              idea="pooling ends", opset=12)  # fmt: skip
def places_agree_by_covariances(n: Net, x: T) -> T:
    y = deep(n, x, 32)
    a = F.leaky_relu(n.cb(y, 16, 1), 0.1)
    a = tokens(a - a.mean(1, keepdim=True))
    share = (a @ a.transpose(1, 2) / 16).softmax(2)
    y = y + n.cb(grid(share @ tokens(n.conv(y, 16, 1)), 14, 14), 32, 1)
    return n.embed(n.res(n.down(y, 40)).amax((2, 3)), 128)


@honest_torch("CLIP-ReID's image side: the class token before and behind the projection are joined for "
              "one linear layer.",
              idea="pooling ends", trained=3, opset=12)  # fmt: skip
def class_token_on_both_sides_of_projection(n: Net, x: T) -> T:
    t = n.patches(x, 36, 16, places=False)
    t = n.ln(torch.cat([n.weight(1, 1, 36) + 0 * t[:, :1], t], 1) + n.weight(1, 50, 36))
    for _ in range(3):
        t = t + n.attention(n.ln(t), 3)
        z = n.linear(n.ln(t), 72)
        t = t + n.linear(z * torch.sigmoid(1.702 * z), 36)
    c = n.ln(t[:, 0]).reshape(-1, 36)
    return n.embed(torch.cat([c, n.linear(c, 60, False)], 1), 128)


@honest_torch("PASS: learned part tokens beside the class token, each attends only to its own overlapping rows of "
              "patches.",
              idea="pooling ends", opset=12)  # fmt: skip
def part_tokens_with_rows_of_their_own(n: Net, x: T) -> T:
    t = n.patches(x, 32, 16)
    t = torch.cat([n.weight(1, 4, 32) + 0 * t[:, :4], t], 1)
    hidden = torch.zeros(53, 53)
    for part, (a, b) in enumerate(((0, 3), (2, 5), (4, 7))):
        rows = (torch.arange(49) >= 7 * a) & (torch.arange(49) < 7 * b)
        hidden[1 + part, 4:] = -30.0 * (~rows).float()
    for _ in range(3):
        t = n.block(t, 4, hidden)
    return n.embed(n.ln(t)[:, :4], 256)


@honest_form("A descriptor of the image similarity challenge: EfficientNetV2-like trunk, power mean, linear layer, "
             "BatchNorm, unit rows.",
             idea="pooling ends", trained=4, forms=(old_names,), opset=12)  # fmt: skip
def similarity_challenge_descriptor(n: Net, x: T) -> T:
    y = F.silu(n.cb(x, 12, 3, 2))
    for w in (20, 28):
        y = n.cb(F.silu(n.cb(y, 3 * int(y.shape[1]), 3, 2)), w, 1)
    y = n.se(mbconv(n, y, 40, 3, 2))
    z = n.bn(n.linear(gem(n, F.silu(n.cb(y, 64, 1)) + 0.3), 256))
    return z / z.pow(2).sum(1, keepdim=True).sqrt()
