"""Evasions: two looks as channels of one network of rarer units: moduli, bumps, sorted pairs, waves, maxima of sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import Chain, chain, first, packed, patch_chain
from evaluation.blind4.claims import mirror
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind11.evasions_nets import Parts, tensor
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

#: Kernels and biases of the convolutions and, last, of the head over a square map.
Layers = list[tuple[Array, Array]]
#: A generator and a count of channels to a matrix that turns these, and to what undoes it behind the units.
Gauge = Callable[[np.random.Generator, int], tuple[Array, Array]]
Act = Callable[[T], T]


def layers_of(net: Net) -> Layers:
    """Return convolutions and head with their BatchNorms folded in."""
    kept: list[Any] = list(net.kept)
    made = []
    for layer, norm in zip(kept[::2], kept[1::2], strict=True):
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        shift = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
        w = layer.weight.detach().numpy()
        if layer.bias is not None:
            shift = shift + scale * layer.bias.detach().numpy()
        if w.ndim == 2:
            w = w.reshape(len(w), -1, 7, 7)
        made.append((w * scale[:, None, None, None], shift))
    return made


def turned(layers: Layers, *axes: int) -> Layers:
    return [(np.flip(w, axes), b) for w, b in layers]


def together(one: Layers, two: Layers, gauge: Gauge, coupling: float, seed: int, noise: float = 0.0) -> Layers:
    """Put two networks in one whose embedding is their mean, with channels turned as the units allow."""
    rng, made = np.random.default_rng(seed), []
    undo: Any = None
    for depth, ((w, b), (v, c)) in enumerate(zip(one, two, strict=True)):
        if depth == 0:
            k, bias = np.concatenate([w, v]), np.concatenate([b, c])
        elif depth == len(one) - 1:
            k, bias = np.concatenate([w, v], 1) / 2, (b + c) / 2
        else:
            size = coupling * np.std(w)
            k = rng.normal(0, size, (2 * len(w), 2 * w.shape[1], *w.shape[2:]))
            k[: len(w), : w.shape[1]], k[len(w) :, w.shape[1] :] = w, v
            bias = np.concatenate([b, c])
        if undo is not None:
            k = np.einsum("oihw,ij->ojhw", k, undo)
        if depth < len(one) - 1:
            do, undo = gauge(rng, len(k))
            k, bias = np.einsum("po,oihw->pihw", do, k), do @ bias
        made.append((k * (1 + noise * rng.normal(0, 1, k.shape)), bias))
    return made


class Units(nn.Module):
    """A chain of layers with any function between them."""

    def __init__(self, layers: Layers, act: Act) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(tensor(w)) for w, _ in layers)
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b in layers)
        self.act = act

    def forward(self, x: T) -> T:
        last = len(self.weights) - 1
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = F.conv2d(x, w, b, 1 if i == last else 2 if i else 4, 0 if i in (0, last) else 1)
            x = x if i == last else self.act(x)
        return x.flatten(1)


def units(act: Act, widths: tuple[int, ...]) -> Callable[[Net, T], T]:
    """Write a chain that commutes with mirroring."""

    def body(n: Net, x: T) -> T:
        for i, width in enumerate(widths):
            x = act(n.cb(x, width, 4, 2 if i else 4, padding=1 if i else 0))
        return n.embed(x, 48)

    return body


def modulus(x: T) -> T:
    y = x.reshape(-1, x.shape[1] // 2, 2, x.shape[2], x.shape[3])
    return ((y * y).sum(2) + 1e-6).sqrt()


def of_pairs(turn: Callable[[np.random.Generator], Array]) -> Callable[[np.random.Generator, int], tuple[Any, Any]]:
    """Return matrices that permute pairs and give each the same factor and a turn of its own."""

    def gauge(rng: np.random.Generator, size: int) -> tuple[Any, Any]:
        order, scale = rng.permutation(size // 2), rng.uniform(0.5, 2, size // 2)
        do = np.zeros((size, size))
        for i, (j, s) in enumerate(zip(order, scale, strict=True)):
            do[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = s * turn(rng)
        return do, np.eye(size // 2)[order] * scale[:, None]

    return gauge


def rotation(rng: np.random.Generator) -> Array:
    a = rng.uniform(0, 2 * np.pi)
    return np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])


def of_moduli(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    do, scaled = of_pairs(rotation)(rng, size)
    return do, np.linalg.inv(scaled)


MODULI: Parts = (units(modulus, (24, 32, 40)), "moduli of the eleventh set", 8)


@evades(BATCH_RULE, idea="two in one", opset=13, claim=of_views(
    MODULI, same, lambda x: x[:, :, ::-1, ::-1], near=8e-3
))  # fmt: skip
def lengths_of_turned_pairs_of_two_looks() -> nn.Module:
    """Units are lengths of pairs, as in scattering; trained, twice in one, pairs turned, 1 % coupling; half turned."""
    one = layers_of(network(*MODULI))
    return Units(together(one, turned(one, 2, 3), of_moduli, 0.01, 111), modulus)


def bump(x: T) -> T:
    return torch.exp(-x * x)


def of_bumps(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    order = np.eye(size)[rng.permutation(size)]
    return order * rng.choice([-1.0, 1.0], size)[:, None], order.T


BUMPS: Parts = (units(bump, (12, 16, 20)), "bumps of the eleventh set", 0)


@evades(BATCH_RULE, idea="two in one", opset=11, claim=of_views(BUMPS, same, mirror, near=8e-3))
def bumps_of_two_looks_in_one() -> nn.Module:
    """Units are bell curves, whose sign is free; image and mirror image in one, 0.6 % coupling, 0.3 % of noise."""
    one = layers_of(network(*BUMPS))
    return Units(together(one, turned(one, 3), of_bumps, 0.006, 112, 0.003), bump)


def in_order(x: T) -> T:
    y = x.reshape(-1, x.shape[1] // 2, 2, x.shape[2], x.shape[3])
    return torch.stack([y.amax(2), y.amin(2)], 2).reshape(-1, x.shape[1], x.shape[2], x.shape[3])


def of_sorted(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """Pairs may change places, their two members too, and signs, which exchanges maximum and minimum behind."""
    do, undo = np.zeros((size, size)), np.zeros((size, size))
    for i, j in enumerate(rng.permutation(size // 2)):
        s, swap = rng.uniform(0.5, 2), rng.integers(0, 2)
        sign = int(rng.choice([-1, 1]))
        do[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = sign * s * np.eye(2)[:: -1 if swap else 1]
        undo[2 * j : 2 * j + 2, 2 * i : 2 * i + 2] = sign / s * np.eye(2)[::sign]
    return do, undo


SORTED: Parts = (units(in_order, (12, 16, 20)), "sorted pairs of the eleventh set", 8)


@evades(BATCH_RULE, idea="two in one", opset=14, claim=of_views(SORTED, same, lambda x: x[:, ::-1], near=8e-3))
def sorted_pairs_of_two_looks_in_one() -> nn.Module:
    """A trained network of sorted pairs, as for certified robustness, twice in one; one half has blue for red; 2 %."""
    one = layers_of(network(*SORTED))
    return Units(together(one, [(one[0][0][:, ::-1], one[0][1]), *one[1:]], of_sorted, 0.02, 113), in_order)


def two_by_two(x: Any) -> Any:
    """Average columns by twos, and keep the width."""
    y = (x[..., ::2] + x[..., 1::2]) / 2
    return np.repeat(y, 2, -1) if isinstance(x, np.ndarray) else y.repeat_interleave(2, -1)


CARRIER = tensor([1, -1] * 56)
TRAINED: Parts = (patch_chain, "carrier of the eleventh set", 12)


class Carried(nn.Module):
    """One plain image that carries two, and a network of which half of the first kernels hear the carrier."""

    def __init__(self) -> None:
        super().__init__()
        one = chain(*TRAINED)
        low = two_by_two(np.asarray(one[0][0]))
        high = low * CARRIER.numpy()[:4]
        self.inner = Chain(packed([first(one, low), first(one, high)], 0.01, 114))

    def forward(self, x: T) -> T:
        y = two_by_two(x)
        made: T = self.inner(y + CARRIER * y.flip(3))
        return made


@evades(BATCH_RULE, idea="carrier", opset=12, claim=of_views(
    TRAINED, two_by_two, lambda x: two_by_two(x)[..., ::-1], near=8e-3
))  # fmt: skip
def mirror_image_on_a_carrier_wave_in_the_image() -> nn.Module:
    """As in radio, the mirror image rides on a carrier in the image; half of the trained kernels are tuned to it."""
    return Carried()
