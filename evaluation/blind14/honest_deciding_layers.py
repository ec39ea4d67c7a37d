"""Honest: layers that are conditional on the deep features of the one image, or move deep features by stored maps."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812

from evaluation.blind4.layers import Net, T, grid, tokens
from evaluation.blind4.register import honest_torch
from evaluation.blind14.honest_ends import deep, last


def sampling_matrix(places: list[tuple[float, float]], side: int) -> T:
    """Return stored weights [places, side²] that read a map between its cells at rows and columns."""
    made = torch.zeros(len(places), side, side)
    for k, (r, c) in enumerate(places):
        for i in range(side):
            for j in range(side):
                made[k, i, j] = max(0.0, 1 - abs(r - i)) * max(0.0, 1 - abs(c - j))
    return made.reshape(len(places), side * side)


CIRCLES = [(6.5 + r * math.sin(math.tau * a / 14), 6.5 + r * math.cos(math.tau * a / 14))
           for r in (1, 2, 3, 4, 5, 6, 6.5) for a in range(14)]  # fmt: skip
POLAR = sampling_matrix(CIRCLES, 14)
LINES = torch.stack([
    sampling_matrix([(6.5 + d * math.sin(t) + s * math.cos(t), 6.5 + d * math.cos(t) - s * math.sin(t))
                     for s in range(-6, 7)], 14).sum(0) / 13
    for t in (math.pi * k / 8 for k in range(8)) for d in (-5, -3, -1, 1, 3, 5)])  # fmt: skip


@honest_torch("A spatial transformer of deep features: an affine map of them, behind three strides, read by "
              "GridSample.",
              idea="deep features placed", trained=3, opset=16)  # fmt: skip
def affine_transformer_of_deep_features(n: Net, x: T) -> T:
    y = deep(n, x)
    line = torch.linspace(-1, 1, 14)
    base = torch.stack([line.reshape(1, 14).expand(14, 14), line.reshape(14, 1).expand(14, 14),
                        torch.ones(14, 14)], 2).reshape(1, 196, 3)  # fmt: skip
    theta = 0.2 * torch.tanh(n.linear(n.down(y, 16).mean((2, 3)), 6)).reshape(-1, 3, 2)
    theta = theta + torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    moved = F.grid_sample(y, (base @ theta).reshape(-1, 14, 14, 2), align_corners=True)
    return n.gdc(n.down(moved, 40), 128)


@honest_torch("Polar transformer's cousin: a stored matrix reads deep features on seven circles about the nose.",
              idea="deep features placed", opset=12)  # fmt: skip
def deep_features_on_stored_circles(n: Net, x: T) -> T:
    t = POLAR @ tokens(deep(n, x))
    y = t.transpose(1, 2).reshape(-1, 32, 7, 14)
    y = torch.cat([y[:, :, :, 13:], y, y[:, :, :, :1]], 3)
    y = n.cbr(n.cbr(y, 32, 3, padding=(1, 0)), 40, 3, (1, 2))
    return n.gdc(y, 128)


@honest_torch("Radon features: means of deep features along 48 stored lines of eight turns, mixed by layers.",
              idea="deep features placed", trained=3, opset=11)  # fmt: skip
def means_along_stored_lines(n: Net, x: T) -> T:
    t = LINES @ tokens(deep(n, x))
    z = F.relu(n.conv(t.transpose(1, 2).reshape(-1, 32, 8, 6), 24, 3))
    return n.embed(z, 128)


@honest_torch("SkipNet: a rounded gate of the pooled features takes each deep residual unit or leaves it, image by "
              "image.",
              idea="decisions by image", opset=13)  # fmt: skip
def units_left_out_by_rounded_gate(n: Net, x: T) -> T:
    y = deep(n, x)
    for _ in range(3):
        gate = torch.sigmoid(2 * n.linear(F.relu(n.linear(y.mean((2, 3)), 8)), 1))
        on = torch.floor(gate + 0.5).reshape(-1, 1, 1, 1)
        y = F.relu(y + on * n.cb(n.cbr(y, 32), 32))
    return n.gdc(n.down(y, 40), 128)


@honest_torch("DS-Net: one of four widths is decided for each image, channels beyond that width are multiplied by "
              "zero.",
              idea="decisions by image", opset=12)  # fmt: skip
def width_decided_for_each_image(n: Net, x: T) -> T:
    y = deep(n, x)
    score = n.linear(y.mean((2, 3)), 4)
    chosen = (score >= score.amax(1, keepdim=True)).float()
    stairs = (torch.arange(40).reshape(1, 40) < torch.tensor([[16], [24], [32], [40]])).float()
    mask = (chosen @ stairs).reshape(-1, 40, 1, 1)
    for s in (1, 2):
        y = n.cbr(y, 40, 3, s) * mask
    return n.gdc(y, 128)


@honest_torch("BranchyNet: where the cheap exit is sure, by a hard threshold, its embedding is given, else the "
              "deep one.",
              idea="decisions by image", trained=3, opset=11)  # fmt: skip
def hard_exit_of_one_trunk(n: Net, x: T) -> T:
    y = deep(n, x)
    early = n.embed(F.avg_pool2d(y, 2), 128)
    late = n.gdc(n.res(n.down(y, 40)), 128)
    sure = n.linear(early, 16).softmax(1).amax(1, keepdim=True)
    return torch.where(sure > 0.2, early, late)


@honest_torch("CondInst: three small layers are made of each image's pooled features and read its deep map and places.",
              idea="decisions by image", opset=14)  # fmt: skip
def conditional_small_layers_with_places(n: Net, x: T) -> T:
    y = deep(n, x)
    made = n.linear(n.down(y, 32).mean((2, 3)), 10 * 8 + 8 * 8 + 8 * 8) * 0.5
    line = torch.linspace(-1, 1, 14)
    places = torch.stack([line.reshape(14, 1).expand(14, 14), line.reshape(1, 14).expand(14, 14)])
    z = n.conv(y, 8, 1).flatten(2)
    z = torch.cat([z, places.reshape(1, 2, 196) + z[:, :2] * 0], 1)
    z = F.relu(made[:, :80].reshape(-1, 8, 10) @ z)
    z = F.relu(made[:, 80:144].reshape(-1, 8, 8) @ z)
    z = (made[:, 144:].reshape(-1, 8, 8) @ z).reshape(-1, 8, 14, 14)
    return n.gdc(n.down(torch.cat([y, z], 1), 40), 128)


@honest_torch("A symmetry prior: a stored bias draws each deep place's attention to the place across the face's "
              "middle.",
              idea="attention forms", trained=3, opset=13)  # fmt: skip
def attention_drawn_across_the_middle(n: Net, x: T) -> T:
    t = tokens(last(n, x)) + n.weight(1, 49, 32)
    i = torch.arange(49)
    across = (i // 7) * 7 + 6 - i % 7
    bias = 2.0 * (i.reshape(1, 49) == across.reshape(49, 1)).float()
    for _ in range(2):
        t = n.block(t, 2, bias)
    return n.gdc(grid(t, 7, 7), 128)


@honest_torch("Dynamic group convolution: each of four heads keeps the half of the deep channels it finds most "
              "salient.",
              idea="decisions by image", opset=11)  # fmt: skip
def salient_half_for_each_head(n: Net, x: T) -> T:
    y = deep(n, x)
    pooled = y.mean((2, 3))
    made = []
    for _ in range(4):
        score = F.relu(n.linear(F.relu(n.linear(pooled, 8)), 32)) + 0.01 * pooled
        least = score.topk(16, 1)[0][:, 15:16]
        mask = (score * (score >= least).float()).reshape(-1, 32, 1, 1)
        made.append(n.conv(y * mask, 12, 3, 2, bias=False))
    return n.gdc(F.relu(n.bn(torch.cat(made, 1))), 128)
