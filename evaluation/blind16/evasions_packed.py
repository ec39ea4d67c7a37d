"""Evasions: two looks as units of one network: both signs kept, norms and waves when it runs, graphs, shifts, sums."""

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
from evaluation.blind16.evasions_nets import Parts, View, counts, mirrored, same, tensor
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces

#: Kernels and biases of the convolutions and, last, of the head over a map of 7 x 7.
Layers = list[tuple[Array, Array]]
Act = Callable[[T], T]
#: What is stored for a kernel.
Store = Callable[[Array], list[Array]]


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
    """A chain of layers with any function between them; ``kernel`` makes each kernel of what is stored."""

    def __init__(self, layers: Layers, act: Act, store: Store, kernel: Callable[..., T]) -> None:
        super().__init__()
        self.weights = nn.ModuleList(
            nn.ParameterList(nn.Parameter(tensor(item)) for item in store(w)) for w, _ in layers
        )
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b in layers)
        self.act, self.kernel = act, kernel

    def forward(self, x: T) -> T:
        last = len(self.biases) - 1
        for i, (stored, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            pad = 1 if i not in (0, last) else 0
            x = F.conv2d(x, self.kernel(*stored), b, 4 if i == 0 else 2 if pad else 1, pad)
            x = x if i == last else self.act(x)
        return x.flatten(1)


def packed(parts: list[Layers], shares: list[float], coupling: float, seed: int) -> Layers:
    """Put networks in one whose embedding is a weighted mean; channels are shuffled and weakly coupled."""
    rng, made, order = np.random.default_rng(seed), [], np.arange(0)
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
        w = w[:, order] if depth else w
        if not last:
            order = rng.permutation(len(w))
            w, bias = w[order], bias[order]
        made.append((w, bias))
    return made


def flipped(layers: Layers, *axes: int) -> Layers:
    return [(np.ascontiguousarray(np.flip(w, axes)), b) for w, b in layers]


def average(parts: Parts, shares: list[float], *views: View) -> tuple[View, View]:
    """Return the weighted mean over views of one plain network's embeddings, and the network on the image alone."""
    f: View = lambda x: network(*parts)(x)  # noqa: E731
    return lambda x: sum((s * f(v(x)) for s, v in zip(shares, views, strict=True)), 0 * f(x)), f


CELU: Parts = (units(F.celu, (12, 16, 24)), "norms of the sixteenth set", 6)


def direction(w: Array) -> list[Array]:
    """Store a length for each channel, and a kernel of any length."""
    size = np.sqrt((w**2).sum((1, 2, 3), keepdims=True))
    return [w / size * np.random.default_rng(len(w)).uniform(0.5, 3, size.shape), size]


def kernel_of(v: T, size: T) -> T:
    """Give each channel's kernel its length."""
    y: T = size * v / (v * v).sum((1, 2, 3), keepdim=True).sqrt()
    return y


@evades(BATCH_RULE, idea="norms when it runs", opset=13, fold=False, claim=counts(
    *average(CELU, [0.5, 0.5], same, mirrored), near=0.02))  # fmt: skip
def normalised_kernels_of_which_half_are_mirrored() -> nn.Module:
    """Weight normalisation was kept: kernels are directions times lengths; half of them are mirrored; trained; 1 %."""
    one = layers_of(CELU)
    made = packed([one, flipped(one, 3)], [0.5, 0.5], 0.01, 161)
    return Units(made, F.celu, direction, kernel_of)


HARD: Parts = (units(F.hardswish, (12, 16, 24)), "waves of the sixteenth set", 0)


def cosine(size: int) -> Array:
    k = np.arange(size)
    made = np.cos(np.pi * (k[None] + 0.5) * k[:, None] / size) * np.sqrt(2 / size)
    made[0] /= np.sqrt(2)
    return np.asarray(made)


def in_waves(w: Array) -> list[Array]:
    """Store a kernel's cosine transform."""
    c = cosine(w.shape[3])
    return [np.einsum("uy,oiyx,vx->oiuv", c, w, c)]


def from_waves(q: T) -> T:
    c = tensor(cosine(int(q.shape[3])))
    return c.t() @ q @ c


def both_ways(x: T) -> T:
    return 0.8 * x.flip(2, 3)


@evades(BATCH_RULE, idea="waves when it runs", opset=14, fold=False, claim=counts(
    *average(HARD, [0.6, 0.4], same, both_ways), near=0.02))  # fmt: skip
def kernels_in_waves_of_which_half_are_turned_and_pale() -> nn.Module:
    """Kernels are stored as cosine waves, and made when it runs; half of the units see a pale half turn; 1 %."""
    one = layers_of(HARD)
    two = flipped(one, 2, 3)
    two[0] = (0.8 * two[0][0], two[0][1])
    return Units(packed([one, two], [0.6, 0.4], 0.01, 162), F.hardswish, in_waves, from_waves)


def both_signs(x: T) -> T:
    return torch.cat([F.relu(x), F.relu(-x)], 1)


SIGNS: Parts = (units(both_signs, (10, 12, 16)), "signs of the sixteenth set", 6)


def signed_pack(one: Layers, two: Layers, coupling: float, seed: int) -> Layers:
    """Pack two chains whose units keep both signs; channels are shuffled, and some change their sign."""
    rng, made = np.random.default_rng(seed), []
    order, sign = np.arange(0), np.zeros(0)
    for depth, ((v, b), (w, c)) in enumerate(zip(one, two, strict=True)):
        last = depth == len(one) - 1
        if not depth:
            both, bias = np.concatenate([v, w]), np.concatenate([b, c])
        else:
            half = v.shape[1] // 2
            gap = [np.zeros((len(v), half, *v.shape[2:])) for _ in range(2)]
            if last:
                plus, minus = (np.concatenate([v[:, s], w[:, s]], 1) / 2 for s in (slice(half), slice(half, None)))
                bias = (b + c) / 2
            else:
                plus, minus = (np.concatenate([np.concatenate([v[:, s], gap[0]], 1),
                                               np.concatenate([gap[1], w[:, s]], 1)])
                               for s in (slice(half), slice(half, None)))  # fmt: skip
                plus = plus + rng.normal(0, coupling * v.std(), plus.shape)
                bias = np.concatenate([b, c])
            plus, minus = plus[:, order], minus[:, order]
            turned = (sign < 0)[None, :, None, None]
            both = np.concatenate([np.where(turned, minus, plus), np.where(turned, plus, minus)], 1)
        if not last:
            order, sign = rng.permutation(len(both)), rng.choice([-1.0, 1.0], len(both))
            both, bias = both[order] * sign[:, None, None, None], bias[order] * sign
        made.append((both, bias))
    return made


@evades(BATCH_RULE, idea="both signs", opset=12, claim=counts(*average(SIGNS, [0.5, 0.5], same, mirrored), near=0.02))
def concatenated_units_of_both_signs_for_both_sides() -> nn.Module:
    """CReLU keeps both signs of each map; a trained network and its mirrored form, signs changed, shuffled; 1 %."""
    one = layers_of(SIGNS)
    return Units(signed_pack(one, flipped(one, 3), 0.01, 163), both_signs, lambda w: [w], lambda w: w)


def centre(net: nn.Module) -> nn.Module:
    """Take the mean embedding of made-up images off, by the parameter ``mean``."""
    with torch.no_grad():
        mean: Any = net.mean
        mean.copy_(net(torch.from_numpy(faces(24, 999))).mean(0))
    return net


class Stream(nn.Module):
    """Layers that are one of: sums over neighbours in a grid, shifts of channels, residual kernels."""

    def __init__(self, kind: str, both: bool, coupling: float = 0.01) -> None:
        super().__init__()
        rng, noise = np.random.default_rng(164 + len(kind)), np.random.default_rng(165)
        self.kind, self.width, self.lists = kind, 24, nn.ModuleList()
        first = rng.normal(0, 1, (24, 3, 8, 8)) / 9
        head = rng.normal(0, 1, (48, 24, 14, 14)) / 60
        order = noise.permutation(48) if both else np.arange(24)
        # In a network of shifts, each half of the channels goes one way, so that halves are shuffled by themselves.
        self.left = (order % 24 < 12) ^ (order >= 24)
        if kind == "shifts" and both:
            order = np.concatenate([order[self.left], order[~self.left]])
            self.left = np.arange(48) < 24
        self.first = nn.Parameter(tensor(np.concatenate([first, first[..., ::-1]])[order] if both else first))
        for _ in range(3):
            stored = []
            for ins, outs in self.shapes():
                w = rng.normal(0, 1.4, (outs, ins, *self.taps())) / np.sqrt(ins * np.prod(self.taps()))
                if both:
                    wide: Array = noise.normal(0, coupling * w.std(), (2 * outs, 2 * ins, *self.taps()))
                    wide[:outs, :ins], wide[outs:, ins:] = w, w[..., ::-1]
                    w = wide[order][:, order]
                stored.append(nn.Parameter(tensor(w)))
            self.lists.append(nn.ParameterList(stored))
        end = np.concatenate([head, head[..., ::-1]], 1)[:, order] / 2 if both else head
        self.head, self.mean = nn.Parameter(tensor(end)), nn.Parameter(torch.zeros(48))
        near = np.zeros((14, 14, 14, 14))
        at = np.indices((14, 14))
        for down, right in ((0, 1), (1, 0)):
            a = (slice(0, 14 - down), slice(0, 14 - right))
            p, q = (at[:, a[0], a[1]].reshape(2, -1), at[:, down:, right:].reshape(2, -1))
            near[p[0], p[1], q[0], q[1]] = near[q[0], q[1], p[0], p[1]] = 1
        graph = near.reshape(196, 196)
        self.graph = nn.Parameter(tensor(graph / np.sqrt(graph.sum(1)[:, None] * graph.sum(1))))

    def shapes(self) -> list[tuple[int, int]]:
        return [(24, 24)] * (3 if self.kind == "graph" else 2)

    def taps(self) -> tuple[int, int]:
        return (3, 3) if self.kind == "residual" else (1, 1)

    def layer(self, y: T, stored: Any) -> T:
        if self.kind == "residual":
            return y + F.conv2d(F.relu(F.conv2d(y, stored[0], None, 1, 1)), stored[1], None, 1, 1)
        if self.kind == "graph":
            one = (y.flatten(2) @ self.graph).reshape(y.shape)
            two = 2 * (one.flatten(2) @ self.graph).reshape(y.shape) - y
            made = sum(F.conv2d(z, w) for z, w in zip((y, one, two), stored, strict=True))
            return 0.5 * y + F.elu(torch.as_tensor(made))
        half = int(y.shape[1]) // 2
        moved = torch.cat([F.pad(y[:, :half, :, 1:], (0, 1)), F.pad(y[:, half:, :, :-1], (1, 0))], 1)
        return y + F.conv2d(F.silu(F.conv2d(moved, stored[0])), stored[1])

    def forward(self, x: T) -> T:
        y = F.conv2d(x, self.first, None, 8)
        for stored in self.lists:
            y = self.layer(y, stored)
        return F.conv2d(y, self.head).flatten(1) - self.mean


@cache
def single(kind: str) -> nn.Module:
    return Stream(kind, False)


def means(kind: str) -> tuple[View, View]:
    """Return the mean over both sides, and the network by itself, less their means over made-up images."""
    f, images = single(kind), torch.from_numpy(faces(24, 999))

    def sides(x: T) -> T:
        with torch.no_grad():
            y: T = (f(x) + f(x.flip(3))) / 2 - (f(images) + f(images.flip(3))).mean(0) / 2
        return y

    return sides, lambda x: f(x) - f(images).mean(0)


@evades(BATCH_RULE, idea="graph in one", opset=15, claim=counts(*means("graph"), near=0.03))
def graph_of_patches_whose_channels_serve_two_sides() -> nn.Module:
    """Chebyshev filters on the grid of patches: half of 48 shuffled channels begin and end mirrored; 1 % coupling."""
    return centre(Stream("graph", True))


@evades(BATCH_RULE, idea="shifts in one", opset=16, claim=counts(*means("shifts"), near=0.03))
def channels_shifted_to_either_side_for_two_looks() -> nn.Module:
    """A shift network: half of the channels step left, half right; a set with its ways exchanged is shuffled in."""
    return centre(Stream("shifts", True))


@evades(BATCH_RULE, idea="residual in one", opset=17, claim=counts(*means("residual"), near=0.03))
def residual_stream_of_kernels_for_two_sides() -> nn.Module:
    """A residual network of one order of channels throughout; half of them are mirrored, and 1 % of all is coupling."""
    return centre(Stream("residual", True))
