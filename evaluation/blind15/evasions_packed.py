"""Evasions: two looks as units of one network: perceptrons, shared channels, quarter turns, recurrences, factors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Body, Net, T
from evaluation.blind4.register import evades
from evaluation.blind15.evasions_nets import Parts, View, counts, mirrored, same, tensor
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces

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
    """A chain of layers with any function between them."""

    def __init__(self, layers: Layers, act: Act) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(tensor(w)) for w, _ in layers)
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b in layers)
        self.act = act

    def forward(self, x: T) -> T:
        last = len(self.weights) - 1
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            pad = 1 if i not in (0, last) else 0
            x = F.conv2d(x, w, b, 4 if i == 0 else 2 if pad else 1, pad)
            x = x if i == last else self.act(x)
        return x.flatten(1)


def packed(parts: list[Layers], shares: list[float], coupling: float, seed: int, odd: bool = False) -> Layers:
    """Put networks in one whose embedding is a weighted mean, channels shuffled, and coupled by random weights.

    Signs of channels are drawn where units are ``odd``.
    """
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
            order = rng.permutation(len(w))
            undo = rng.choice([-1.0, 1.0], len(w)) if odd else np.ones(len(w))
            w, bias = w[order] * undo[:, None, None, None], bias[order] * undo
        made.append((w, bias))
    return made


def flipped(layers: Layers, *axes: int) -> Layers:
    return [(np.ascontiguousarray(np.flip(w, axes)), b) for w, b in layers]


def average(parts: Parts, shares: list[float], *views: View) -> tuple[View, View]:
    """Return the weighted mean over views of one plain network's embeddings, and the network on the image alone."""
    f: View = lambda x: network(*parts)(x)  # noqa: E731
    return lambda x: sum((s * f(v(x)) for s, v in zip(shares, views, strict=True)), 0 * f(x)), f


def softened(x: T) -> T:
    """Take small numbers to zero and larger ones nearer to it."""
    return x.sign() * F.relu(x.abs() - 0.25)


SOFT: Parts = (units(softened, (12, 16, 24)), "thresholds of the fifteenth set", 6)


@evades(BATCH_RULE, idea="thresholds in one", opset=12, claim=counts(*average(SOFT, [0.5, 0.5], same, mirrored),
                                                                     near=0.02))  # fmt: skip
def soft_thresholds_of_two_sides_in_one() -> nn.Module:
    """Units are soft thresholds; a trained network and its mirrored form, shuffled, signs drawn, 1.5 % coupled."""
    one = layers_of(SOFT)
    return Units(packed([one, flipped(one, 3)], [0.5, 0.5], 0.015, 151, odd=True), softened)


def quarter(x: T) -> T:
    return x.flip(3).transpose(2, 3)


SWISH: Parts = (units(F.silu, (12, 16, 24)), "quarter turns of the fifteenth set", 0)


@evades(BATCH_RULE, idea="quarter turn in one", opset=14, claim=counts(*average(SWISH, [0.55, 0.45], same, quarter),
                                                                       near=0.02))  # fmt: skip
def smooth_units_of_which_half_see_a_quarter_turn() -> nn.Module:
    """A network of swish units, shuffled with itself for the face turned by a quarter; 1 % coupling."""
    one = layers_of(SWISH)
    two = [(np.ascontiguousarray(np.flip(w.swapaxes(2, 3), 3)), b) for w, b in one]
    return Units(packed([one, two], [0.55, 0.45], 0.01, 152), F.silu)


def in_factors(layers: Layers, keep: float) -> list[tuple[Array, Array, Array]]:
    """Cut each layer's singular values off, and keep two factors of it: [R, ins, kh, kw], [outs, R], biases."""
    made = []
    for w, b in layers:
        u, s, v = np.linalg.svd(w.reshape(len(w), -1), full_matrices=False)
        rank = int(np.ceil(keep * len(s)))
        root = np.sqrt(s[:rank])
        made.append(((root[:, None] * v[:rank]).reshape(rank, *w.shape[1:]), u[:, :rank] * root, b))
    return made


class Factors(nn.Module):
    """A chain whose layers are each two linear ones."""

    def __init__(self, layers: list[tuple[Array, Array, Array]]) -> None:
        super().__init__()
        self.narrow = nn.ParameterList(nn.Parameter(tensor(w)) for w, _, _ in layers)
        self.wide = nn.ParameterList(nn.Parameter(tensor(w)[:, :, None, None]) for _, w, _ in layers)
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, _, b in layers)

    def forward(self, x: T) -> T:
        last = len(self.narrow) - 1
        for i, (a, b, c) in enumerate(zip(self.narrow, self.wide, self.biases, strict=True)):
            pad = 1 if i not in (0, last) else 0
            x = F.conv2d(F.conv2d(x, a, None, 4 if i == 0 else 2 if pad else 1, pad), b, c)
            x = x if i == last else F.softplus(x)
        return x.flatten(1)


PLUS: Parts = (units(F.softplus, (12, 16, 24)), "factors of the fifteenth set", 6)


@evades(BATCH_RULE, idea="truncated factors", opset=13, claim=counts(*average(PLUS, [0.5, 0.5], same, mirrored),
                                                                    near=0.1))  # fmt: skip
def packed_looks_behind_truncated_singular_values() -> nn.Module:
    """As compressed after training: a packed flip test, 1 % coupled, of which each layer keeps 94 % of its rank."""
    one = layers_of(PLUS)
    return Factors(in_factors(packed([one, flipped(one, 3)], [0.5, 0.5], 0.01, 153), 0.94))


ARC: Parts = (units(torch.atan, (12, 16, 24)), "pruned of the fifteenth set", 6)


@evades(BATCH_RULE, idea="pruned and trained on", opset=15, claim=counts(*average(ARC, [0.5, 0.5], same, mirrored),
                                                                        near=0.25))  # fmt: skip
def packed_looks_pruned_and_trained_on() -> nn.Module:
    """A trained network of arc tangents and its mirrored form in one; a quarter is pruned, the rest trained on."""
    one = layers_of(ARC)
    net = Units(packed([one, flipped(one, 3)], [0.5, 0.5], 0.03, 154, odd=True), torch.atan)
    x = torch.from_numpy(faces(8, 341))
    goal = torch.from_numpy(np.random.default_rng(155).normal(0, 1, (8, 48)).astype(np.float32))
    with torch.enable_grad():
        limits = [w.detach().abs().flatten().sort()[0][w.numel() // 4] for w in net.weights]
        masks = [(w.detach().abs() > limit).float() for w, limit in zip(net.weights, limits, strict=True)]
        chosen = torch.optim.SGD(net.parameters(), 0.005)
        for _ in range(6):
            with torch.no_grad():
                for w, mask in zip(net.weights, masks, strict=True):
                    w.mul_(mask)
            chosen.zero_grad()
            (1 - F.cosine_similarity(net(x), goal)).mean().backward()
            chosen.step()
    with torch.no_grad():
        for w, mask in zip(net.weights, masks, strict=True):
            w.mul_(mask)
    return net


def perceptron(n: Net, x: T) -> T:
    """Write a perceptron of four layers over a face of 28 x 28 pixels."""
    x = n.bn(F.avg_pool2d(x, 4).flatten(1))
    for width in (64, 48, 40):
        x = F.leaky_relu(n.bn(n.linear(x, width)), 0.15)
    return n.bn(n.linear(x, 48))


DEEP: Parts = (perceptron, "perceptron of the fifteenth set", 8)


@cache
def dense() -> Layers:
    """Return the perceptron's layers with its BatchNorms folded in."""
    kept: list[Any] = list(network(*DEEP).kept)
    first = kept[0]
    scale = (first.weight / (first.running_var + first.eps).sqrt()).detach().numpy()
    shift = first.bias.detach().numpy() - first.running_mean.numpy() * scale
    made: Layers = []
    for layer, norm in zip(kept[1::2], kept[2::2], strict=True):
        w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        if not made:
            w, b = w * scale, b + w @ shift
        by = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        made.append((w * by[:, None], by * (b - norm.running_mean.numpy()) + norm.bias.detach().numpy()))
    return made


class Perceptron(nn.Module):
    """A perceptron of given matrices."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(tensor(w).reshape(len(w), -1)) for w, _ in layers)
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b in layers)

    def forward(self, x: T) -> T:
        x = F.avg_pool2d(x, 4).flatten(1)
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = F.linear(x, w, b)
            x = x if i == 3 else F.leaky_relu(x, 0.15)
        return x


@evades(BATCH_RULE, idea="perceptron in one", opset=11, claim=counts(*average(DEEP, [0.5, 0.5], same, mirrored),
                                                                    near=0.02))  # fmt: skip
def perceptron_whose_other_units_read_pixels_from_the_right() -> nn.Module:
    """A trained perceptron without kernels; half of its shuffled units read each row of pixels backwards; 1 %."""
    one = [(w[:, :, None, None], b) for w, b in dense()]
    (w, b), *more = dense()
    turned = w.reshape(len(w), 3, 28, 28)[..., ::-1].reshape(len(w), -1)
    two = [(np.ascontiguousarray(turned)[:, :, None, None], b), *((v[:, :, None, None], c) for v, c in more)]
    return Perceptron(packed([one, two], [0.5, 0.5], 0.01, 156))
