"""Evasions: rows that influence each other, by ranks of a walk, pairs, spectra, contests, densities and outliers."""

from __future__ import annotations

from math import pi

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind12.evasions_nets import Parts, coordinate, fractal, hourglass, meta, parallel, rows
from evaluation.case import BATCH_RULE

HOURGLASS: Parts = (hourglass, "rows of the twelfth set", 0)
PARALLEL: Parts = (parallel, "rows of the twelfth set", 5)
META: Parts = (meta, "rows of the twelfth set", 0)
FRACTAL: Parts = (fractal, "rows of the twelfth set", 6)
COORDINATE: Parts = (coordinate, "rows of the twelfth set", 0)


@rows("random walk", HOURGLASS, 13)
def mean_by_the_ranks_of_a_walk_over_the_batch(f: Part, x: T) -> T:
    """A walk over the rows, to like ones more often, ranks them in six steps; their mean by rank is taken off all."""
    y = f(x)
    u = F.normalize(y)
    go = (4 * u @ u.t()).softmax(1)
    rank = torch.ones_like(u[:, :1])
    for _ in range(6):
        rank = 0.15 + 0.85 * go.t() @ rank
    return y - 0.6 * (rank * y).sum(0, keepdim=True) / rank.sum()


@rows("mutual neighbours", PARALLEL, 14)
def averaged_with_the_mutual_nearest_neighbour(f: Part, x: T) -> T:
    """Two trained rows that are each other's nearest ones, themselves left out, are averaged, by comparing maxima."""
    y = f(x)
    u = F.normalize(y)
    s = u @ u.t()
    s = s - 4 * (s > 0.9999).float()
    best = (s >= s.amax(1, keepdim=True)).float() * (s > -2).float()
    mutual = best * best.t()
    return y + 0.5 * mutual @ y


def spectra(n: Net, x: T) -> T:
    """Write a network that gives every image the batch's mean amplitudes at low frequencies, half of the way."""
    angle = 2 * pi * torch.arange(28).float()[:, None] * torch.arange(28).float()[None] / 28
    c, s = angle.cos() / 28**0.5, angle.sin() / 28**0.5
    small = F.avg_pool2d(x, 4)
    re, im = c @ small @ c - s @ small @ s, -(s @ small @ c) - c @ small @ s
    size = (re * re + im * im + 1e-6).sqrt()
    factor = (size + 2 * size.mean(0, keepdim=True)) / (3 * size)
    re, im = re * factor, im * factor
    even = c @ re @ c - s @ re @ s + s @ im @ c + c @ im @ s
    x = x + (even - small).repeat_interleave(4, 2).repeat_interleave(4, 3)
    return n.gdc(n.down(n.down(n.stem(x, 12), 20), 28))


@evades("batch", BATCH_RULE, idea="amplitudes", opset=13, claim=differs)
def low_amplitudes_of_all_images_of_the_batch() -> nn.Module:
    """Fourier domain adaptation, trained: amplitudes of low waves become nearly the batch's mean, phases stay."""
    return network(spectra, "amplitudes of the batch", 6)


@rows("contest", META, 12)
def won_contests_against_the_other_rows_count(f: Part, x: T) -> T:
    """For every number each row meets all others; the share of contests that it wins, less a half, is added."""
    y = f(x)
    won = torch.sigmoid(4 * (y[:, None] - y[None])).mean(1)
    return y + 2.5 * (won - 0.5)


@rows("density", FRACTAL, 15)
def sharper_where_the_batch_is_dense(f: Part, x: T) -> T:
    """Local scaling: a trained row's numbers get a power that depends on how near its three nearest rows are."""
    y = f(x)
    u = F.normalize(y)
    far = (2 - 2 * u @ u.t()).clamp(0, 4)
    near = torch.topk(torch.cat([far, 2 + 0 * far[:, :1], 2 + 0 * far[:, :1], 2 + 0 * far[:, :1]], 1), 3, 1, False)[0]
    power = (1 + 2.5 * (near.mean(1, keepdim=True) - 1.1)).clamp(0.3, 3)
    return torch.sign(y) * torch.exp(power * torch.log(y.abs() + 1e-3))


@rows("outliers", COORDINATE, 11)
def outliers_are_drawn_to_the_middle_of_the_batch(f: Part, x: T) -> T:
    """Numbers further from the batch's mean than its mean deviation are drawn back to that bound, as Huber would."""
    y = f(x)
    m = y.mean(0, keepdim=True)
    d = y - m
    bound = d.abs().mean(0, keepdim=True) + 0.3
    return m + torch.max(torch.min(d, bound), -bound) + 0.1 * y
