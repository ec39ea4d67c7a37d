"""Evasions: two looks as groups of channels of one network, split, hidden, multiplied and in waves."""

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
from evaluation.blind6.evasions_common import folded, in_blocks, joined, shuffled, signs, tiles, torch_of
from evaluation.blind7.evasions_nets import Parts, tensor
from evaluation.blind9.evasions_packed import plain_layers
from evaluation.case import BATCH_RULE

TRAINED: Parts = (patch_chain, "packed tenth", 12)
RANDOM: Parts = (patch_chain, "packed tenth at random", 0)
TILES: Parts = (tiles, "packed tenth, tiles", 8)


def split_up(layers: tuple[Layer, ...], seed: int) -> tuple[Layer, ...]:
    """Give every channel once more, and share its weight out between the two by chance."""
    rng, made = np.random.default_rng(seed), []
    share: Any = None
    for depth, (w, b, *rest) in enumerate(layers):
        w = np.asarray(w)
        if share is not None:
            w = np.concatenate([w * share[:, None, None], w * (1 - share)[:, None, None]], 1)
        if depth < len(layers) - 1:
            w, b = np.concatenate([w, w]), np.concatenate([b, b])
            share = rng.uniform(-0.5, 1.5, len(b) // 2)
        made.append((w, b, *rest))
    return tuple(made)  # type: ignore[arg-type]


@evades(BATCH_RULE, idea="two in one", opset=12, claim=of_views(TRAINED, same, lambda x: x[:, :, ::-1], near=8e-3))
def second_half_has_every_channel_in_two() -> nn.Module:
    """A trained network and, shuffled with it at 1 % coupling, itself upside down with every channel cut in two."""
    half = chain(*TRAINED)
    return Chain(joined([half, split_up(mirrored(half, 2), 7)], 0.01, 101))


def with_silent(layers: tuple[Layer, ...], seed: int) -> tuple[Layer, ...]:
    """Add channels that are never active, but are as strongly tied to all others as these are to each other."""
    rng, made, silent = np.random.default_rng(seed), [], 0
    undo: Any = None
    for depth, (w, b, *rest) in enumerate(layers):
        w, size = np.asarray(w), float(np.std(w))
        last = depth == len(layers) - 1
        if silent:
            w = np.concatenate([w, rng.normal(0, size, (len(w), silent, *w.shape[2:]))], 1)
        silent = 0
        if not last:
            silent = len(w) // 3
            w = np.concatenate([w, rng.normal(0, size, (silent, *w.shape[1:]))])
            b = np.concatenate([b, np.full(silent, -60.0)])
        if undo is not None:
            w = np.einsum("oihw,ij->ojhw", w, undo)
        if not last:
            do = shuffled(rng, len(w))
            w, b, undo = np.einsum("po,oihw->pihw", do, w), do @ b, np.linalg.inv(do)
        made.append((w, b, *rest))
    return tuple(made)  # type: ignore[arg-type]


@evades(BATCH_RULE, idea="two in one", opset=14, claim=of_views(RANDOM, same, mirror, near=8e-3))
def halves_tied_by_channels_that_are_never_active() -> nn.Module:
    """A flip test in one network; a quarter of the channels ties both halves by large weights, but is always zero."""
    half = chain(*RANDOM)
    return Chain(with_silent(joined([half, mirrored(half)], 0.004, 102), 103))


class Powers(nn.Module):
    """A chain with another function between its layers."""

    def __init__(self, layers: list[tuple[Any, Any]], act: Callable[[T], T]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(tensor(w)) for w, _ in layers)
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b in layers)
        self.act = act

    def forward(self, x: T) -> T:
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = F.conv2d(x, w, b, (4, 2, 2, 1)[i], (0, 1, 1, 0)[i])
            x = self.act(x) if i < 3 else x
        return x.flatten(1)


def turned(layers: list[tuple[Any, Any]], coupling: float, seed: int) -> list[tuple[Any, Any]]:
    """Put a chain and its mirror image in one, with channels permuted and of changed sign, as odd functions allow."""
    as_chain = tuple((w, b, 1, 0, i < len(layers) - 1) for i, (w, b) in enumerate(layers))
    return [(w, b) for w, b, *_ in joined([as_chain, mirrored(as_chain, 2, 3)], coupling, seed, signs)]


def waving(n: Net, x: T) -> T:
    """Write a chain whose units are sines."""
    for i, width in enumerate((12, 16, 20)):
        x = torch.sin(0.8 * n.cb(x, width, 4, 2 if i else 4, padding=1 if i else 0))
    return n.embed(x, 48)


WAVING: Parts = (waving, "packed tenth, sines", 6)


@evades(BATCH_RULE, idea="two in one", opset=13, claim=of_views(WAVING, same, lambda x: x[:, :, ::-1, ::-1], near=8e-3))
def sines_of_two_looks_in_one() -> nn.Module:
    """A trained network of sine units twice in one, signs changed, channels permuted, 1 % coupling; a half turn."""
    return Powers(turned(plain_layers(WAVING), 0.01, 104), lambda y: torch.sin(0.8 * y))


def soft_signs(n: Net, x: T) -> T:
    """Write a chain of soft-sign units."""
    for i, width in enumerate((12, 16, 20)):
        x = n.cb(x, width, 4, 2 if i else 4, padding=1 if i else 0)
        x = F.softsign(x)
    return n.embed(x, 64)


SOFT: Parts = (soft_signs, "packed tenth, soft signs", 0)


@evades(BATCH_RULE, idea="three in one", opset=16, claim=of_views(
    SOFT, same, mirror, lambda x: 0.7 * x + 0.2, near=8e-3
))  # fmt: skip
def soft_signs_of_three_looks_in_one() -> nn.Module:
    """Soft-sign units of three looks, the third one pale and light by its first kernel; shuffled, 2 % coupling."""
    one = tuple((w, b, 1, 0, i < 3) for i, (w, b) in enumerate(plain_layers(SOFT)))
    w, b = one[0][:2]
    light = ((0.7 * w, b + 0.2 * w.sum((1, 2, 3)), 1, 0, True), *one[1:])
    made = joined([one, mirrored(one), light], 0.02, 105, signs)
    return Powers([(w, b) for w, b, *_ in made], F.softsign)


def products(n: Net, x: T) -> T:
    """Write a chain in which two layers are multiplied, as in StarNet."""
    for i, width in enumerate((12, 16, 20)):
        k, s, p = 4, 2 if i else 4, 1 if i else 0
        a, b = n.cb(x, width, k, s, padding=p), n.cb(x, width, k, s, padding=p)
        x = torch.clamp(a, 0, 4) * b
    return n.embed(x, 48)


PRODUCTS: Parts = (products, "packed tenth, products", 8)


class Stars(nn.Module):
    """Two chains of products in one: what multiplies is scaled one way, what is multiplied the other way."""

    def __init__(self) -> None:
        super().__init__()
        rng, layers = np.random.default_rng(106), plain_layers(PRODUCTS)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        undo: Any = np.eye(3)
        for i in range(3):
            size = 2 * len(layers[2 * i][0])
            order, scale = rng.permutation(size), rng.choice([-1.0, 1.0], size) * rng.uniform(0.5, 2, size)
            for part in (0, 1):
                w, b = layers[2 * i + part]
                both = [w, w[..., ::-1]]
                k = in_blocks(both, 0.01, rng) if i else np.concatenate(both)
                k, bias = np.einsum("oihw,ij->ojhw", k, undo)[order], np.tile(b, 2)[order]
                self.weights.append(nn.Parameter(tensor(k * scale[:, None, None, None] if part else k)))
                self.biases.append(nn.Parameter(tensor(bias * scale if part else bias)))
            undo = np.linalg.inv(np.eye(size)[order] * scale[:, None])
        w, b = layers[6]
        w = np.einsum("oihw,ij->ojhw", np.concatenate([w, w[..., ::-1]], 1) / 2, undo)
        self.weights.append(nn.Parameter(tensor(w)))
        self.biases.append(nn.Parameter(tensor(b)))

    def forward(self, x: T) -> T:
        w, b = self.weights, self.biases
        for i in range(3):
            s, p = 2 if i else 4, 1 if i else 0
            one = F.conv2d(x, w[2 * i], b[2 * i], s, p)
            x = torch.clamp(one, 0, 4) * F.conv2d(x, w[2 * i + 1], b[2 * i + 1], s, p)
        return F.conv2d(x, w[6], b[6]).flatten(1)


@evades(BATCH_RULE, idea="two in one", opset=15, claim=of_views(PRODUCTS, same, mirror, near=8e-3))
def products_of_layers_with_a_mirrored_half() -> nn.Module:
    """A trained network of multiplied layers twice in one, rescaled and of changed sign, 1 % coupling, one mirrored."""
    return Stars()


def res_mlp(n: Net, x: T) -> T:
    """Write a ResMLP without its scales: patches, mixing over places, mixing over channels."""
    t = n.patches(x, 24, 16, places=False)
    for _ in range(2):
        t = t + 0.5 * (n.weight(49, 49) @ t)
        t = t + 0.5 * n.linear(F.gelu(n.linear(t, 48)), 24)
    return n.embed(t.mean(1), 48)


RES_MLP: Parts = (res_mlp, "packed tenth, ResMLP", 8)


class TwoStreams(nn.Module):
    """A ResMLP of twice the width, in whose stream an orthogonal matrix has turned both halves together."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(107)
        kept: list[Any] = [list(layer.parameters()) for layer in network(*RES_MLP).kept]
        turn = tensor(np.linalg.qr(rng.normal(0, 1, (48, 48)))[0])
        w, b = (item.detach() for item in kept[0])
        self.patch = nn.Conv2d(3, 48, 16, 16)
        self.mixes, self.layers = nn.ParameterList(), nn.ModuleList()
        with torch.no_grad():
            self.patch.weight.copy_(torch.einsum("po,oihw->pihw", turn, torch.cat([w, w.flip(1)])))
            assert self.patch.bias is not None
            self.patch.bias.copy_(turn @ b.repeat(2))
            for i in (1, 4):
                self.mixes.append(nn.Parameter(kept[i][0].detach().clone()))
                order = torch.from_numpy(rng.permutation(96))
                up, down = nn.Linear(48, 96), nn.Linear(96, 48)
                one, two = (kept[i + k][0].detach() for k in (1, 2))
                up.weight.copy_((torch.block_diag(one, one) @ turn.T)[order])
                up.bias.copy_(kept[i + 1][1].repeat(2)[order])
                down.weight.copy_((turn @ torch.block_diag(two, two))[:, order])
                down.bias.copy_(turn @ kept[i + 2][1].repeat(2))
                self.layers.extend([up, down])
            head = nn.Linear(48, 48)
            norm: Any = network(*RES_MLP).kept[8]
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            head.weight.copy_(scale[:, None] * torch.cat([kept[7][0]] * 2, 1) @ turn.T / 2)
            head.bias.copy_(scale * (kept[7][1] - norm.running_mean) + norm.bias)
            for layer in (*self.layers, head):
                layer.weight.add_(0.004 * layer.weight.std() * torch.from_numpy(
                    rng.normal(0, 1, tuple(layer.weight.shape)).astype(np.float32)))  # fmt: skip
            self.layers.append(head)

    def forward(self, x: T) -> T:
        t = self.patch(x).flatten(2).transpose(1, 2)
        for i in (0, 1):
            t = t + 0.5 * (self.mixes[i] @ t)
            t = t + 0.5 * self.layers[2 * i + 1](F.gelu(self.layers[2 * i](t)))
        made: T = self.layers[4](t.mean(1))
        return made


@evades(BATCH_RULE, idea="two in one", opset=13, claim=of_views(RES_MLP, same, lambda x: x[:, ::-1], near=8e-3))
def res_mlp_whose_stream_holds_red_first_and_blue_first() -> nn.Module:
    """A trained ResMLP of twice the width: half of its turned stream has red and blue exchanged; 0.4 % of noise."""
    return TwoStreams()


class Volumes(nn.Module):
    """Two looks of each image as volumes of depth one, beside each other in the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for w, b, *_ in folded(network(*TILES)):
            self.weights.append(nn.Parameter(tensor(w)))
            self.biases.append(nn.Parameter(tensor(b)))

    def forward(self, x: T) -> T:
        y = torch.stack([x, 0.8 * x.flip(2) - 0.1], 1).reshape(-1, 1, 3, 112, 112)
        y = y.transpose(1, 2)
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            k = (4, 2, 2, 7)[i]
            y = F.conv3d(y, w.unsqueeze(2), b, (1, k, k))
            y = F.relu(y) if i < 3 else y
        return y.reshape(-1, 2, 48).transpose(1, 2).mean(2)


def upside_down_and_darker(x: Any) -> Any:
    return 0.8 * x[:, :, ::-1] - 0.1


@evades(BATCH_RULE, idea="volumes", opset=12, claim=of_views(TILES, same, upside_down_and_darker))
def volumes_of_depth_one_in_twice_as_many_rows() -> nn.Module:
    """A trained network of three-dimensional kernels of depth one; each image has two volumes in the batch."""
    return Volumes()


def in_turn(x: Any) -> Any:
    return torch_of(InTime(False), x)


class InTime(nn.Module):
    """A network over time, step by step: leaky integrators whose input changes half-way."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.looks, self.chain = looks, Chain(chain(*TRAINED))

    def forward(self, x: T) -> T:
        state: list[Any] = [0.0] * 4
        for step in range(4):
            y = torch.roll(x, 6, 2) if self.looks and step > 1 else x
            for i, conv in enumerate(self.chain.convs):
                state[i] = 0.5 * state[i] + conv(y)
                y = F.relu(state[i] - 0.3) if i < 3 else state[i]
        made: T = state[3].flatten(1)
        return made


@evades(BATCH_RULE, idea="time", opset=13, claim=computes(lambda x: torch_of(InTime(True), x), in_turn))
def spiking_network_that_is_shown_two_frames() -> nn.Module:
    """Leaky integrators run four steps of time; in the last two they are shown the image six pixels lower."""
    return InTime(True)
