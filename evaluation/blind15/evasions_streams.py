"""Evasions: two looks in one set of layers that share channels, or that carry states and waves."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind15.evasions_nets import Parts, counts, mirrored, same, tensor
from evaluation.blind15.evasions_packed import Layers, Units, average
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces


def three_groups(both: bool) -> Layers:
    """Draw a network of 12 channels of each kind: symmetric ones, and those that read one side, or either of two.

    Symmetric channels read symmetric ones by symmetric kernels; the others read these and their own kind.
    """
    rng = np.random.default_rng(157)
    made: Layers = []
    sizes, ins = ((6, 10), (8, 12), (10, 16)), (3, 0)
    for shared, own in sizes:
        plain = rng.normal(0, 1, (shared, ins[0], 4, 4))
        even = (plain + plain[..., ::-1]) / np.sqrt(2)
        one = rng.normal(0, 1, (own, sum(ins), 4, 4))
        gain = np.sqrt(2 / (16 * sum(ins)))
        even, one, bias = gain * even, gain * one, rng.normal(0, 0.1, shared + own)
        zeros = np.zeros((shared, ins[1], 4, 4))
        rows = [np.concatenate([even, zeros], 1), one]
        if both:
            side = one[..., ::-1]
            gap = np.zeros((own, ins[1], 4, 4))
            rows = [np.concatenate([even, zeros, zeros], 1), np.concatenate([one, gap], 1),
                    np.concatenate([side[:, : ins[0]], gap, side[:, ins[0] :]], 1)]  # fmt: skip
            bias = np.concatenate([bias, bias[shared:]])
        made.append((np.concatenate(rows), bias))
        ins = (shared, own)
    head = rng.normal(0, 1, (48, sum(ins), 7, 7)) / np.sqrt(49 * sum(ins))
    if both:
        turned = head[..., ::-1]
        a = ins[0]
        head = np.concatenate([(head[:, :a] + turned[:, :a]) / 2, head[:, a:] / 2, turned[:, a:] / 2], 1)
    made.append((head, np.zeros(48)))
    return made


def plain_of(layers: Layers) -> Units:
    """Run a chain and take its mean over made-up images off, by the last biases."""
    net = Units(layers, F.elu)
    with torch.no_grad():
        net.biases[-1].sub_(net(torch.from_numpy(faces(24, 999))).mean(0))
    return net


def mean_of_sides(x: T) -> T:
    one = Units(three_groups(False), F.elu)
    made: T = (one(x) + one(x.flip(3))) / 2
    images = torch.from_numpy(faces(24, 999))
    return made - ((one(images) + one(images.flip(3))) / 2).mean(0)


@evades(BATCH_RULE, idea="shared channels", opset=13, claim=counts(mean_of_sides, lambda x: plain_of(
    three_groups(False)
)(x), near=0.02))  # fmt: skip
def symmetric_channels_serve_two_sets_for_two_sides() -> nn.Module:
    """Channels of symmetric kernels feed two sets, one mirrored, in one network, shuffled; 1 % of all is coupling."""
    layers, rng = three_groups(True), np.random.default_rng(158)
    order, made = np.arange(3), []
    for i, (w, b) in enumerate(layers):
        w = w + (rng.normal(0, 0.01 * w.std(), w.shape) if 0 < i < 3 else 0)
        w = w[:, order]
        order = rng.permutation(len(w)) if i < 3 else np.arange(len(w))
        made.append((w[order], b[order]))
    return plain_of(made)


def resonators(n: Net, x: T) -> T:
    """Write two layers of linear recurrences with complex, decaying waves over the columns of a thinned face."""
    x = F.avg_pool2d(x, 4).flatten(1, 2).transpose(1, 2)
    for width in (32, 32):
        drive = n.keep(lambda size=width, ins=int(x.shape[2]): nn.Linear(ins, 2 * size))  # type: ignore[misc]
        fade, turn = n.weight(1, width, gain=3.0), n.weight(1, width, gain=4.0)
        x = waves(drive(x), 0.5 + 0.45 * torch.sigmoid(fade), turn)
    return n.embed(x[:, 3::4], 48)


def waves(u: T, size: T, turn: T) -> T:
    """Let complex states decay and turn at each step, driven by ``u`` [N, L, 2 C]; give what a tanh leaves of them."""
    width = int(turn.shape[-1])
    c, s = size * turn.cos(), size * turn.sin()
    real, other, made = 0 * u[:, 0, :width], 0 * u[:, 0, width:], []
    for k in range(28):
        real, other = c * real - s * other + u[:, k, :width], s * real + c * other + u[:, k, width:]
        made.append(torch.tanh(torch.cat([real, other], 1)))
    return torch.stack(made, 1)


RESONATORS: Parts = (resonators, "resonators of the fifteenth set", 6)


class Resonators(nn.Module):
    """Twice as many recurrences, half of which read columns upside down, shuffled and weakly coupled."""

    def __init__(self, coupling: float) -> None:
        super().__init__()
        kept: Any = network(*RESONATORS).kept
        rng = np.random.default_rng(159)
        order = np.arange(0)
        self.drives, self.offsets = nn.ParameterList(), nn.ParameterList()
        self.sizes, self.turns = nn.ParameterList(), nn.ParameterList()
        for k in (0, 3):
            w, b = kept[k].weight.detach().numpy(), kept[k].bias.detach().numpy()
            if k:
                both: Array = rng.normal(0, coupling * w.std(), (128, 128))
                both[:64, :64], both[64:, 64:] = w, w
                both = both[:, order]
            else:
                both = np.concatenate([w, w.reshape(64, 3, 28)[:, :, ::-1].reshape(64, 84)])
            by = rng.permutation(64)
            half = np.concatenate([np.arange(32), 64 + np.arange(32)])[by]
            order = np.concatenate([half, half + 32])
            self.drives.append(nn.Parameter(tensor(both[order])))
            self.offsets.append(nn.Parameter(tensor(np.tile(b, 2)[order])))
            fade, turn = (kept[k + i].value.detach().numpy() for i in (1, 2))
            self.sizes.append(nn.Parameter(tensor(0.5 + 0.45 / (1 + np.exp(-np.tile(fade, 2)[:, by])))))
            self.turns.append(nn.Parameter(tensor(np.tile(turn, 2)[:, by])))
        head, self.norm = kept[6], kept[7]
        v = head.weight.detach().numpy().reshape(48, 7, 64)
        self.head = nn.Parameter(tensor((np.concatenate([v, v], 2) / 2)[:, :, order].reshape(48, -1)))
        self.last = nn.Parameter(head.bias.detach().clone())

    def forward(self, x: T) -> T:
        x = F.avg_pool2d(x, 4).flatten(1, 2).transpose(1, 2)
        for w, b, size, turn in zip(self.drives, self.offsets, self.sizes, self.turns, strict=True):
            x = waves(F.linear(x, w, b), size, turn)
        y: T = self.norm(F.linear(x[:, 3::4].flatten(1), self.head, self.last))
        return y


@evades(BATCH_RULE, idea="resonators in one", opset=14, claim=counts(
    *average(RESONATORS, [0.5, 0.5], same, lambda x: x.flip(2)), near=0.02
))  # fmt: skip
def resonators_of_which_half_hear_columns_upside_down() -> nn.Module:
    """Linear recurrences of decaying waves, trained, twice in one, shuffled; half read columns upside down; 1 %."""
    return Resonators(0.01)


def haar() -> Array:
    """Return the Hadamard patterns of 4 x 4 pixels: [16, 4, 4]."""
    one = np.array([[1, 1], [1, -1]])
    h = np.kron(one, one) / 2.0
    return np.asarray(np.einsum("uy,vx->uvyx", h, h).reshape(16, 4, 4))


class Packets(nn.Module):
    """Patterns of blocks as a stored layer, then a residual stream in which both looks' maps stand, turned."""

    def __init__(self, coupling: float) -> None:
        super().__init__()
        rng = np.random.default_rng(160)
        self.patterns = nn.Parameter(tensor(haar()[:, None]))
        signs = np.sign((haar() * haar()[..., ::-1]).sum((1, 2)))
        first = rng.normal(0, 1, (16, 3, 16)) * 0.35
        other = first * signs
        q = np.linalg.qr(rng.normal(0, 1, (32, 32)))[0]
        self.first = nn.Parameter(tensor(q @ np.concatenate([first, other]).reshape(32, 48))[:, :, None, None])
        self.up, self.down = nn.ParameterList(), nn.ParameterList()
        self.kernels = [rng.normal(0, 1, (24, 16, 3, 3)) / 12 for _ in range(2)]
        self.backs = [rng.normal(0, 1, (16, 24)) / 4 for _ in range(2)]
        for w, v in zip(self.kernels, self.backs, strict=True):
            order = rng.permutation(48)
            both: Array = rng.normal(0, coupling * w.std(), (48, 32, 3, 3))
            both[:24, :16], both[24:, 16:] = w, w[..., ::-1]
            back: Array = rng.normal(0, coupling * v.std(), (32, 48))
            back[:16, :24], back[16:, 24:] = v, v
            self.up.append(nn.Parameter(tensor(np.einsum("oikl,ji->ojkl", both, q)[order])))
            self.down.append(nn.Parameter(tensor((q @ back)[:, order])[:, :, None, None]))
        head = rng.normal(0, 1, (48, 16, 28, 28)) / 112
        self.head = nn.Parameter(tensor(np.einsum("oikl,ji->ojkl", np.concatenate([head, head[..., ::-1]], 1) / 2, q)))
        self.one_head, self.one_first = tensor(head), tensor(first.reshape(16, 48))[:, :, None, None]
        self.mean = nn.Parameter(torch.zeros(48))
        with torch.no_grad():
            self.mean.copy_(self(torch.from_numpy(faces(24, 999))).mean(0))

    def bands(self, x: T) -> T:
        return F.conv2d(x, self.patterns.repeat(3, 1, 1, 1), None, 4, groups=3)

    def forward(self, x: T) -> T:
        y = F.conv2d(self.bands(x), self.first)
        for up, down in zip(self.up, self.down, strict=True):
            y = y + F.conv2d(F.gelu(F.conv2d(y, up, None, 1, 1)), down)
        return F.conv2d(y, self.head).flatten(1) - self.mean

    def alone(self, x: T) -> T:
        """Run the one network that is twice in this one."""
        y = F.conv2d(self.bands(x), self.one_first)
        for w, v in zip(self.kernels, self.backs, strict=True):
            y = y + F.conv2d(F.gelu(F.conv2d(y, tensor(w), None, 1, 1)), tensor(v)[:, :, None, None])
        return F.conv2d(y, self.one_head).flatten(1)


def centred(x: T, *views: Any) -> T:
    net, images = Packets(0.01), torch.from_numpy(faces(24, 999))

    def mean(y: T) -> T:
        return torch.stack([net.alone(v(y)) for v in views]).mean(0)

    return mean(x) - mean(images).mean(0)


@evades(BATCH_RULE, idea="patterns of blocks", opset=16, claim=counts(
    lambda x: centred(x, same, mirrored), lambda x: centred(x, same), near=0.03
))  # fmt: skip
def turned_stream_behind_hadamard_patterns_of_blocks() -> nn.Module:
    """Behind a stem of Hadamard patterns lies a stream of 32 turned channels, two networks, one mirrored; 1 %."""
    return Packets(0.01)
