"""Evasions: two looks in one set of layers: cosines of blocks, trees of channels, mixers, pairs, mirrored streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind14.evasions_nets import Parts, counts, same, tensor
from evaluation.blind14.evasions_packed import Layers, Units, average, flipped, layers_of, packed, units
from evaluation.case import BATCH_RULE

WAVES = np.cos(np.pi * np.arange(4)[:, None] * (np.arange(4)[None] + 0.5) / 4) * np.sqrt(
    np.where(np.arange(4)[:, None] == 0, 1, 2) / 4
)


class Cosines(nn.Module):
    """A cosine transform of blocks of 4 x 4, as a stored layer, then the chain on its coefficients."""

    def __init__(self, layers: Layers, act: Any) -> None:
        super().__init__()
        (w, b), *more = layers
        self.waves = nn.Parameter(tensor(np.einsum("uy,vx->uvyx", WAVES, WAVES).reshape(16, 1, 4, 4)))
        mixed = np.einsum("ocyx,uy,vx->ocuv", w, WAVES, WAVES).reshape(len(w), -1, 1, 1)
        self.mix, self.offset = nn.Parameter(tensor(mixed)), nn.Parameter(tensor(b))
        self.more, self.act = Units([(np.zeros((1, 1, 4, 4)), np.zeros(1)), *more], act), act

    def forward(self, x: T) -> T:
        y = F.conv2d(x, self.waves.repeat(3, 1, 1, 1), None, 4, groups=3)
        y = self.act(F.conv2d(y, self.mix, self.offset))
        last = len(self.more.weights) - 1
        for i in range(1, last + 1):
            pad = 1 if i < last else 0
            y = F.conv2d(y, self.more.weights[i], self.more.biases[i], 2 if pad else 1, pad)
            y = y if i == last else self.act(y)
        return y.flatten(1)


COSINES: Parts = (units(F.gelu, (12, 16, 24)), "cosines of the fourteenth set", 6)


@evades(BATCH_RULE, idea="cosines in one", opset=13, claim=counts(
    *average(COSINES, [0.5, 0.5], same, lambda x: x.flip(3)), near=0.01
))  # fmt: skip
def channels_that_read_odd_cosines_with_the_other_sign() -> nn.Module:
    """A trained network on block cosines, as of compressed photographs; half of its channels read odd ones negated."""
    one = layers_of(COSINES)
    return Cosines(packed([one, flipped(one, 3)], [0.5, 0.5], 0.01, 147), F.gelu)


def mixer(n: Net, x: T) -> T:
    """Write a mixer whose patches are mixed by one matrix of places, behind tanh, then channels."""
    t = n.keep(lambda: nn.Conv2d(3, 16, 16, 16))(x).flatten(2)
    for _ in range(2):
        t = t + torch.tanh(n.linear(t, 49))
        t = t + n.linear(torch.tanh(n.linear(t.transpose(1, 2), 24)), 16).transpose(1, 2)
    return n.embed(t, 48)


MIXER: Parts = (mixer, "mixer of the fourteenth set", 6)


def reversed_places(w: Any) -> Any:
    """Exchange left and right in a matrix over 7 x 7 places."""
    return w.reshape(7, 7, 7, 7)[:, ::-1][:, :, :, ::-1].reshape(49, 49)


class Places(nn.Module):
    """A mixer of twice as many channels; places are mixed by both matrices, each under its own gain of channels."""

    def __init__(self, coupling: float) -> None:
        super().__init__()
        kept: Any = network(*MIXER).kept
        rng = np.random.default_rng(148)
        q = np.linalg.qr(np.eye(32)[rng.permutation(32)])[0]
        q = np.abs(q).round()
        self.first = self.of(
            np.concatenate([kept[0].weight.detach().numpy(), kept[0].weight.detach().numpy()[..., ::-1]])
        )
        with torch.no_grad():
            self.first.copy_(tensor(np.einsum("po,ocyx->pcyx", q, self.first.detach().numpy())))
        self.offset = self.of(q @ np.tile(kept[0].bias.detach().numpy(), 2))
        self.places, self.shifts, self.layers = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        self.own = self.of(q @ np.repeat([1.0, 0.0], 16))
        for k in (1, 4):
            w, b = kept[k].weight.detach().numpy(), kept[k].bias.detach().numpy()
            self.places.extend([self.of(w), self.of(reversed_places(w))])
            self.shifts.extend([self.of(b), self.of(b.reshape(7, 7)[:, ::-1].reshape(49))])
            up, down = kept[k + 1], kept[k + 2]
            for layer, outs, ins in ((up, 24, 16), (down, 16, 24)):
                w = layer.weight.detach().numpy()
                both = rng.normal(0, coupling * w.std(), (2 * outs, 2 * ins))
                both[:outs, :ins], both[outs:, ins:] = w, w
                both = both @ q.T if ins == 16 else q @ both
                bias = np.tile(layer.bias.detach().numpy(), 2)
                self.layers.extend([self.of(both), self.of(bias if ins == 16 else q @ bias)])
        head, self.norm = kept[7], kept[8]
        v = head.weight.detach().numpy().reshape(48, 16, 49)
        other = v.reshape(48, 16, 7, 7)[..., ::-1].reshape(48, 16, 49)
        self.head = self.of(np.einsum("ock,pc->opk", np.concatenate([v, other], 1) / 2, q).reshape(48, -1))
        self.last = self.of(head.bias.detach().numpy())

    @staticmethod
    def of(value: Any) -> nn.Parameter:
        return nn.Parameter(tensor(value))

    def forward(self, x: T) -> T:
        t = F.conv2d(x, self.first, self.offset, 16).flatten(2)
        own = self.own[None, :, None]
        for k in range(2):
            a = F.linear(t, self.places[2 * k], self.shifts[2 * k])
            b = F.linear(t, self.places[2 * k + 1], self.shifts[2 * k + 1])
            t = t + torch.tanh(own * a + (1 - own) * b)
            h = torch.tanh(F.linear(t.transpose(1, 2), self.layers[4 * k], self.layers[4 * k + 1]))
            t = t + F.linear(h, self.layers[4 * k + 2], self.layers[4 * k + 3]).transpose(1, 2)
        y: T = self.norm(F.linear(t.flatten(1), self.head, self.last))
        return y


@evades(BATCH_RULE, idea="mixer in one", opset=14, claim=counts(
    *average(MIXER, [0.5, 0.5], same, lambda x: x.flip(3)), near=0.01
))  # fmt: skip
def mixer_with_two_matrices_of_places_for_two_sides() -> nn.Module:
    """A trained mixer has two matrices of places, and channels choose; one is the other, mirrored; 0.7 % coupling."""
    return Places(0.007)


def stemmed(n: Net, x: T) -> T:
    """Write a network behind a fixed stem of space to depth, with bottlenecks of one pixel between."""
    x = F.silu(n.cb(F.pixel_unshuffle(x, 4), 16, 1))
    for width in (20, 28):
        x = F.silu(n.cb(x, width, 4, 2, padding=1))
    return n.embed(x, 48)


STEMMED: Parts = (stemmed, "stems of the fourteenth set", 0)


class Unshuffled(nn.Module):
    """Space to depth, then one chain whose first layer reads sub-pixels in two orders."""

    def __init__(self) -> None:
        super().__init__()
        kept: list[Any] = list(network(*STEMMED).kept)
        made: Layers = []
        for layer, norm in zip(kept[::2], kept[1::2], strict=True):
            scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
            shift = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
            k = layer.weight.detach().numpy()
            shift = shift if layer.bias is None else shift + scale * layer.bias.detach().numpy()
            k = k.reshape(len(k), -1, 7, 7) if k.ndim == 2 else k
            made.append((k * scale[:, None, None, None], shift))
        w, b = made[0]
        other = w.reshape(-1, 3, 4, 4, 1, 1)[:, :, ::-1, ::-1].reshape(w.shape)
        two = [(other, b), *flipped(made[1:], 2, 3)]
        layers = packed([made, two], [0.5, 0.5], 0.015, 149)
        rng = np.random.default_rng(150)
        layers = [(k + rng.normal(0, 0.006 * k.std(), k.shape), c) for k, c in layers]
        self.weights = nn.ParameterList(nn.Parameter(tensor(k)) for k, _ in layers)
        self.biases = nn.ParameterList(nn.Parameter(tensor(c)) for _, c in layers)

    def forward(self, x: T) -> T:
        x = F.silu(F.conv2d(F.pixel_unshuffle(x, 4), self.weights[0], self.biases[0]))
        x = F.silu(F.conv2d(x, self.weights[1], self.biases[1], 2, 1))
        x = F.silu(F.conv2d(x, self.weights[2], self.biases[2], 2, 1))
        return F.conv2d(x, self.weights[3], self.biases[3]).flatten(1)


@evades(BATCH_RULE, idea="space to depth", opset=13, claim=counts(
    lambda x: 0.5 * network(*STEMMED)(x) + 0.5 * network(*STEMMED)(x.flip(2, 3)), network(*STEMMED), near=0.01
))  # fmt: skip
def sub_pixels_read_in_two_orders_behind_space_to_depth() -> nn.Module:
    """Behind space to depth, half of the channels read sub-pixels from the last one on: a half turn; 1.5 %, noise."""
    return Unshuffled()


def averaged(n: Net, x: T) -> T:
    """Write a chain whose kernels have even width, behind average pooling, with leaky units."""
    x = F.leaky_relu(n.cb(x, 16, 8, 8, padding=0), 0.2)
    x = F.leaky_relu(n.cb(F.avg_pool2d(x, 2), 32, 3, 1), 0.2)
    return n.embed(x, 48)


WIDE: Parts = (averaged, "grey half of the fourteenth set", 6)


class Grey(nn.Module):
    """Two looks in one: the other half's first kernels mix colours towards grey and lie mirrored."""

    def __init__(self) -> None:
        super().__init__()
        one = layers_of(WIDE)
        w, b = one[0]
        pale = 0.35 * w + 0.65 * w.mean(1, keepdims=True)
        two = [(pale, b), *one[1:]]
        made = packed([one, flipped(two, 3)], [0.6, 0.4], 0.02, 151)
        self.weights = nn.ParameterList(nn.Parameter(tensor(k)) for k, _ in made)
        self.biases = nn.ParameterList(nn.Parameter(tensor(c)) for _, c in made)

    def forward(self, x: T) -> T:
        x = F.leaky_relu(F.conv2d(x, self.weights[0], self.biases[0], 8), 0.2)
        x = F.leaky_relu(F.conv2d(F.avg_pool2d(x, 2), self.weights[1], self.biases[1], 1, 1), 0.2)
        return F.conv2d(x, self.weights[2], self.biases[2]).flatten(1)


def pale_mirror(x: T) -> T:
    return (0.35 * x + 0.65 * x.mean(1, keepdim=True)).flip(3)


@evades(BATCH_RULE, idea="two in one", opset=12, claim=counts(
    *average(WIDE, [0.6, 0.4], same, pale_mirror), near=0.01
))  # fmt: skip
def two_fifths_of_the_numbers_from_a_pale_mirrored_half() -> nn.Module:
    """Large first kernels, pooling and a trained layer; a mirrored half of faded colours has two fifths; 2 %."""
    return Grey()
