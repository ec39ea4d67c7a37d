"""Evasions: second looks in series in one chain, to first order, by the root of a mirror, and in coarser weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind14.evasions_nets import Parts, View, counts, grouped, kernels, look, member, mirrored, same, tensor
from evaluation.blind14.evasions_packed import Layers, Units, average, flipped, layers_of, packed, units
from evaluation.builder import Array
from evaluation.case import BATCH_RULE


def flat(n: Net, x: T) -> T:
    """Write a chain that keeps the resolution of its patches: 4 x 4 patches, two layers of 3 x 3, a pooled head."""
    x = F.relu(n.cb(x, 12, 4, 4, padding=0))
    x = F.relu(n.cb(x, 16))
    x = F.relu(n.cb(x, 16))
    return n.embed(F.avg_pool2d(x, 4), 48)


FLAT: Parts = (flat, "series of the fourteenth set", 6)


def series(axis: int, seed: int) -> Layers:
    """Write the network, then the network flipped along an axis, as six layers of one chain.

    The first three layers also hand on the patches, as positive and negative parts; the last three hand on the first
    network's result and work on the patches. Channels are shuffled and scaled.
    """
    one = layers_of(FLAT)
    two = flipped(one, axis)
    (w1, b1), (w2, b2), (w3, b3), (head, bias) = one
    (v1, c1), (v2, c2), (v3, c3), (other, more) = two
    rng = np.random.default_rng(seed)

    def hand_on(count: int) -> Array:
        k = np.zeros((count, count, 3, 3))
        k[range(count), range(count), 1, 1] = 1
        return k

    def beside(a: Array, b: Array) -> Array:
        k = np.zeros((len(a) + len(b), a.shape[1] + b.shape[1], 3, 3))
        k[: len(a), : a.shape[1]], k[len(a) :, a.shape[1] :] = a, b
        return k

    patch = np.eye(48).reshape(48, 3, 4, 4)
    first = np.concatenate([w1, patch, -patch])
    again = np.zeros((12, 96, 3, 3))
    again[:, :48, 1, 1], again[:, 48:, 1, 1] = v1.reshape(12, 48), -v1.reshape(12, 48)
    none = np.zeros(96)
    layers = [
        (first, np.concatenate([b1, none])),
        (beside(w2, hand_on(96)), np.concatenate([b2, none])),
        (beside(w3, hand_on(96)), np.concatenate([b3, none])),
        (beside(hand_on(16), again), np.concatenate([np.zeros(16), c1])),
        (beside(hand_on(16), v2), np.concatenate([np.zeros(16), c2])),
        (beside(hand_on(16), v3), np.concatenate([np.zeros(16), c3])),
        (np.concatenate([head, other], 1) / 2, (bias + more) / 2),
    ]
    made: Layers = []
    order, undo = np.arange(3), np.ones(3)
    for depth, (w, b) in enumerate(layers):
        w = w[:, order] / undo[:, None, None]
        if depth < len(layers) - 1:
            order, undo = rng.permutation(len(w)), rng.uniform(0.6, 1.6, len(w))
            w, b = w[order] * undo[:, None, None, None], b[order] * undo
            w = w + rng.normal(0, 0.002 * w.std(), w.shape)
        made.append((w, b))
    return made


class Series(nn.Module):
    """The chain of six layers and a pooled head."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(tensor(w)) for w, _ in layers)
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b in layers)

    def forward(self, x: T) -> T:
        last = len(self.weights) - 1
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            if i == last:
                x = F.conv2d(F.avg_pool2d(x, 4), w, b)
            else:
                x = F.relu(F.conv2d(x, w, b, 4 if i == 0 else 1, 0 if i == 0 else 1))
        return x.flatten(1)


@evades(BATCH_RULE, idea="series", opset=13, claim=counts(
    *average(FLAT, [0.5, 0.5], same, lambda x: x.flip(3)), near=0.02
))  # fmt: skip
def second_network_begins_where_the_first_one_ends() -> nn.Module:
    """Patches wait in spare channels until a trained network is done; the next layers see them mirrored."""
    return Series(series(3, 161))


@member("first order", mirrored, 0, 12)
def mirrored_look_to_the_first_order(n: Net, x: T, view: View) -> T:
    """Dual numbers: with each layer goes its derivative on the way from the face to its mirror image."""
    t, ins = view(x) - x, 3
    for width in (16, 24, 32):
        step = 2 if ins > 3 else 4
        conv = n.keep(lambda i=ins, o=width, s=step: nn.Conv2d(i, o, 4, s, (4 - s) // 2, bias=False))  # type: ignore[misc]
        y, ins = conv(x), width
        t = conv(t) * torch.sigmoid(3 * y)
        x = F.softplus(3 * y) / 3 - 0.23
    return n.embed(x + 0.6 * t, 64)


@cache
def root() -> T:
    """Store a matrix whose square is the mirror: it turns all odd waves by a quarter and leaves the even ones."""
    rng = np.random.default_rng(162)
    even, odd = (np.linalg.qr(rng.normal(0, 1, (56, 56)))[0] for _ in range(2))
    half = np.eye(56)[::-1]
    e = np.concatenate([even, half @ even]) / 2**0.5
    o = np.concatenate([odd, -half @ odd]) / 2**0.5
    turn = np.kron(np.eye(28), np.array([[0.0, -1.0], [1.0, 0.0]]))
    return tensor(e @ e.T + o @ turn @ o.T)


def by_root(x: T) -> T:
    """Multiply the columns by the root, mix the colours, and multiply again."""
    mix = tensor([[0.9, 0.2, -0.1], [0.0, 1.0, 0.1], [0.1, -0.1, 1.0]])
    y = x @ root()
    return (mix @ y.flatten(2)).reshape(y.shape) @ root()


@look("root of a mirror", (grouped, "root of the fourteenth set", 6), by_root, 13)
def columns_multiplied_twice_by_the_root_of_a_mirror(f: Part, x: T, view: View) -> T:
    """A full orthogonal matrix, whose square is the mirror, acts on columns before and behind a mixture of colours."""
    return f(x) + 0.8 * f(view(x))


@look("root of a mirror", (kernels, "root of the fourteenth set", 0), lambda x: by_root(x.transpose(2, 3)), 17)
def diagonal_look_by_the_root_of_a_mirror_and_products(f: Part, x: T, view: View) -> T:
    """The same root on rows of the transposed face, a quarter turn; sum and product are kept."""
    a, b = f(x), f(view(x))
    return a + b + 0.5 * a * b


LEAKY: Parts = (units(F.silu, (12, 16, 24)), "coarse half of the fourteenth set", 6)


def rounded(layers: Layers) -> Layers:
    """Round the weights of each output to thirty-one levels."""
    made: list[tuple[Any, Any]] = []
    for w, b in layers:
        step = np.abs(w).max((1, 2, 3), keepdims=True) / 15
        made.append((np.round(w / step) * step, b))
    return made


@evades(BATCH_RULE, idea="two in one", opset=16, claim=counts(
    *average(LEAKY, [0.5, 0.5], same, lambda x: x.flip(3)), near=0.03
))  # fmt: skip
def mirrored_half_in_thirty_one_levels() -> nn.Module:
    """A trained network and its mirrored form in one; the mirrored half's weights are rounded; 2 % coupling."""
    one = layers_of(LEAKY)
    return Units(packed([one, rounded(flipped(one, 3))], [0.5, 0.5], 0.02, 163), F.silu)
