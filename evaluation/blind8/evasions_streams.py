"""Evasions: two looks in reversible streams, adapted passes, disagreements and beliefs."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import computes, mirror
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import column_flip, torch_of
from evaluation.blind7.evasions_nets import Parts, Rerun, by_hand, of
from evaluation.blind8.evasions_nets import fire, mixed, vit
from evaluation.blind8.evasions_packed import exchanged
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

FIRE: Parts = (fire, "streams of the eighth set", 6)
MIXED: Parts = (mixed, "streams of the eighth set", 0)
VIT: Parts = (vit, "streams of the eighth set", 0)


def reversible(n: Net, x: T, other: T) -> T:
    """A reversible network: one stem for both streams, each layer adds to one stream what it makes of the other."""
    start = n._at
    a = n.stem(x, 16)
    if n.made:
        n._at = start
    b = n.stem(other, 16) if n.made else a
    for _ in range(2):
        a = a + 0.4 * n.cbr(b, 16)
        b = b + 0.4 * n.cbr(a, 16)
    return n.gdc(F.relu(n.cb(torch.cat([a, b], 1), 24, 3, 2)))


def reversible_once(n: Net, x: T) -> T:
    return reversible(n, x, x)


REVERSIBLE: Parts = (reversible_once, "reversible", 5)


@evades(BATCH_RULE, idea="two streams", opset=13, claim=by_hand(
    REVERSIBLE, lambda n, x: reversible(n, x, x.flip(3))
))  # fmt: skip
def reversible_network_whose_streams_are_two_looks() -> nn.Module:
    """A trained RevNet needs two streams: one stem gives it the image as the first, the mirror image as the second."""
    return Rerun(REVERSIBLE, lambda n, x: reversible(n, x, x @ column_flip()))


class Thin(nn.Module):
    """A layer whose weights are those of another one plus a product of two thin matrices."""

    def __init__(self, layer: Any, rng: np.random.Generator) -> None:
        super().__init__()
        rows, columns = len(layer.weight), layer.weight[0].numel()
        self.layer = layer
        self.up = nn.Parameter(torch.from_numpy(rng.normal(0, 0.1, (rows, 1)).astype(np.float32)))
        self.down = nn.Parameter(torch.from_numpy(rng.normal(0, 0.2, (1, columns)).astype(np.float32)))

    def weight(self) -> T:
        made: T = self.layer.weight + (self.up @ self.down).reshape(self.layer.weight.shape)
        return made

    def forward(self, x: T) -> T:
        if isinstance(self.layer, nn.Linear):
            return F.linear(x, self.weight(), self.layer.bias)
        k = self.layer
        return F.conv2d(x, self.weight(), k.bias, k.stride, k.padding, k.dilation, k.groups)


def in_thin_layers() -> tuple[Net, list[Thin]]:
    """Return the network with adapted layers, which keep the stored ones, and these layers."""
    plain = network(*MIXED)
    net, rng = Net(mixed), np.random.default_rng(88)
    thin = [Thin(v, rng) if isinstance(v, nn.Conv2d | nn.Linear) else v for v in plain.kept]
    net.kept, net.made = nn.ModuleList(thin), True
    return net.eval(), [v for v in thin if isinstance(v, Thin)]


def adapted_twice() -> nn.Module:
    def forward(f: Part, g: Part, x: T) -> T:
        pairs = torch.stack([x[:, :, 1::2], x[:, :, ::2]], 3).reshape(-1, 3, 112, 112)
        return (f(x) + g(pairs)) / 2

    return Whole(forward, network(*MIXED), in_thin_layers()[0])


@cache
def merged() -> Net:
    """Return the network with its adaptations merged into its weights."""
    net = copy.deepcopy(network(*MIXED))
    kept: list[Any] = [layer for layer in net.kept if isinstance(layer, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for layer, thin in zip(kept, in_thin_layers()[1], strict=True):
            layer.weight.copy_(thin.weight())
    net.eval()
    return net


@evades(BATCH_RULE, idea="adapted pass", opset=12, fold=False, claim=computes(
    lambda x: (of(MIXED)(x) + torch_of(merged(), exchanged(x))) / 2, of(MIXED), lambda x: torch_of(merged(), x)
))  # fmt: skip
def low_rank_adapted_second_pass() -> nn.Module:
    """LoRA: a second pass adds a product of two thin matrices to every weight, and sees the rows exchanged in pairs."""
    return adapted_twice()


def agreed(a: Array, b: Array) -> Array:
    return np.asarray(a * np.exp(-0.5 * np.abs(a - b)))


@evades(BATCH_RULE, idea="disagreement", opset=14, claim=computes(
    lambda x: agreed(of(FIRE)(x), of(FIRE)(mirror(x))), of(FIRE), lambda x: of(FIRE)(mirror(x))
))  # fmt: skip
def numbers_on_which_two_looks_disagree_count_less() -> nn.Module:
    """The mirrored look adds nothing to the sum: it says which numbers of a trained network's first look to trust."""

    def forward(f: Part, x: T) -> T:
        a, b = f(torch.stack([x, x @ column_flip()], 1).flatten(0, 1)).reshape(-1, 2, 64).unbind(1)
        return a * torch.exp(-0.5 * (a - b).abs())

    return Whole(forward, network(*FIRE))


def faded(x: T) -> T:
    """Lay a light veil over the image, the stronger the lower."""
    veil = torch.linspace(0, 0.6, 112)[:, None]
    return x * (1 - veil) + 0.3 * veil


def filtered(a: T, b: T) -> T:
    """A Kalman filter's step: the gain of the second measurement follows from its distance to the first."""
    gain = 1 / (1 + 0.1 * (a - b) ** 2)
    return a + gain * (b - a)


@evades(BATCH_RULE, idea="filter", opset=17, claim=computes(
    lambda x: torch_of(lambda y: filtered(network(*VIT)(y), network(*VIT)(faded(y))), x), of(VIT),
    lambda x: torch_of(lambda y: network(*VIT)(faded(y)), x),
))  # fmt: skip
def kalman_filter_over_a_fogged_measurement() -> nn.Module:
    """A ViT measures twice, the second time through a stored veil of fog; a Kalman gain fuses the two measurements."""
    return Whole(lambda f, x: filtered(f(x), f(faded(x))), network(*VIT))
