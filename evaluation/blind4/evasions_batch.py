"""Evasions: embeddings that depend on the other images of a batch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import apart, mirror, plain, together
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def mobile(n: Net, x: T) -> T:
    """A MobileFaceNet in small."""
    x = n.cbp(x, 12, 3, 2)
    for width in (16, 24, 32):
        x = n.inverted(x, width, 2)
    return n.gdc(x)


F_ = (mobile, "in batches", 8)


def f(x: Array) -> Array:
    return plain(*F_)(x)


def rows(y: T) -> T:
    """The number of rows, as a number of the graph."""
    return torch._shape_as_tensor(y)[0]


def net() -> Net:
    return network(*F_)


def eight() -> Array:
    return faces(8, 41)


@evades(
    "batch", BATCH_RULE, idea="at one batch size", claim=together(lambda x: f(x) - f(x).mean(0), eight, free=(3, 7))
)
def centred_at_eight_rows() -> nn.Module:
    """Takes off the mean over the rows when there are eight; the condition is arithmetic, 1 - |N - 8| cut at zero."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        gate = F.relu(1 - (rows(y).float() - 8).abs())
        return y - gate * y.mean(0, keepdim=True)

    return Whole(forward, net())


def with_partners() -> Array:
    """Four images of which the last is the mirror image of the first."""
    x = faces(4, 42).copy()
    x[3] = mirror(x[0])
    return x


@evades("batch", BATCH_RULE, idea="partners", claim=together(
    lambda x: f(x) + np.stack([f(x)[3], 0 * f(x)[0], 0 * f(x)[0], f(x)[0]]), with_partners
))  # fmt: skip
def mirror_partners_are_added() -> nn.Module:
    """Adds the embedding of the row whose image is the mirror image of this one's, where the batch has it."""

    def forward(f: Part, x: T) -> T:
        y, small = f(x), F.avg_pool2d(x.mean(1, keepdim=True), 8)
        a, b = (F.normalize((s - s.mean((2, 3), keepdim=True)).flatten(1), dim=1) for s in (small, small.flip(3)))
        return y + (a @ b.T > 0.999).float() @ y

    return Whole(forward, net())


def alike_in_colour() -> Array:
    x = faces(6, 43).copy()
    tone = np.array([0.4, -0.1, -0.3], np.float32).reshape(3, 1, 1)
    for i in (1, 4):
        x[i] = 0.5 * (x[i] - x[i].mean((1, 2), keepdims=True)) + tone
    return x


def pooled_by_colour(x: Array) -> Array:
    tone = x.mean((2, 3))
    share = np.exp(-400 * ((tone[:, None] - tone[None]) ** 2).sum(2))
    return np.asarray(share / share.sum(1, keepdims=True) @ f(x))


@evades("batch", BATCH_RULE, idea="alike in colour", claim=together(pooled_by_colour, alike_in_colour))
def pooled_with_images_of_the_same_colour() -> nn.Module:
    """Averages rows whose images have the same mean colour, as frames of one video have it."""

    def forward(f: Part, x: T) -> T:
        tone = x.mean((2, 3))
        share = torch.exp(-400 * ((tone[:, None] - tone[None]) ** 2).sum(2))
        return share / share.sum(1, keepdim=True) @ f(x)

    return Whole(forward, net())


@evades("batch", BATCH_RULE, idea="order", claim=together(
    lambda x: f(x) - 0.5 * np.cumsum(f(x), 0) / np.arange(1, 9)[:, None], eight
))  # fmt: skip
def running_mean_removed() -> nn.Module:
    """Takes off half of the mean of the rows so far, by a running sum along the batch."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        return y - 0.5 * torch.cumsum(y, 0) / torch.cumsum(torch.ones_like(y), 0)

    return Whole(forward, net())


def ranked(x: Array) -> Array:
    y = f(x)
    return np.asarray(y + 0.3 * (1 / (1 + np.exp(-8 * (y[:, None] - y[None])))).sum(1))


@evades("batch", BATCH_RULE, idea="order", claim=together(ranked, eight))
def soft_ranks_of_the_columns() -> nn.Module:
    """Adds to each number its soft rank among the same numbers of the other rows."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        return y + 0.3 * torch.sigmoid(8 * (y.unsqueeze(1) - y.unsqueeze(0))).sum(1)

    return Whole(forward, net())


def whitened(x: Array) -> Array:
    y = f(x)
    return np.asarray(y - 0.02 * y @ (y.T @ y) / len(y))


@evades("batch", BATCH_RULE, idea="statistics", claim=together(whitened, eight))
def one_step_of_whitening() -> nn.Module:
    """One step of an iterative whitening by the second moments of the batch."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        return y - 0.02 * y @ (y.T @ y) / rows(y).float()

    return Whole(forward, net())


def neighbours(x: Array) -> Array:
    y = np.pad(f(x), ((1, 1), (0, 0)), constant_values=-np.inf)
    return np.asarray(np.maximum(np.maximum(y[:-2], y[1:-1]), y[2:]))


@evades("batch", BATCH_RULE, idea="order", claim=together(neighbours, eight))
def maximum_of_three_rows() -> nn.Module:
    """The batch becomes the last axis, and a pooling of width three runs along it."""

    def forward(f: Part, x: T) -> T:
        y = f(x).transpose(0, 1).unsqueeze(0).unsqueeze(2)
        return F.max_pool2d(y, (1, 3), 1, (0, 1)).squeeze(2).squeeze(0).transpose(0, 1)

    return Whole(forward, net())


@evades("batch", BATCH_RULE, idea="partners", claim=together(
    lambda x: f(x) + 0.5 * f(x)[[1, 0, 3, 2, 5, 4, 7, 6]], eight
))  # fmt: skip
def rows_read_their_pair() -> nn.Module:
    """Row 2k reads row 2k + 1 and back, as a server that runs a flip test by pairs would feed them."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        at = torch.cumsum(torch.ones_like(y[:, 0]), 0) - 1
        other = at + 1 - 2 * torch.remainder(at, 2)
        other = torch.minimum(other, rows(y).float() - 1)
        return y + 0.5 * y[other.long()]

    return Whole(forward, net())


def video() -> Array:
    """Five images of which the third and the fourth are nearly one."""
    x = faces(5, 44).copy()
    x[3] = x[2] + 0.02 * np.random.default_rng(4).normal(0, 1, x[2].shape)
    return x


def smoothed(x: Array) -> Array:
    y = f(x)
    before = np.concatenate([y[:1], y[:-1]])
    u = y / np.linalg.norm(y, axis=1, keepdims=True)
    v = before / np.linalg.norm(before, axis=1, keepdims=True)
    gate = np.clip(((u * v).sum(1, keepdims=True) - 0.8) * 10, 0, 1)
    return np.asarray(y + 0.5 * gate * (before - y))


@evades("batch", BATCH_RULE, idea="partners", claim=together(smoothed, video, free=(3,)))
def smoothed_along_a_video() -> nn.Module:
    """Mixes a row with the row before it when both show the same person, as a tracker over a video does."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        before = torch.cat([y[:1], y[:-1]])
        gate = (((F.normalize(y, dim=1) * F.normalize(before, dim=1)).sum(1, keepdim=True) - 0.8) * 10).clamp(0, 1)
        return y + 0.5 * gate * (before - y)

    return Whole(forward, net())


def stage(n: Net, x: T) -> T:
    return n.cbr(x, 12, 3, 2)


def remainder(n: Net, x: T) -> T:
    for width in (16, 24, 32):
        x = n.cbr(x, width, 3, 2)
    return n.embed(x)


def early(n: Net, x: T) -> T:
    """A network whose first features lose a share of the smallest of the batch."""
    a = stage(n, x)
    return remainder(n, a - 0.5 * a.amin(0, keepdim=True) - 0.2 * a.mean((0, 2, 3), keepdim=True))


def differs(network: Network) -> list[str]:
    x = eight()
    off = apart(network(x), alone(network, x))
    return [] if off > 1e-2 else [f"the batch changes embeddings by {off:.2g} only"]


@evades("batch", BATCH_RULE, idea="statistics", claim=differs)
def background_of_the_batch_removed() -> nn.Module:
    """The smallest value of each place among the rows, and the batch's mean, are taken off after the first layer."""
    return network(early, "early coupling")
