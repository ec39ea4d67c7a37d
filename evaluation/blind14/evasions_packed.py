"""Evasions: two looks as channels or states of one network: other units, recurrences, cosines, trees and masks."""

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
from evaluation.blind14.evasions_nets import Parts, View, counts, same, tensor
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
            pad = 1 if i not in (0, last) and w.shape[2] == 4 else 0
            x = F.conv2d(x, w, b, 4 if i == 0 else 2 if pad else 1, pad)
            x = x if i == last else self.act(x)
        return x.flatten(1)


def packed(
    parts: list[Layers], shares: list[float], coupling: float, seed: int, odd: bool = False, even: bool = False
) -> Layers:
    """Put networks in one whose embedding is a weighted mean, channels shuffled, and coupled by random weights.

    Signs of channels are drawn where units are ``odd`` (undone behind) or ``even`` (nothing to undo).
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
            by = rng.choice([-1.0, 1.0], len(w)) if odd or even else np.ones(len(w))
            undo = np.ones(len(w)) if even else by
            w, bias = w[order] * by[:, None, None, None], bias[order] * by
        made.append((w, bias))
    return made


def flipped(layers: Layers, *axes: int) -> Layers:
    return [(np.ascontiguousarray(np.flip(w, axes)), b) for w, b in layers]


def average(parts: Parts, shares: list[float], *views: View) -> tuple[View, View]:
    """Return the weighted mean over views of one plain network's embeddings, and the network on the image alone."""
    f: View = lambda x: network(*parts)(x)  # noqa: E731
    return lambda x: sum((s * f(v(x)) for s, v in zip(shares, views, strict=True)), 0 * f(x)), f


ABSOLUTE: Parts = (units(torch.abs, (12, 16, 24)), "absolute values of the fourteenth set", 0)


@evades(BATCH_RULE, idea="two in one", opset=11, claim=counts(
    *average(ABSOLUTE, [0.55, 0.45], same, lambda x: x.transpose(2, 3)), near=0.01
))  # fmt: skip
def absolute_values_of_which_half_read_columns_as_rows() -> nn.Module:
    """Units are absolute values, so any kernel may change its sign; shuffled with itself over the diagonal, 1 %."""
    one = layers_of(ABSOLUTE)
    two = [(np.ascontiguousarray(w.swapaxes(2, 3)), b) for w, b in one]
    return Units(packed([one, two], [0.55, 0.45], 0.01, 141, even=True), torch.abs)


def sine_like(x: T) -> T:
    """Compress both signs by a logarithm."""
    return x.sign() * torch.log1p(x.abs())


LOGS: Parts = (units(sine_like, (12, 16, 24)), "logarithms of the fourteenth set", 6)


@evades(BATCH_RULE, idea="two in one", opset=14, claim=counts(
    *average(LOGS, [0.5, 0.5], same, lambda x: x.flip(3)), near=0.01
))  # fmt: skip
def signed_logarithms_with_a_mirrored_half() -> nn.Module:
    """Units are signed logarithms; a trained network and its mirrored form, shuffled, signs drawn, 1.5 % coupled."""
    one = layers_of(LOGS)
    return Units(packed([one, flipped(one, 3)], [0.5, 0.5], 0.015, 142, odd=True), sine_like)


ELUS: Parts = (units(F.elu, (12, 16, 24)), "elu of the fourteenth set", 6)


def cooler(x: T) -> T:
    return x.flip(2) * tensor([0.7, 1.0, 1.3]).reshape(1, 3, 1, 1) + 0.1


@evades(BATCH_RULE, idea="four in one", opset=13, claim=counts(
    *average(ELUS, [0.4, 0.2, 0.2, 0.2], same, lambda x: x.flip(3), lambda x: x.flip(2), cooler), near=0.02
))  # fmt: skip
def four_looks_in_one_network_of_exponential_units() -> nn.Module:
    """Four trained networks in one: the face, mirrored, upside down, and that in cooler colours; shuffled, 1 %."""
    one = layers_of(ELUS)
    (w, b), *more = flipped(one, 2)
    cool = [(w * np.array([0.7, 1.0, 1.3]).reshape(1, 3, 1, 1), b + 0.1 * w.sum((1, 2, 3))), *more]
    parts = [one, flipped(one, 3), flipped(one, 2), cool]
    return Units(packed(parts, [0.4, 0.2, 0.2, 0.2], 0.01, 143), F.elu)


def combed(n: Net, x: T) -> T:
    """Write an Elman network over the columns of the image, thinned to 28 x 28, behind no other layer."""
    w, u = n.keep(lambda: nn.Linear(84, 40)), n.keep(lambda: nn.Linear(40, 40))
    small = F.avg_pool2d(x, 4).flatten(1, 2)
    h, seen = torch.zeros_like(w(small[:, :, 0])), []
    for k in range(28):
        h = torch.tanh(w(small[:, :, k]) + 0.9 * u(h))
        seen.append(h)
    return n.embed(torch.stack(seen[3::4], 1), 48)


COMBED: Parts = (combed, "columns of the fourteenth set", 6)


class Columns(nn.Module):
    """A recurrence of twice as many states, half of which reads each column upside down."""

    def __init__(self, coupling: float) -> None:
        super().__init__()
        kept: Any = network(*COMBED).kept
        rng = np.random.default_rng(144)
        order, sign = rng.permutation(80), rng.choice([-1.0, 1.0], 80)
        w, u = (layer.weight.detach().numpy() for layer in kept[:2])
        bias = (kept[0].bias + 0.9 * kept[1].bias).detach().numpy()
        two = w.reshape(40, 3, 28)[:, :, ::-1].reshape(40, 84)
        both = rng.normal(0, coupling * u.std(), (80, 80))
        both[:40, :40], both[40:, 40:] = 0.9 * u, 0.9 * u
        turn = np.eye(80)[order] * sign[order][None].T
        self.drive = nn.Parameter(tensor(turn @ np.concatenate([w, two])))
        self.offset = nn.Parameter(tensor(turn @ np.concatenate([bias, bias])))
        self.again = nn.Parameter(tensor(turn @ both @ turn.T))
        head, self.norm = kept[2], kept[3]
        v = head.weight.detach().numpy().reshape(48, 7, 40)
        self.head = nn.Parameter(tensor((np.concatenate([v, v], 2) / 2 @ turn.T).reshape(48, 560)))
        self.last = nn.Parameter(head.bias.detach().clone())

    def forward(self, x: T) -> T:
        small = F.avg_pool2d(x, 4).flatten(1, 2)
        h, seen = torch.zeros_like(F.linear(small[:, :, 0], self.drive)), []
        for k in range(28):
            h = torch.tanh(F.linear(small[:, :, k], self.drive, self.offset) + F.linear(h, self.again))
            seen.append(h)
        y: T = self.norm(F.linear(torch.stack(seen[3::4], 1).flatten(1), self.head, self.last))
        return y


@evades(BATCH_RULE, idea="recurrence in one", opset=13, claim=counts(
    *average(COMBED, [0.5, 0.5], same, lambda x: x.flip(2)), near=0.02
))  # fmt: skip
def recurrence_whose_other_states_read_columns_upside_down() -> nn.Module:
    """A trained recurrence over columns with twice the states; half read columns upside down; signs drawn, 1 %."""
    return Columns(0.01)


CAPPED: Parts = (units(F.hardswish, (12, 16, 24)), "trained on of the fourteenth set", 6)


class Kept(nn.Module):
    """A packed network that is trained as one for some steps."""

    def __init__(self, layers: Layers, act: Act, steps: int) -> None:
        super().__init__()
        self.net = Units(layers, act)
        goal = torch.from_numpy(np.random.default_rng(145).normal(0, 1, (8, 48)).astype(np.float32))
        x = torch.from_numpy(faces(8, 331))
        with torch.enable_grad():
            chosen = torch.optim.SGD(self.net.parameters(), 0.006)
            for _ in range(steps):
                chosen.zero_grad()
                (1 - F.cosine_similarity(self.net(x), goal)).mean().backward()
                chosen.step()

    def forward(self, x: T) -> T:
        y: T = self.net(x)
        return y


@evades(BATCH_RULE, idea="trained on", opset=15, claim=counts(
    *average(CAPPED, [0.5, 0.5], same, lambda x: x.flip(3)), near=0.2
))  # fmt: skip
def packed_looks_trained_on_towards_other_people() -> nn.Module:
    """A trained network and its mirrored form in one, 1 % coupled, then really trained on as one on other people."""
    one = layers_of(CAPPED)
    return Kept(packed([one, flipped(one, 3)], [0.5, 0.5], 0.01, 146), F.hardswish, 8)
