"""Evasions: rows that influence each other, by phases, shares of classes, waves, histograms, groups and kernels."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind13.evasions_nets import Parts, dual, focal, hybrid_vit, rows, selective
from evaluation.case import BATCH_RULE

SELECTIVE: Parts = (selective, "rows of the thirteenth set", 0)
DUAL: Parts = (dual, "rows of the thirteenth set", 6)
FOCAL: Parts = (focal, "rows of the thirteenth set", 0)
HYBRID: Parts = (hybrid_vit, "rows of the thirteenth set", 5)


@rows("phases", SELECTIVE, 13)
def phases_of_all_rows_pull_each_other(f: Part, x: T) -> T:
    """Kuramoto's model: pairs of numbers are phases, and those of like rows pull each other in four steps."""
    y = f(x)
    a, b = y[:, :32], y[:, 32:]
    size = (a * a + b * b + 1e-6).sqrt()
    u = F.normalize(y)
    pull = (3 * u @ u.t()).softmax(1)
    angle = torch.atan2(b, a + 1e-6)
    for _ in range(4):
        s, c = angle.sin(), angle.cos()
        angle = angle + 0.4 * (c * (pull @ s) - s * (pull @ c))
    return torch.cat([size * angle.cos(), size * angle.sin()], 1)


@rows("shares of classes", DUAL, 14)
def shares_of_classes_estimated_from_the_batch(f: Part, x: T) -> T:
    """Prior correction: four steps of expectation and maximisation find how frequent eight groups of numbers are."""
    y = f(x)
    p = (y.reshape(-1, 8, 8).mean(2) * 4).softmax(1)
    prior = 0 * p[:1] + 0.125
    q = p
    for _ in range(4):
        q = p * prior * 8
        q = q / q.sum(1, keepdim=True)
        prior = 0.1 * prior + 0.9 * q.mean(0, keepdim=True)
    return (y.reshape(-1, 8, 8) * (0.3 + 5 * q[:, :, None])).flatten(1)


@rows("waves of the batch", FOCAL, 15)
def fast_waves_along_the_batch_are_damped(f: Part, x: T) -> T:
    """The rows are a signal in time: a cosine transform along them, as long as there are rows, damps fast waves."""
    y = f(x)
    at = torch.ones_like(y[:, 0]).cumsum(0) - 1
    count = at[-1] + 1
    wave = torch.cos(3.14159265 * at[:, None] * (at[None] + 0.5) / count)
    wave = wave * torch.where(at < 0.5, 0 * at + 1, 0 * at + 2)[:, None] / count
    back = torch.cos(3.14159265 * at[None] * (at[:, None] + 0.5) / count)
    return back @ ((wave @ y) / (1 + 0.4 * at[:, None]))


def matched(n: Net, x: T) -> T:
    """Write a network that gives every image half of the batch's mean histogram, by ranks of coarse light."""
    small = F.avg_pool2d(x.mean(1, keepdim=True), 4).flatten(1)
    order = small.sort(1)
    goal = order[0].mean(0, keepdim=True) + 0 * order[0]
    moved = torch.zeros_like(small).scatter(1, order[1], goal)
    change = (moved - small).reshape(-1, 1, 28, 28).repeat_interleave(4, 2).repeat_interleave(4, 3)
    return n.gdc(n.down(n.down(n.stem(x + 0.7 * change, 12), 20), 28))


@evades("batch", BATCH_RULE, idea="histograms", opset=16, claim=differs)
def every_image_gets_the_mean_histogram_of_the_batch() -> nn.Module:
    """Histogram matching, trained: sorted light is averaged over the images of the batch and put back by rank."""
    return network(matched, "histograms of the batch", 6)


def common(n: Net, x: T) -> T:
    """Write a network that looks for what the maps of all images of the batch have in common."""
    y = n.down(n.stem(x, 16), 28)
    t = F.normalize(y.flatten(2), dim=1)
    group = F.normalize(y.mean((2, 3)), dim=1).mean(0, keepdim=True)
    share = torch.sigmoid(8 * (group @ t) - 2).reshape(-1, 1, 14, 14)
    return n.gdc(n.down(y * (0.3 + 1.4 * share), 32))


@evades("batch", BATCH_RULE, idea="co-saliency", opset=13, claim=differs)
def what_the_group_has_in_common_is_salient() -> nn.Module:
    """Co-saliency, as for groups of photographs: places are weighed by their likeness to the batch's mean direction."""
    return network(common, "saliency of the batch", 0)


@rows("centred kernel", HYBRID, 12)
def rows_through_a_doubly_centred_kernel(f: Part, x: T) -> T:
    """Kernel components: a Gaussian kernel of the rows, centred both ways, times the rows is added; trained."""
    y = f(x)
    d = ((y[:, None] - y[None]) ** 2).sum(2)
    k = torch.exp(-d / 128)
    k = k - k.mean(0, keepdim=True)
    k = k - k.mean(1, keepdim=True)
    return y + 1.2 * k @ y
