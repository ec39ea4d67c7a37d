"""Evasions: rows that influence each other: by quantiles, rare numbers, sources, anchors, patches and cuts."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, Part, T, tokens
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind15.evasions_nets import Parts, crossed, hourglass, joined_dense, local, pooling, rows, tensor
from evaluation.case import BATCH_RULE

POOLING: Parts = (pooling, "rows of the fifteenth set", 0)
CROSSED: Parts = (crossed, "rows of the fifteenth set", 6)
HOURGLASS: Parts = (hourglass, "rows of the fifteenth set", 6)
LOCAL: Parts = (local, "rows of the fifteenth set", 0)
DENSE: Parts = (joined_dense, "rows of the fifteenth set", 0)


@rows("quantiles", CROSSED, 13)
def numbers_of_each_rank_are_means_over_the_batch(f: Part, x: T) -> T:
    """As for arrays of genes: the k-th largest cube in every trained row becomes the batch's mean of these."""
    y = f(x) ** 3
    ordered, order = y.sort(1)
    return torch.zeros_like(y).scatter(1, order, ordered.mean(0, keepdim=True).expand_as(ordered))


@rows("rare numbers", LOCAL, 14)
def numbers_that_are_rare_in_the_batch_weigh_more(f: Part, x: T) -> T:
    """Inverse frequency, as of words in texts: a number counts by how few images of the batch have it large."""
    y = f(x)
    often = torch.sigmoid(6 * (y - 0.3)).sum(0, keepdim=True)
    many = torch.ones_like(y[:, :1]).sum()
    return y * (0.2 + torch.log((many + 1) / (often + 0.3)))


@rows("sources", POOLING, 15)
def step_towards_independent_sources_of_the_batch(f: Part, x: T) -> T:
    """One step of independent component analysis: directions turn to where the batch is least like a normal."""
    y = f(x)
    w = torch.eye(64) * 0.9 + tensor(np.random.default_rng(1501).normal(0, 0.05, (64, 64)))
    s = y @ w
    g = torch.tanh(s)
    return y @ (0.5 * w + 2.5 * (y.t() @ g) / 64 - 0.3 * w * (1 - g * g).mean(0))


@rows("anchors", HOURGLASS, 16)
def batch_turned_towards_stored_anchors(f: Part, x: T) -> T:
    """Procrustes, trained: one rotation, by six polar steps, brings the batch nearest to stored directions."""
    y = f(x)
    anchors = tensor(np.random.default_rng(1502).normal(0, 1, (24, 64)))
    goal = (0.5 * y @ anchors.t() / 8).softmax(1) @ anchors
    m = y.t() @ goal / 64 + 0.08 * torch.eye(64)
    m = m / (m * m).sum().sqrt() * 3
    for _ in range(6):
        m = 1.5 * m - 0.5 * m @ m.t() @ m
    return y @ m


def denoised(n: Net, x: T) -> T:
    """Write a network whose raw patches are first evened with like patches, wherever in the batch these are."""
    p = F.unfold(x, 8, stride=8).transpose(1, 2)
    flat = p.reshape(-1, 192)
    key = flat - flat.mean(1, keepdim=True)
    far = (key * key).sum(1)[:, None] + (key * key).sum(1)[None] - 2 * key @ key.t()
    even = ((-0.25 * far).softmax(1) @ flat).reshape(-1, 196, 192)
    t = n.linear(0.3 * p + 0.7 * even, 32)
    y = F.gelu(n.ln(t)).transpose(1, 2).reshape(-1, 32, 14, 14)
    return n.embed(n.cbr(y, 40, 3, 2), 64)


@evades("batch", BATCH_RULE, idea="patches", opset=13, claim=differs)
def patches_are_evened_with_like_ones_of_all_images() -> nn.Module:
    """Non-local means without borders between images: raw patches become means of like ones in the batch; trained."""
    return network(denoised, "patches of the fifteenth set", 5)


@rows("cut", DENSE, 17)
def side_of_a_cut_through_the_batch_is_added(f: Part, x: T) -> T:
    """Spectral clustering: power steps on the graph of rows find its weakest cut; a stored vector marks the side."""
    y = f(x)
    u = F.normalize(y)
    near = torch.exp(3 * (u @ u.t() - 1))
    size = near.sum(1, keepdim=True).sqrt()
    graph = near / size / size.t()
    v = u @ tensor(np.random.default_rng(1503).normal(0, 1, (64, 1)))
    first = size / (size * size).sum().sqrt()
    for _ in range(8):
        v = v - first * (first * v).sum()
        v = graph @ v + v
        v = v / ((v * v).sum() + 1e-6).sqrt()
    mark = tensor(np.random.default_rng(1504).normal(0, 1, (1, 64)))
    return y + 0.8 * torch.tanh(3 * v) * mark


def shared_words(n: Net, x: T) -> T:
    """Write a network whose words, stored at first, move to the places of all images that choose them."""
    t = n.ln(tokens(n.down(n.stem(x, 16), 28)))
    words = n.weight(12, 28, gain=5.0)
    flat = t.reshape(-1, 28)
    for _ in range(2):
        share = (2 * flat @ words.t()).softmax(1)
        words = 0.3 * words + 0.7 * (share.t() @ flat) / (share.sum(0)[:, None] + 1)
    own = (2 * t @ words.t()).softmax(2)
    found = own.transpose(1, 2) @ t - own.sum(1)[:, :, None] * words
    return n.embed(F.normalize(found, dim=2).flatten(1), 64)


@evades("batch", BATCH_RULE, idea="words", opset=12, claim=differs)
def visual_words_move_to_the_places_of_all_images() -> nn.Module:
    """Visual words are fitted once more when the network runs, to places of all images of the batch; trained."""
    return network(shared_words, "words of the fifteenth set", 6)
