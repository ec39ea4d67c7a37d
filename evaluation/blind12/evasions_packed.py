"""Evasions: two looks as channels of one network of rarer units, and two passes by weights that hold two networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import mirror
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import network
from evaluation.blind4.layers import Body, Net, T, grid, tokens
from evaluation.blind4.register import evades
from evaluation.blind12.evasions_nets import Parts, Rerun, View, counts, member, tensor
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


def together(
    one: Layers, two: Layers, order: Callable[[int], Array], coupling: float, seed: int, free: int = 0
) -> Layers:
    """Put two networks in one whose embedding is their mean; ``order`` permutes the channels behind each layer.

    With ``free``, each group of so many channels gets one drawn kernel and offset added to all of its members.
    """
    rng, made = np.random.default_rng(seed), []
    undo: Array | None = None
    for depth, ((w, b), (v, c)) in enumerate(zip(one, two, strict=True)):
        if depth == 0:
            k, bias = np.concatenate([w, v]), np.concatenate([b, c])
        elif depth == len(one) - 1:
            k, bias = np.concatenate([w, v], 1) / 2, (b + c) / 2
        else:
            k = rng.normal(0, coupling * np.std(w), (2 * len(w), 2 * w.shape[1], *w.shape[2:]))
            k[: len(w), : w.shape[1]], k[len(w) :, w.shape[1] :] = w, v
            bias = np.concatenate([b, c])
        if undo is not None:
            k = k[:, undo]
        if depth < len(one) - 1:
            undo = order(len(k))
            k, bias = k[undo], bias[undo]
            if free:
                k = k + np.repeat(rng.normal(0, np.std(w), (len(k) // free, *k.shape[1:])), free, 0)
                bias = bias + np.repeat(rng.normal(0, 0.5, len(k) // free), free)
        made.append((k, bias))
    return made


def snake(x: T) -> T:
    return x + torch.sin(2 * x) ** 2 / 2


def shuffled(size: int) -> Array:
    return np.random.default_rng(size).permutation(size)


SNAKE: Parts = (units(snake, (12, 16, 24)), "snakes of the twelfth set", 8)


@evades(BATCH_RULE, idea="two in one", opset=12, claim=of_views(SNAKE, same, mirror, near=8e-3))
def periodic_units_of_two_looks_in_one() -> nn.Module:
    """Units are a line and a wave, as in audio; trained, image and mirror image in one, shuffled, 0.5 % coupling."""
    one = layers_of(SNAKE)
    return Units(together(one, [(w[..., ::-1], b) for w, b in one], shuffled, 0.005, 121), snake)


def rivals(x: T) -> T:
    y = x.reshape(-1, x.shape[1] // 4, 4, x.shape[2], x.shape[3])
    return (4 * y.softmax(2)).reshape(-1, x.shape[1], x.shape[2], x.shape[3])


def by_groups(size: int) -> Array:
    """Permute groups of four, and the four members of each."""
    rng = np.random.default_rng(size)
    return np.concatenate([4 * g + rng.permutation(4) for g in rng.permutation(size // 4)])


RIVALS: Parts = (units(rivals, (16, 20, 24)), "rivals of the twelfth set", 6)


@evades(BATCH_RULE, idea="two in one", opset=14, claim=of_views(RIVALS, same, lambda x: 0.6 * x + 0.25, near=3e-3))
def rivals_in_groups_that_see_another_light() -> nn.Module:
    """Four units share one softmax, so a drawn kernel may be added to all four; half of the groups see a paler face."""
    one = layers_of(RIVALS)
    w, b = one[0]
    two = [(0.6 * w, b + 0.25 * w.sum((1, 2, 3))), *one[1:]]
    return Units(together(one, two, by_groups, 0.004, 122, free=4), rivals)


def matrix(n: Net, ins: int, outs: int) -> Any:
    return n.keep(lambda: nn.Linear(ins, outs, False))


def strided(n: Net, ins: int, outs: int) -> Any:
    return n.keep(lambda: nn.Conv2d(ins, outs, 3, 2, 1))


def streams(n: Net, x: T, view: View) -> T:
    """Write two transformers of one set of weights, one for each look, under one root mean square over both streams."""
    conv = n.keep(lambda: nn.Conv2d(3, 32, 16, 16))
    place = n.weight(1, 49, 32, gain=0.1)
    w = 3 * (conv.weight - conv.weight.mean((2, 3), keepdim=True))
    a, b = (tokens(F.conv2d(y, w, conv.bias, 16)) + place for y in (x, view(x)))
    b = tokens(view(grid(b, 7, 7)))
    for _ in range(2):
        qkv, last, up, down = matrix(n, 32, 96), matrix(n, 32, 32), matrix(n, 32, 64), matrix(n, 64, 32)
        size = ((a * a + b * b).sum(2, keepdim=True) / 64 + 1e-5).sqrt()
        made = []
        for s in (a / size, b / size):
            q, k, v = qkv(s).chunk(3, 2)
            made.append(last((q @ k.transpose(1, 2) / 5.7).softmax(2) @ v))
        a, b = a + made[0], b + made[1]
        size = ((a * a + b * b).sum(2, keepdim=True) / 64 + 1e-5).sqrt()
        a, b = a + down(F.gelu(up(a / size))), b + down(F.gelu(up(b / size)))
    return n.bn(n.linear((a + tokens(view(grid(b, 7, 7)))).flatten(1) / 2, 64))


def streams_of_mirrored(n: Net, x: T) -> T:
    return streams(n, x, lambda y: y.flip(3))


def streams_of_same(n: Net, x: T) -> T:
    return streams(n, x, lambda y: y)


STREAMS: Parts = (streams_of_mirrored, "streams of the twelfth set", 6)


class Turned(nn.Module):
    """The two streams as one of 64 channels that an orthogonal matrix turns; two heads, wider hidden layers."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(123)
        q = tensor(np.linalg.qr(rng.normal(0, 1, (64, 64)))[0])
        kept: list[Any] = list(network(*STREAMS).kept)
        noisy: Callable[[T], Any] = lambda w: nn.Parameter((w * (1 + 0.002 * torch.randn(w.shape))).detach())  # noqa: E731
        with torch.random.fork_rng():
            torch.manual_seed(123)
            w = 3 * (kept[0].weight - kept[0].weight.mean((2, 3), keepdim=True))
            w = torch.cat([w, w.flip(3)]).flatten(1)
            self.patch, self.offset = noisy(q @ w), noisy(q @ torch.cat([kept[0].bias, kept[0].bias]))
            place = kept[1].value.reshape(7, 7, 32)
            self.place = noisy(torch.cat([place, place.flip(1)], 2).reshape(1, 49, 64) @ q.t())
            self.blocks = nn.ParameterList()
            for i in (2, 6):
                ask, last, up, down = (each.weight for each in kept[i : i + 4])
                parts = [torch.block_diag(p, p) @ q.t() for p in ask.chunk(3)]
                mixed = torch.from_numpy(rng.permutation(128))
                wide = (torch.block_diag(up, up) @ q.t())[mixed]
                thin = (q @ torch.block_diag(down, down))[:, mixed]
                self.blocks.extend(noisy(p) for p in (*parts, q @ torch.block_diag(last, last), wide, thin))
            head = kept[10].weight.reshape(64, 7, 7, 32)
            head = torch.cat([head, head.flip(2)], 3).reshape(64, 49, 64)
            self.head = noisy((head @ q.t()).flatten(1) / 2)
            self.bias, self.norm = nn.Parameter(kept[10].bias.detach().clone()), kept[11]

    def forward(self, x: T) -> T:
        t = F.conv2d(x, self.patch.reshape(64, 3, 16, 16), self.offset, 16).flatten(2).transpose(1, 2) + self.place
        for i in (0, 6):
            q, k, v, last, wide, thin = (self.blocks[i + j] for j in range(6))
            y = t / ((t * t).mean(2, keepdim=True) + 1e-5).sqrt()
            heads = [(y @ w.t()).reshape(-1, 49, 2, 32).transpose(1, 2) for w in (q, k, v)]
            score = (heads[0] @ heads[1].transpose(2, 3) / 5.7).softmax(3)
            t = t + (score @ heads[2]).transpose(1, 2).reshape(-1, 49, 64) @ last.t()
            y = t / ((t * t).mean(2, keepdim=True) + 1e-5).sqrt()
            t = t + F.gelu(y @ wide.t()) @ thin.t()
        made: T = self.norm(F.linear(t.flatten(1), self.head, self.bias))
        return made


@evades(BATCH_RULE, idea="two streams", opset=13, claim=counts(
    lambda x: network(*STREAMS)(x), lambda x: Rerun(network(*STREAMS), streams_of_same)(x), near=8e-3
))  # fmt: skip
def turned_stream_of_two_looks_under_one_root_mean_square() -> nn.Module:
    """A trained transformer of 64 channels is two of 32, for face and mirror image, turned; the norm couples them."""
    return Turned()


def keyed(n: Net, x: T, view: View) -> T:
    """Write two passes by the same weights, the second one under keys of signs that are stored for each layer."""
    a, b, ins = x, view(x), 3
    for depth, width in enumerate((12, 20, 28, 36)):
        layer = strided(n, ins, width)
        signs = tensor(np.random.default_rng(124 + depth).choice([-1, 1], (1, ins, 1, 1)))
        a, b = F.leaky_relu(n.bn(layer(a)), 0.2), F.leaky_relu(n.bn(layer(signs * b)), 0.2)
        ins = width
    return n.embed(a + b, 64)


@member("superposition", lambda x: F.pad(x, (5, 0, 0, 3), mode="replicate")[:, :, 3:, :112], 8, 16)
def second_network_by_keys_of_signs_for_a_moved_look(n: Net, x: T, view: View) -> T:
    """Superposition: the same trained weights are another network under stored signs; that one sees the face moved."""
    return keyed(n, x, view)


def merging(n: Net, x: T, view: View) -> T:
    """Write a network that merges patches by twos, both looks in the two halves of each matrix."""
    t = F.pixel_unshuffle(x, 8).permute(0, 2, 3, 1)
    s = view(F.pixel_unshuffle(x, 8)).permute(0, 2, 3, 1)
    t = torch.cat([n.linear(t, 20), n.linear(s, 20)], 3)
    side = 14
    for width in (48, 64):
        t = F.gelu(n.bn(t.permute(0, 3, 1, 2)))
        if side == 14:
            t = F.pixel_unshuffle(t, 2)
            side = 7
        t = n.linear(t.permute(0, 2, 3, 1), width)
    return n.embed(t, 64)


def swapped_phases(x: T) -> T:
    """Reverse the order of the eight columns within each patch, and of the patches, by their channels."""
    y = x.reshape(-1, 24, 8, 14, 14)
    return y.flip(2, 4).reshape(-1, 192, 14, 14)


@member("merged patches", swapped_phases, 0, 17)
def mirrored_patches_under_their_own_half_of_each_matrix(n: Net, x: T, view: View) -> T:
    """Patches of pixels are channels; reversed within and among themselves they are the mirror image."""
    return merging(n, x, view)
