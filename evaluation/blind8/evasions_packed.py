"""Evasions: two looks in the channels of one network, through shuffles, pairs, cheap kernels and repeated layers."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import Chain, Layer, chain, first, mirrored, packed, patch_chain
from evaluation.blind4.claims import mirror
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import in_blocks, nearer, shuffled, trained_on
from evaluation.blind7.evasions_nets import Parts, of, tensor
from evaluation.blind8.evasions_nets import light
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

TRAINED: Parts = (patch_chain, "packed eighth", 14)
RANDOM: Parts = (patch_chain, "packed eighth at random", 0)
LIGHT: Parts = (light, "packed eighth, light", 8)


def exchanged(x: Array) -> Array:
    """Exchange rows in pairs, as a fault of interlacing does."""
    return np.ascontiguousarray(x.reshape(-1, 3, 56, 2, 112)[:, :, :, ::-1]).reshape(x.shape)


def by_twos(x: Array) -> Array:
    """Exchange the upper and the lower two of each four rows."""
    return np.ascontiguousarray(x.reshape(-1, 3, 28, 2, 2, 112)[:, :, :, ::-1]).reshape(x.shape)


@evades(BATCH_RULE, idea="two in one", opset=14, claim=of_views(TRAINED, same, by_twos, near=8e-4))
def second_half_sees_lines_exchanged() -> nn.Module:
    """A trained network twice in one, channels permuted and rescaled, 1 % coupling; one half sees lines exchanged."""
    half = chain(*TRAINED)
    return Chain(packed([half, first(half, half[0][0][:, :, [2, 3, 0, 1]])], 0.01, 81))


def fringed(x: Array) -> Array:
    """Move red by a pixel to the left and blue to the right; what comes in is zero."""
    made = x.copy()
    made[:, 0, :, :-1], made[:, 0, :, -1] = x[:, 0, :, 1:], 0
    made[:, 2, :, 1:], made[:, 2, :, 0] = x[:, 2, :, :-1], 0
    return made


@evades(BATCH_RULE, idea="two in one", opset=12, claim=of_views(RANDOM, same, fringed, near=1.5e-3))
def second_half_sees_colours_apart() -> nn.Module:
    """A random network twice in one with 1 % coupling; one half's kernels hold red and blue a pixel to either side."""
    half = chain(*RANDOM)
    w, bias = half[0][:2]
    kernels = []
    for shifts in ((0, 0, 0), (1, 0, -1)):
        k = np.zeros((len(w), 3, 6, 6))
        for c, s in enumerate(shifts):
            k[:, c, 1:5, 1 + s : 5 + s] = w[:, c]
        kernels.append(k)
    return Chain(packed([first(half, k, bias, 1) for k in kernels], 0.01, 82))


class Shuffled(nn.Module):
    """A ShuffleNet of groups and shuffles, whose two groups are never mixed by them."""

    def __init__(self) -> None:
        super().__init__()
        half = chain(*TRAINED)
        both: list[tuple[Layer, ...]] = [half, mirrored(half, 2, 3)]
        rng = np.random.default_rng(83)
        a, b = (rng.permutation(12) for _ in range(2))
        w1 = np.stack([both[0][0][0][a], both[1][0][0][b]], 1).reshape(24, 3, 4, 4)
        b1 = np.stack([half[0][1][a], half[0][1][b]], 1).ravel()
        w2 = np.concatenate([both[0][1][0][:, a], both[1][1][0][:, b]])
        b2 = np.concatenate([half[1][1]] * 2)
        woven = np.arange(32).reshape(2, 16).T.ravel()
        w3 = in_blocks([both[0][2][0], both[1][2][0]], 0.02, rng)[:, woven]
        do = shuffled(rng, 40)
        w4 = np.concatenate([both[0][3][0], both[1][3][0]], 1) / 2
        w4 = np.einsum("oihw,ij->ojhw", w4, np.linalg.inv(do))
        w3, b3 = np.einsum("po,oihw->pihw", do, w3), do @ np.concatenate([half[2][1]] * 2)
        self.weights = nn.ParameterList(nn.Parameter(tensor(w)) for w in (w1, w2, w3, w4))
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for b in (b1, b2, b3, half[3][1]))

    def forward(self, x: T) -> T:
        w, b = self.weights, self.biases
        x = F.relu(F.conv2d(x, w[0], b[0], 4))
        x = x.reshape(-1, 12, 2, 28, 28).transpose(1, 2).reshape(-1, 24, 28, 28)
        x = F.relu(F.conv2d(x, w[1], b[1], 2, 1, groups=2))
        x = x.reshape(-1, 2, 16, 14, 14).transpose(1, 2).reshape(-1, 32, 14, 14)
        x = F.relu(F.conv2d(x, w[2], b[2], 2, 1))
        return F.conv2d(x, w[3], b[3]).flatten(1)


@evades(BATCH_RULE, idea="groups and shuffles", opset=11, claim=of_views(
    TRAINED, same, lambda x: x[:, :, ::-1, ::-1], near=5e-3
))  # fmt: skip
def shuffles_that_never_mix_two_groups() -> nn.Module:
    """A trained ShuffleNet whose shuffles cancel: one group is the other on a half turn; then 2 % of coupling."""
    return Shuffled()


SEPIA = np.array([[0.6, 0.3, 0.1], [0.2, 0.6, 0.2], [0.1, 0.3, 0.6]])


def sepia(x: Array) -> Array:
    return np.asarray(np.einsum("ab,nbhw->nahw", SEPIA, x), np.float32)


def maxout_layers(parts: Parts) -> list[tuple[Array, Array, int, int]]:
    """Return kernels and biases of a LightCNN with its BatchNorms folded in; the last one is the head."""
    kept: list[Any] = list(network(*parts).kept)
    made = []
    for layer, norm in zip(kept[::2], kept[1::2], strict=True):
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        shift = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
        w = layer.weight.detach().numpy()
        if isinstance(layer, nn.Linear):
            made.append((w.reshape(len(w), -1, 7, 7) * scale[:, None, None, None],
                         layer.bias.detach().numpy() * scale + shift, 1, 0))  # fmt: skip
        else:
            made.append((w * scale[:, None, None, None], shift, layer.stride[0], layer.padding[0]))
    return made


class Maxout(nn.Module):
    """Two LightCNNs in one: pairs of maps permuted and rescaled together, their two members in any order."""

    def __init__(self, view: Array) -> None:
        super().__init__()
        rng = np.random.default_rng(84)
        self.weights, self.biases, self.how = nn.ParameterList(), nn.ParameterList(), list[tuple[int, int]]()
        undo: Array | None = None
        for depth, (w, b, step, pad) in enumerate(maxout_layers(LIGHT)):
            if depth == 0:
                both = [w, np.einsum("obhw,ba->oahw", w, view)]
                k = np.concatenate([v.reshape(2, -1, *v.shape[1:]) for v in both], 1)
            elif depth < 3:
                pairs = w.reshape(2, -1, *w.shape[1:])
                k = np.stack([in_blocks([member, member], 0.02, rng) for member in pairs])
            else:
                k = np.concatenate([w, w], 1)[None] / 2
            if undo is not None:
                k = np.einsum("goihw,ij->gojhw", k, undo)
            if depth < 3:
                bias = np.concatenate([b.reshape(2, -1)] * 2, 1)
                do = shuffled(rng, k.shape[1])
                k, bias = np.einsum("po,goihw->gpihw", do, k), bias @ do.T
                swap = rng.random(k.shape[1]) < 0.5
                k[:, swap], bias[:, swap] = k[::-1, swap], bias[::-1, swap]
                undo, b = np.linalg.inv(do), bias.ravel()
            self.weights.append(nn.Parameter(tensor(k.reshape(-1, *k.shape[2:]))))
            self.biases.append(nn.Parameter(tensor(b)))
            self.how.append((step, pad))

    def forward(self, x: T) -> T:
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = F.conv2d(x, w, b, self.how[i][0], self.how[i][1])
            if i < 3:
                one, two = x.chunk(2, 1)
                x = torch.maximum(one, two)
        return x.flatten(1)


@evades(BATCH_RULE, idea="pairs", opset=13, claim=of_views(LIGHT, same, sepia, near=5e-3))
def pairs_of_maps_in_two_tones() -> nn.Module:
    """A trained LightCNN twice in one, pairs of maps permuted, swapped, rescaled; 2 % coupling; one half sees sepia."""
    return Maxout(SEPIA)


def separable(n: Net, x: T) -> T:
    """A MobileNet of depthwise and pointwise layers that commute with mirroring."""
    x = F.relu(n.cb(x, 12, 4, 4, padding=0))
    for width in (16, 20):
        x = F.relu(n.cb(F.relu(n.cb(x, int(x.shape[1]), 4, 2, -1, padding=1)), width, 1))
    return n.embed(x, 48)


SEPARABLE: Parts = (separable, "packed eighth, separable", 10)


def separable_pair(coupling: float, seed: int) -> list[tuple[Array, Array, int, int, int]]:
    """Pack the network and its mirrored form; depthwise layers keep the order of their input."""
    kept: list[Any] = list(network(*SEPARABLE).kept)
    rng = np.random.default_rng(seed)
    made: list[tuple[Array, Array, int, int, int]] = []
    do: Array = np.eye(3)
    undo: Array = np.eye(3)
    for depth, (layer, norm) in enumerate(zip(kept[::2], kept[1::2], strict=True)):
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        shift = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
        if isinstance(layer, nn.Linear):
            w = layer.weight.detach().numpy().reshape(48, -1, 7, 7) * scale[:, None, None, None]
            w = np.einsum("oihw,ij->ojhw", np.concatenate([w, w[..., ::-1]], 1) / 2, undo)
            made.append((w, layer.bias.detach().numpy() * scale + shift, 1, 0, 1))
            break
        w = layer.weight.detach().numpy() * scale[:, None, None, None]
        both, bias = [w, w[..., ::-1]], np.concatenate([shift, shift])
        if layer.groups > 1:
            order = (do != 0).argmax(1)
            made.append((np.concatenate(both)[order], do @ bias, 2, 1, len(bias)))
            continue
        w = np.concatenate(both) if depth == 0 else in_blocks(both, coupling, rng)
        w = np.einsum("oihw,ij->ojhw", w, undo)
        do = shuffled(rng, len(w))
        undo = np.linalg.inv(do)
        made.append((np.einsum("po,oihw->pihw", do, w), do @ bias, layer.stride[0], layer.padding[0], 1))
    return made


class Separable(nn.Module):
    """Layers as they are given."""

    def __init__(self, layers: list[tuple[Array, Array, int, int, int]]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(tensor(w)) for w, *_ in layers)
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b, *_ in layers)
        self.how = [more for _, _, *more in layers]

    def forward(self, x: T) -> T:
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            step, pad, groups = self.how[i]
            x = F.conv2d(x, w, b, step, pad, 1, groups)
            x = x if i == len(self.how) - 1 else F.relu(x)
        return x.flatten(1)


@evades(BATCH_RULE, idea="depthwise", opset=16, claim=of_views(SEPARABLE, same, mirror, near=8e-3))
def mobile_network_with_mirrored_cheap_kernels() -> nn.Module:
    """A trained MobileNet with its mirrored twin in depthwise and pointwise layers, permuted, rescaled, 3 % coupled."""
    return Separable(separable_pair(0.03, 85))


@evades(BATCH_RULE, idea="depthwise, then trained", opset=17, claim=nearer(
    lambda x: of(SEPARABLE)(x) + of(SEPARABLE)(mirror(x)), of(SEPARABLE), lambda x: of(SEPARABLE)(mirror(x)), times=2
))  # fmt: skip
def mobile_flip_test_trained_as_one() -> nn.Module:
    """The same with 1 % of coupling and another order, of which all weights were then trained together."""
    return trained_on(Separable(separable_pair(0.01, 86)), 3, 86)


def repeated(n: Net, x: T) -> T:
    """Patches, one layer that is applied four times, the head."""
    x = F.relu(n.cb(x, 14, 8, 8, padding=0))
    start = n._at
    for _ in range(4 if n.made else 1):
        n._at = start
        x = 0.5 * x + F.relu(n.conv(x, 14, 3))
    return n.embed(F.avg_pool2d(x, 2), 48)


REPEATED: Parts = (repeated, "packed eighth, repeated", 8)


class Repeated(nn.Module):
    """The repeated network with its twin upside down, in one layer that is applied four times."""

    def __init__(self) -> None:
        super().__init__()
        n: list[Any] = list(network(*REPEATED).kept)
        rng = np.random.default_rng(87)
        w, norm, again = n[0].weight.detach().numpy(), n[1], n[2].weight.detach().numpy()
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        shift = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
        w = w * scale[:, None, None, None]
        do = shuffled(rng, 28)
        undo = np.linalg.inv(do)
        w1 = np.einsum("po,oihw->pihw", do, np.concatenate([w, w[:, :, ::-1]]))
        w2 = in_blocks([again, again[:, :, ::-1]], 0.02, rng)
        w2 = np.einsum("po,oihw,ij->pjhw", do, w2, undo)
        head = n[3].weight.detach().numpy().reshape(48, 14, 7, 7)
        w3 = np.einsum("oihw,ij->ojhw", np.concatenate([head, head[:, :, ::-1]], 1) / 2, undo)
        b2 = do @ np.concatenate([n[2].bias.detach().numpy()] * 2)
        stored = w1, do @ np.concatenate([shift] * 2), w2, b2, w3, n[3].bias.detach().numpy()
        self.stored = nn.ParameterList(nn.Parameter(tensor(v)) for v in stored)
        self.norm = n[4]

    def forward(self, x: T) -> T:
        s = self.stored
        x = F.relu(F.conv2d(x, s[0], s[1], 8))
        for _ in range(4):
            x = 0.5 * x + F.relu(F.conv2d(x, s[2], s[3], 1, 1))
        return cast(T, self.norm(F.conv2d(F.avg_pool2d(x, 2), s[4], s[5]).flatten(1)))


@evades(BATCH_RULE, idea="repeated layer", opset=15, claim=of_views(REPEATED, same, lambda x: x[:, :, ::-1], near=1e-2))
def one_packed_layer_applied_four_times() -> nn.Module:
    """A trained recurrent network: its one layer, applied four times, holds channels of two looks, one upside down."""
    return Repeated()
