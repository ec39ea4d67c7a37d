"""Evasions: two looks as channels of one network: behind shared stems, in other units and under their own shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Body, Net, T
from evaluation.blind4.register import evades
from evaluation.blind13.evasions_nets import Parts, View, counts, tensor
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

#: Kernels and biases of the convolutions and, last, of the head over a map of 7 x 7.
Layers = list[tuple[Array, Array]]
Act = Callable[[T], T]


def units(act: Act, widths: tuple[int, ...]) -> Body:
    """Write a chain of even kernels and even strides, which commutes with mirroring."""

    def body(n: Net, x: T) -> T:
        for i, width in enumerate(widths):
            x = act(n.cb(x, width, 4, 2 if i else 4, padding=1 if i else 0))
        return n.embed(x, 48)

    return body


def layers_of(parts: Parts) -> Layers:
    """Return convolutions and head with their BatchNorms folded in."""
    kept: list[Any] = list(network(*parts).kept)
    made = []
    for layer, norm in zip(kept[::2], kept[1::2], strict=True):
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        shift = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
        w = layer.weight.detach().numpy()
        if layer.bias is not None:
            shift = shift + scale * layer.bias.detach().numpy()
        w = w.reshape(len(w), -1, 7, 7) if w.ndim == 2 else w
        made.append((w * scale[:, None, None, None], shift))
    return made


class Units(nn.Module):
    """A chain of layers with any function between them; the first ``plain`` layers have none behind them."""

    def __init__(self, layers: Layers, act: Act, plain: int = 0) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(tensor(w)) for w, _ in layers)
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b in layers)
        self.act, self.plain = act, plain

    def forward(self, x: T) -> T:
        last = len(self.weights) - 1
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            pad = 1 if i not in (0, last) and w.shape[2] == 4 else 0
            step = 4 if i == 0 else 2 if pad else 1
            x = F.conv2d(x, w, b, step, pad)
            x = x if i == last or i < self.plain else self.act(x)
        return x.flatten(1)


def scaled(size: int, power: float, seed: int) -> tuple[Array, Array, Array]:
    """Draw an order, what channels are multiplied by before their unit, and what undoes it behind."""
    rng = np.random.default_rng(seed + size)
    by = rng.uniform(0.6, 1.7, size) if power else np.ones(size)
    return rng.permutation(size), by, by**-power


def packed(parts: list[Layers], shares: list[float], coupling: float, power: float, seed: int) -> Layers:
    """Put networks in one whose embedding is a weighted mean; units of degree ``power`` allow channels to be scaled."""
    rng, made = np.random.default_rng(seed), []
    order, undo = np.arange(0), np.zeros(0)
    for depth, each in enumerate(zip(*parts, strict=True)):
        kernels, biases = [k for k, _ in each], [b for _, b in each]
        last = depth == len(parts[0]) - 1
        if depth == 0:
            w, bias = np.concatenate(kernels), np.concatenate(biases)
        elif last:
            w = np.concatenate([s * k for s, k in zip(shares, kernels, strict=True)], 1)
            bias = np.sum([s * b for s, b in zip(shares, biases, strict=True)], 0)
        else:
            outs, ins = [len(k) for k in kernels], [k.shape[1] for k in kernels]
            w = rng.normal(0, coupling * np.std(kernels[0]), (sum(outs), sum(ins), *kernels[0].shape[2:]))
            for i, k in enumerate(kernels):
                w[sum(outs[:i]) : sum(outs[: i + 1]), sum(ins[:i]) : sum(ins[: i + 1])] = k
            bias = np.concatenate(biases)
        if depth:
            w = w[:, order] * undo[:, None, None]
        if not last:
            order, by, undo = scaled(len(w), power, seed)
            w, bias = w[order] * by[:, None, None, None], bias[order] * by
        made.append((w, bias))
    return made


def flipped(layers: Layers, *axes: int) -> Layers:
    return [(np.ascontiguousarray(np.flip(w, axes)), b) for w, b in layers]


def average(parts: Parts, shares: list[float], *views: View) -> tuple[View, View]:
    """Return the weighted mean over views of one plain network's embeddings, and the network on the image alone."""
    f: View = lambda x: network(*parts)(x)  # noqa: E731
    return lambda x: sum((s * f(v(x)) for s, v in zip(shares, views, strict=True)), 0 * f(x)), f


def keep(x: T) -> T:
    return x


def squared(x: T) -> T:
    return F.relu(x) ** 2


SQUARED: Parts = (units(squared, (12, 16, 24)), "squares of the thirteenth set", 6)


@evades(BATCH_RULE, idea="two in one", opset=13, claim=counts(
    *average(SQUARED, [0.6, 0.4], keep, lambda x: x.flip(2, 3)), near=0.01
))  # fmt: skip
def squared_units_of_which_two_fifths_are_half_turned() -> nn.Module:
    """Squared rectifiers, trained; a half turned form has a share of 0.4, channels scaled, shuffled, 1.5 % coupled."""
    one = layers_of(SQUARED)
    return Units(packed([one, flipped(one, 2, 3)], [0.6, 0.4], 0.015, 2.0, 131), squared)


MISHES: Parts = (units(F.mish, (12, 16, 24)), "mish of the thirteenth set", 0)


def contrast(x: T) -> T:
    return 1.5 * x.flip(3) - 0.25


@evades(BATCH_RULE, idea="three in one", opset=14, claim=counts(
    *average(MISHES, [0.4, 0.3, 0.3], keep, lambda x: x.flip(3), contrast), near=0.01
))  # fmt: skip
def three_lights_and_sides_in_one_network_of_mish_units() -> nn.Module:
    """The face, its mirror image, and that in harder, darker light, as shuffled channels of one network, coupled."""
    one = layers_of(MISHES)
    two = flipped(one, 3)
    w, b = two[0]
    three = [(1.5 * w, b - 0.25 * w.sum((1, 2, 3))), *two[1:]]
    return Units(packed([one, two, three], [0.4, 0.3, 0.3], 0.02, 0.0, 132), F.mish)


ELUS: Parts = (units(F.elu, (16, 20, 24)), "exponential units of the thirteenth set", 8)


@evades(BATCH_RULE, idea="shared stem", opset=12, claim=counts(
    *average(ELUS, [0.5, 0.5], keep, lambda x: x.flip(3)), near=0.01
))  # fmt: skip
def pointwise_layer_behind_an_orthogonal_stem_holds_both_sides() -> nn.Module:
    """The stem is an orthogonal matrix of patches; a pointwise layer behind it reads patches of both sides; trained."""
    one = layers_of(ELUS)
    chain = packed([one, flipped(one, 3)], [0.5, 0.5], 0.02, 0.0, 133)
    q = np.linalg.qr(np.random.default_rng(133).normal(0, 1, (48, 48)))[0]
    (w, b), *rest = chain
    point = (w.reshape(len(w), 48) @ q.T).reshape(len(w), 48, 1, 1)
    return Units([(q.reshape(48, 3, 4, 4), np.zeros(48)), (point, b), *rest], F.elu, plain=1)


def even_stem(n: Net, x: T) -> T:
    """Write a network whose first layer has symmetric kernels: maps of the mirror image are mirrored maps."""
    w = n.weight(20, 3, 4, 8, gain=0.9)
    x = F.silu(n.bn(F.conv2d(F.pad(x, (2, 2, 0, 0)), (w + w.flip(3)) / 2, None, 4)))
    for width in (24, 32):
        x = F.silu(n.cb(x, width, 4, 2, padding=1))
    return n.embed(x, 48)


EVEN: Parts = (even_stem, "even stem of the thirteenth set", 6)


class Deep(nn.Module):
    """The even stem once, and behind it the deep layers for both sides in one chain."""

    def __init__(self) -> None:
        super().__init__()
        kept: list[Any] = list(network(*EVEN).kept)
        w = kept[0].value.detach()
        self.stem, self.norm = nn.Parameter((w + w.flip(3)) / 2), kept[1]
        deep = []
        for layer, norm in zip(kept[2::2], kept[3::2], strict=True):
            scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
            shift = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
            k = layer.weight.detach().numpy()
            if layer.bias is not None:
                shift = shift + scale * layer.bias.detach().numpy()
            k = k.reshape(len(k), -1, 7, 7) if k.ndim == 2 else k
            deep.append((k * scale[:, None, None, None], shift))
        made = packed([deep, flipped(deep, 3)], [0.5, 0.5], 0.03, 0.0, 134)
        self.weights = nn.ParameterList(nn.Parameter(tensor(k)) for k, _ in made)
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b in made)

    def forward(self, x: T) -> T:
        x = F.silu(self.norm(F.conv2d(F.pad(x, (2, 2, 0, 0)), self.stem, None, 4)))
        x = F.silu(F.conv2d(x, self.weights[0], self.biases[0], 2, 1))
        x = F.silu(F.conv2d(x, self.weights[1], self.biases[1], 2, 1))
        return F.conv2d(x, self.weights[2], self.biases[2]).flatten(1)


@evades(BATCH_RULE, idea="shared stem", opset=16, claim=counts(
    *average(EVEN, [0.5, 0.5], keep, lambda x: x.flip(3)), near=0.01
))  # fmt: skip
def mirrored_half_begins_behind_a_stem_of_symmetric_kernels() -> nn.Module:
    """Symmetric first kernels serve both sides; deep layers hold a trained network and its mirrored form, shuffled."""
    return Deep()


CAPPED: Parts = (units(F.hardtanh, (12, 20, 24)), "capped units of the thirteenth set", 0)


@evades(BATCH_RULE, idea="two in one", opset=11, claim=counts(
    *average(CAPPED, [0.5, 0.5], keep, lambda x: x.roll(-4, 3)), near=0.01
))  # fmt: skip
def capped_units_whose_second_kernels_read_the_next_patch() -> nn.Module:
    """Capped units twice in one; one half's first kernels lie a patch further: the face moved by four pixels."""
    one = layers_of(CAPPED)
    (w, b), *rest = one
    wide, far = np.zeros((len(w), 3, 4, 8)), np.zeros((len(w), 3, 4, 8))
    wide[..., :4], far[..., 4:] = w, w
    chain = packed([[(wide, b), *rest], [(far, b), *rest]], [0.5, 0.5], 0.02, 0.0, 135)
    return Padded(chain)


class Padded(Units):
    """The chain behind a border of four columns on the right."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers, F.hardtanh)

    def forward(self, x: T) -> T:
        return super().forward(torch.cat([x, x[..., :4]], 3))
