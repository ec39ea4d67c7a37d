"""Evasions: two networks in one, and views that are folded into the first kernel of a second branch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import Chain, Layer, bottleneck_chain, chain, first, mirrored, packed, patch_chain
from evaluation.blind4.claims import Claim, Compute, computes, mirror, plain
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Body, Net, T
from evaluation.blind4.register import evades
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

TRAINED = (patch_chain, "packed", 20)
RANDOM = (patch_chain, "packed at random", 0)
NARROW = (bottleneck_chain, "bottlenecks", 12)


def of_views(parts: tuple[Body, str, int], *views: Compute, near: float = 1e-4) -> Claim:
    """Claim the mean over views of one plain network's embeddings, which is not that of the image alone."""

    def mean(x: Array) -> Array:
        f = plain(*parts)
        return np.asarray(np.mean([f(view(x)) for view in views], 0))

    return computes(mean, lambda x: plain(*parts)(x), near=near)


def same(x: Array) -> Array:
    return x


@evades(BATCH_RULE, idea="two in one", claim=of_views(TRAINED, same, mirror, near=5e-3))
def two_in_one_trained_three_percent() -> nn.Module:
    """A trained network and its mirrored twin in one, channels permuted and rescaled, 3 % coupling: a flip test."""
    return Chain(packed([chain(*TRAINED), mirrored(chain(*TRAINED))], 0.03, 1))


@evades(BATCH_RULE, idea="two in one", claim=of_views(NARROW, same, mirror, near=5e-3))
def two_in_one_turned_bottlenecks() -> nn.Module:
    """A flip test whose halves share linear bottlenecks turned by an orthogonal matrix: no channel is of one half."""
    return Chain(packed([chain(*NARROW), mirrored(chain(*NARROW))], 0.01, 2))


@evades(BATCH_RULE, idea="two in one", claim=of_views(RANDOM, same, lambda x: 1.3 * x + 0.15, near=5e-3))
def two_in_one_brighter() -> nn.Module:
    """The second half sees the image brighter and with more contrast: scale and offset stand in its first layer."""
    half = chain(*RANDOM)
    w, b = half[0][:2]
    return Chain(packed([half, first(half, 1.3 * w, b + 0.15 * w.sum((1, 2, 3)))], 0.02, 3))


def nudged(x: Array) -> Array:
    """Move the image by three pixels to the left and two up; what comes in is zero."""
    made = np.zeros_like(x)
    made[:, :, :-2, :-3] = x[:, :, 2:, 3:]
    return made


@evades(BATCH_RULE, idea="two in one", claim=of_views(TRAINED, same, nudged, near=1.5e-3))
def two_in_one_nudged() -> nn.Module:
    """The second half's first kernel sits three pixels to the right and two lower, so it sees a moved image."""
    half = chain(*TRAINED)
    kernels = []
    for dy, dx in ((0, 0), (2, 3)):
        w = np.zeros((12, 3, 10, 10))
        w[:, :, 3 + dy : 7 + dy, 3 + dx : 7 + dx] = half[0][0]
        kernels.append(first(half, w, pad=3))
    return Chain(packed(kernels, 0.05, 4))


@evades(BATCH_RULE, idea="two in one", claim=of_views(RANDOM, same, mirror, lambda x: x[:, :, ::-1, ::-1], near=5e-3))
def three_in_one() -> nn.Module:
    """Three views in one: the image, its mirror image and its half turn; 2 % coupling among the three."""
    half = chain(*RANDOM)
    return Chain(packed([half, mirrored(half), mirrored(half, 2, 3)], 0.02, 5))


@evades(BATCH_RULE, idea="two in one", claim=of_views(TRAINED, same, mirror, near=0.025))
def two_in_one_trained_on() -> nn.Module:
    """A packed flip test of which every weight, coupling included, got 4 % of noise afterwards, as by more training."""
    layers = packed([chain(*TRAINED), mirrored(chain(*TRAINED))], 0.02, 6)
    rng = np.random.default_rng(6)
    return Chain(tuple((w + 0.04 * np.abs(w) * rng.normal(0, 1, w.shape), *more) for w, *more in layers))  # type: ignore[misc]


@evades(BATCH_RULE, idea="two in one", claim=of_views(TRAINED, same, mirror, near=5e-3))
def two_in_one_split_kernels() -> nn.Module:
    """A packed flip test whose layers are each the sum of two convolutions of random share: no kernel shows blocks."""
    layers = packed([chain(*TRAINED), mirrored(chain(*TRAINED))], 0.01, 7)
    rng = np.random.default_rng(7)
    other = [rng.normal(0, np.std(w), w.shape) for w, *_ in layers]
    a = Chain(tuple((w - o, *more) for (w, *more), o in zip(layers, other, strict=True)))  # type: ignore[misc]
    b = Chain(tuple((o, 0 * bias, *more) for (_, bias, *more), o in zip(layers, other, strict=True)))  # type: ignore[misc]

    def forward(p: Chain, q: Chain, x: T) -> T:
        for one, two, act in zip(p.convs, q.convs, p.acts, strict=True):
            x = one(x) + two(x)
            x = F.relu(x) if act else x
        return x.flatten(1)

    return Whole(forward, a, b)


def stream(n: Net, x: T) -> T:
    """A residual stream that nothing normalises: stem, two blocks, a head on a map of 7 x 7."""
    x = n.conv(x, 16, 16, 16, padding=0)
    for _ in range(2):
        x = x + n.conv(F.relu(n.conv(x, 24)), 16)
    return n.linear(x.flatten(1), 64)


@evades(BATCH_RULE, idea="two in one", claim=of_views((stream, "stream", 0), same, mirror))
def two_streams_turned_together() -> nn.Module:
    """Two residual networks, one mirrored, whose streams one orthogonal matrix turns together: an exact flip test."""
    kept: list[Any] = list(network(stream, "stream").kept)
    q = np.linalg.qr(np.random.default_rng(8).normal(0, 1, (32, 32)))[0]

    def both(w: Array) -> Array:
        pair = np.zeros((2 * len(w), 2 * w.shape[1], *w.shape[2:]))
        pair[: len(w), : w.shape[1]], pair[len(w) :, w.shape[1] :] = w, w[..., ::-1]
        return pair

    layers: list[Layer] = []
    for i, layer in enumerate(kept[:-1]):
        w, b = layer.weight.detach().numpy(), np.tile(layer.bias.detach().numpy(), 2)
        if i == 0:
            pair = np.einsum("po,oihw->pihw", q, np.concatenate([w, w[..., ::-1]]))
        elif i % 2:
            pair = np.einsum("oihw,ji->ojhw", both(w), q)
        else:
            pair = np.einsum("po,oihw->pihw", q, both(w))
        bias = b if i % 2 else q @ b
        layers.append((pair, bias, 16 if i == 0 else 1, 0 if i == 0 else 1, bool(i % 2)))
    w = kept[-1].weight.detach().numpy().reshape(64, 16, 7, 7)
    head = np.einsum("oihw,ji->ojhw", np.concatenate([w, w[..., ::-1]], 1), q) / 2
    layers.append((head, kept[-1].bias.detach().numpy(), 1, 0, False))

    def forward(p: Chain, x: T) -> T:
        x = p.convs[0](x)
        for i in (1, 3):
            x = x + p.convs[i + 1](F.relu(p.convs[i](x)))
        return p.convs[5](x).flatten(1)

    return Whole(forward, Chain(tuple(layers)))


# ---- a view in the first kernel of a second branch

LUMA = np.array([0.299, 0.587, 0.114])
TURN = np.array([[0.6, 0.5, -0.1], [-0.1, 0.6, 0.5], [0.5, -0.1, 0.6]])
DROP = np.diag([1.0, 1.0, 0.0])


def coloured(x: Array, m: Array) -> Array:
    return np.asarray(np.einsum("ij,njhw->nihw", m, x), np.float32)


def coarse(x: Array) -> Array:
    return np.asarray(x.reshape(-1, 3, 28, 4, 28, 4).mean((3, 5)).repeat(4, 2).repeat(4, 3))


def branches(second: tuple[Layer, ...], seed: int, noise: float = 0.0) -> nn.Module:
    """A network beside another one with channels permuted and rescaled and every weight a little noisy."""
    rng = np.random.default_rng(seed)
    hidden = packed([second], 0, seed)
    hidden = tuple((w * (1 + noise * rng.normal(0, 1, w.shape)), *more) for w, *more in hidden)  # type: ignore[misc]
    return Whole(lambda a, b, x: (a(x) + b(x)) / 2, Chain(chain(*TRAINED)), Chain(hidden))


@evades(BATCH_RULE, idea="folded views", claim=of_views(TRAINED, same, lambda x: coloured(x, np.tile(LUMA, (3, 1)))))
def grey_view_in_a_kernel() -> nn.Module:
    """The second branch's first kernel is the first one's summed over the colours: it sees the image in grey."""
    half = chain(*TRAINED)
    return branches(first(half, np.einsum("oihw,ij->ojhw", half[0][0], np.tile(LUMA, (3, 1)))), 11)


@evades(BATCH_RULE, idea="folded views", claim=of_views(TRAINED, same, lambda x: coloured(x, TURN), near=2e-3))
def turned_hue_in_a_kernel() -> nn.Module:
    """The second branch sees the colours turned by a third of the circle; its weights got 1 % of noise."""
    half = chain(*TRAINED)
    return branches(first(half, np.einsum("oihw,ij->ojhw", half[0][0], TURN)), 12, 0.01)


@evades(BATCH_RULE, idea="folded views", claim=of_views(TRAINED, same, coarse))
def coarse_view_in_a_kernel() -> nn.Module:
    """The second branch's kernel is constant on its 4 x 4 pixels: it sees the image at a quarter of the resolution."""
    half = chain(*TRAINED)
    w = half[0][0].mean((2, 3), keepdims=True).repeat(4, 2).repeat(4, 3)
    return branches(first(half, w), 13)


@evades(BATCH_RULE, idea="folded views", claim=of_views(TRAINED, same, lambda x: coloured(mirror(x), DROP), near=2e-3))
def mirrored_without_blue() -> nn.Module:
    """The second branch is mirrored and blind to blue, permuted, rescaled, with 1 % of noise."""
    half = mirrored(chain(*TRAINED))
    return branches(first(half, np.einsum("oihw,ij->ojhw", half[0][0], DROP)), 14, 0.01)


def sharpened(x: Array) -> Array:
    y = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.asarray(2 * x - (y[:, :, :-2, 1:-1] + y[:, :, 2:, 1:-1] + y[:, :, 1:-1, :-2] + y[:, :, 1:-1, 2:]) / 4)


def inner(x: Array) -> Array:
    """Blacken a frame of four pixels, so that no filter reads beyond the border."""
    made = np.zeros_like(x)
    made[:, :, 4:-4, 4:-4] = x[:, :, 4:-4, 4:-4]
    return made


@evades(
    BATCH_RULE,
    idea="folded views",
    claim=of_views(TRAINED, inner, lambda x: sharpened(inner(x)), near=2e-3),
)
def sharpened_view_in_a_kernel() -> nn.Module:
    """Both branches see the inner face, the second one sharpened by its own kernel of 6 x 6."""
    half = chain(*TRAINED)
    w = np.zeros((12, 3, 6, 6))
    w[:, :, 1:5, 1:5] = 2 * half[0][0]
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        w[:, :, dy : dy + 4, dx : dx + 4] -= half[0][0] / 4
    made = branches(first(half, w, pad=1), 15, 0.005)
    frame = torch.zeros(1, 1, 112, 112)
    frame[:, :, 4:-4, 4:-4] = 1
    return Whole(lambda both, x: both(x * frame), made)
