"""Evasions: two looks in the channels, the digits or the members of one network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import Chain, Layer, chain, mirrored, patch_chain
from evaluation.blind4.claims import computes, mirror
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import folded, in_blocks, joined, shuffled, torch_of
from evaluation.blind7.evasions_nets import Parts, of, tensor
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

TRAINED: Parts = (patch_chain, "packed ninth", 14)


def coupled(layers: tuple[Layer, ...], how: Callable[[Array, int], Array]) -> tuple[Layer, ...]:
    """Add to each layer but the first and last what ``how`` makes of its kernel, and shuffle the channels."""
    rng = np.random.default_rng(92)
    made: list[Layer] = []
    undo: Array | None = None
    for depth, (w, b, step, pad, act) in enumerate(layers):
        k, last = np.array(w), depth == len(layers) - 1
        if depth > 0 and not last:
            k = k + how(k, depth)
        if undo is not None:
            k = np.einsum("oihw,ij->ojhw", k, undo)
        if not last:
            do = shuffled(rng, len(k))
            k, b, undo = np.einsum("po,oihw->pihw", do, k), do @ b, np.linalg.inv(do)
        made.append((k, b, step, pad, act))
    return tuple(made)


def side_by_side(one: tuple[Layer, ...], two: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Put two chains beside each other, whatever their widths, without coupling."""
    made: list[Layer] = []
    for depth, (a, b) in enumerate(zip(one, two, strict=True)):
        bias = np.concatenate([a[1], b[1]])
        if depth == 0:
            made.append((np.concatenate([a[0], b[0]]), bias, *a[2:]))
        elif depth == len(one) - 1:
            made.append((np.concatenate([a[0], b[0]], 1) / 2, (a[1] + b[1]) / 2, *a[2:]))
        else:
            made.append((in_blocks([a[0], b[0]], 0.0, np.random.default_rng(0)), bias, *a[2:]))
    return tuple(made)


def rank_one(kernel: Array, depth: int) -> Array:
    """A coupling of all channels with all by one product of two vectors, the same at every tap but for a factor."""
    rng = np.random.default_rng(depth)
    a, b, c = (rng.normal(0, 1, n) for n in (len(kernel), kernel.shape[1], kernel.shape[2] * kernel.shape[3]))
    made = np.einsum("o,i,k->oik", a, b, c).reshape(kernel.shape)
    return np.asarray(0.03 * np.std(kernel[kernel != 0]) * made)


@evades(BATCH_RULE, idea="two in one", opset=13, claim=of_views(TRAINED, same, mirror, near=8e-3))
def halves_coupled_by_a_product_of_rank_one() -> nn.Module:
    """A trained flip test in one network, shuffled; every channel meets every other by 3 %, of rank one."""
    half = chain(*TRAINED)
    return Chain(coupled(side_by_side(half, mirrored(half)), rank_one))


def narrowed(layers: tuple[Layer, ...], share: float) -> tuple[Layer, ...]:
    """Leave the channels out that the next layer weighs least."""
    made: list[Layer] = []
    kept: Array = np.arange(3)
    for depth, (w, b, step, pad, act) in enumerate(layers):
        w = np.asarray(w)[:, kept]
        if depth < len(layers) - 1:
            size = np.sqrt((layers[depth + 1][0] ** 2).sum((0, 2, 3))) * np.sqrt((w**2).sum((1, 2, 3)))
            kept = np.sort(np.argsort(-size)[: round(share * len(w))])
            w, b = w[kept], b[kept]
        made.append((w, b, step, pad, act))
    return tuple(made)


def with_narrow(x: Array) -> Array:
    half = chain(*TRAINED)
    small = Chain(narrowed(mirrored(half, 2, 3), 0.6)).eval()
    return np.asarray((of(TRAINED)(x) + torch_of(small, x)) / 2)


def at_random(kernel: Array, depth: int) -> Array:
    scale = 0.02 * np.std(kernel[kernel != 0])
    return np.where(kernel == 0, np.random.default_rng(depth).normal(0, scale, kernel.shape), 0)


@evades(BATCH_RULE, idea="two in one", opset=16, claim=computes(with_narrow, of(TRAINED), near=5e-3))
def second_half_is_narrower_and_half_turned() -> nn.Module:
    """Three fifths of a trained network's channels, half turned, stand among all of them, shuffled; 2 % coupling."""
    half = chain(*TRAINED)
    return Chain(coupled(side_by_side(half, narrowed(mirrored(half, 2, 3), 0.6)), at_random))


def gating(n: Net, x: T) -> T:
    """Write a chain of gated convolutions: one half of the maps times the sigmoid of the other."""
    for i, width in enumerate((12, 16, 20)):
        a, b = n.cb(x, 2 * width, 4, 2 if i else 4, padding=1 if i else 0).chunk(2, 1)
        x = a * torch.sigmoid(b)
    return n.embed(x, 48)


GATING: Parts = (gating, "packed ninth, gates", 8)


def plain_layers(parts: Parts) -> list[tuple[Array, Array]]:
    """Return the kernels and biases of convolutions, with their BatchNorms, and of the head over a map of 7 x 7."""
    kept: list[Any] = list(network(*parts).kept)
    made = []
    for layer, norm in zip(kept[::2], kept[1::2], strict=True):
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        w = layer.weight.detach().numpy()
        w = w if w.ndim == 4 else w.reshape(len(w), -1, 7, 7)
        bias = 0 if layer.bias is None else layer.bias.detach().numpy()
        made.append(
            (w * scale[:, None, None, None], norm.bias.detach().numpy() + (bias - norm.running_mean.numpy()) * scale)
        )
    return made


class Gates(nn.Module):
    """Two gated chains in one: values permuted and rescaled, gates permuted with them."""

    def __init__(self) -> None:
        super().__init__()
        rng, undo = np.random.default_rng(93), np.eye(3)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        layers = plain_layers(GATING)
        for depth, (w, b) in enumerate(layers):
            both = [w, w[:, :, ::-1]]
            if depth == len(layers) - 1:
                k, bias = np.concatenate(both, 1) / 2, b
            else:
                size = len(w)
                if depth == 0:
                    v, g = (np.concatenate([k[s] for k in both]) for s in (slice(size // 2), slice(size // 2, size)))
                else:
                    v, g = (
                        in_blocks([k[s] for k in both], 0.02, rng) for s in (slice(size // 2), slice(size // 2, size))
                    )
                do = shuffled(rng, size)
                order = (do > 0).astype(float)
                k = np.concatenate([np.einsum("po,oihw->pihw", m, u) for m, u in ((do, v), (order, g))])
                bias = np.concatenate([do @ np.tile(b[: size // 2], 2), order @ np.tile(b[size // 2 :], 2)])
            k = np.einsum("oihw,ij->ojhw", k, undo)
            undo = np.linalg.inv(do)
            self.weights.append(nn.Parameter(tensor(k)))
            self.biases.append(nn.Parameter(tensor(bias)))

    def forward(self, x: T) -> T:
        for i in range(3):
            a, b = F.conv2d(x, self.weights[i], self.biases[i], 2 if i else 4, 1 if i else 0).chunk(2, 1)
            x = a * torch.sigmoid(b)
        return F.conv2d(x, self.weights[3], self.biases[3]).flatten(1)


@evades(BATCH_RULE, idea="gates", opset=14, claim=of_views(GATING, same, lambda x: x[:, :, ::-1], near=6e-3))
def gated_channels_of_two_looks() -> nn.Module:
    """A trained network of gated convolutions twice in one, values rescaled, gates permuted; one is upside down."""
    return Gates()


def exciting(n: Net, x: T) -> T:
    """Write a chain of convolutions, each with squeeze and excitation."""
    for i, width in enumerate((12, 16, 20)):
        x = n.se(F.relu(n.cb(x, width, 4, 2 if i else 4, padding=1 if i else 0)))
    return n.embed(x, 48)


EXCITING: Parts = (exciting, "packed ninth, excited", 0)


class Excited(nn.Module):
    """Two such chains in one, which meet in the squeezes alone: there by 10 %."""

    def __init__(self) -> None:
        super().__init__()
        rng, undo = np.random.default_rng(94), np.eye(3)
        kept: list[Any] = list(network(*EXCITING).kept)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for depth in range(4):
            layer, norm = kept[4 * depth : 4 * depth + 2]
            scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
            w = layer.weight.detach().numpy()
            w = w.reshape(len(w), -1, 7, 7) if depth == 3 else w
            w = w * scale[:, None, None, None]
            b = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
            if depth == 3:
                b = b + layer.bias.detach().numpy() * scale
                w = np.concatenate([w, w[..., ::-1]], 1) / 2
            elif depth == 0:
                w = np.concatenate([w, w[..., ::-1]])
            else:
                w = in_blocks([w, w[..., ::-1]], 0.0, rng)
            w = np.einsum("oihw,ij->ojhw", w, undo)
            if depth < 3:
                do = shuffled(rng, len(w))
                w, b, undo = np.einsum("po,oihw->pihw", do, w), do @ np.tile(b, 2), np.linalg.inv(do)
            self.add(w, b)
            if depth < 3:
                down, up = (
                    (m.weight.detach().numpy(), m.bias.detach().numpy()) for m in kept[4 * depth + 2 : 4 * depth + 4]
                )
                order = (do > 0).astype(float)
                self.add(np.einsum("oihw,ij->ojhw", in_blocks([down[0]] * 2, 0.1, rng), undo), np.tile(down[1], 2))
                self.add(np.einsum("po,oihw->pihw", order, in_blocks([up[0]] * 2, 0.1, rng)), order @ np.tile(up[1], 2))

    def add(self, w: Array, b: Array) -> None:
        self.weights.append(nn.Parameter(tensor(w)))
        self.biases.append(nn.Parameter(tensor(b)))

    def forward(self, x: T) -> T:
        w, b = self.weights, self.biases
        for i in (0, 3, 6):
            x = F.relu(F.conv2d(x, w[i], b[i], 2 if i else 4, 1 if i else 0))
            y = F.relu(F.conv2d(x.mean((2, 3), keepdim=True), w[i + 1], b[i + 1]))
            x = x * torch.sigmoid(F.conv2d(y, w[i + 2], b[i + 2]))
        return F.conv2d(x, w[9], b[9]).flatten(1)


@evades(BATCH_RULE, idea="excitation", opset=11, claim=of_views(EXCITING, same, mirror, near=5e-3))
def two_looks_that_meet_in_the_squeezes() -> nn.Module:
    """A network of squeeze and excitation twice in one, shuffled, one mirrored; the squeezes couple them, by 10 %."""
    return Excited()


def pooled(n: Net, x: T) -> T:
    """Write a small VGG: 3 x 3 kernels at stride 1, maxima of 2 x 2."""
    for width in (8, 12, 16, 20):
        x = F.max_pool2d(n.cbr(x, width), 2)
    return n.embed(x, 48)


POOLED: Parts = (pooled, "packed ninth, pooled", 8)


class Pools(Chain):
    """A chain with a pooling behind each activation."""

    def forward(self, x: T) -> T:
        for conv, act in zip(self.convs, self.acts, strict=True):
            x = F.max_pool2d(F.relu(conv(x)), 2) if act else conv(x)
        return x.flatten(1)


@evades(BATCH_RULE, idea="two in one", opset=17, claim=of_views(
    POOLED, same, lambda x: 0.5 * x + 0.5 * x.mean(1, keepdims=True), near=2.5e-3
))  # fmt: skip
def vgg_of_which_half_sees_pale_colours() -> nn.Module:
    """A trained VGG with maximum pooling twice in one, shuffled; half of the first kernels mix in grey; 1 % coupled."""
    half = folded(network(*POOLED))
    pale = 0.5 * np.eye(3) + 0.5 / 3
    other = ((np.einsum("obhw,ba->oahw", half[0][0], pale), *half[0][1:]), *half[1:])
    return Pools(joined([half, other], 0.01, 96))
