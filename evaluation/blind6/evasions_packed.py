"""Evasions: two looks packed into one network, in forms that hide which channels belong together."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import Chain, Layer, chain, mirrored, packed, patch_chain
from evaluation.blind4.claims import computes, mirror, plain
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T, tokens
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import (
    by_dynamo,
    folded,
    in_blocks,
    iso,
    joined,
    nearer,
    shuffled,
    signs,
    trained_on,
)
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

TRAINED = (patch_chain, "packed sixth", 14)
RANDOM = (patch_chain, "packed sixth at random", 0)
OTHER = (patch_chain, "packed sixth, another", 9)
ISO = (iso, "one width", 0)


def factors(layers: tuple[Layer, ...], seed: int) -> tuple[Layer, ...]:
    """Write each layer as two without an activation between them, with a random orthogonal matrix in the middle."""
    rng, made = np.random.default_rng(seed), []
    for w, b, step, pad, act in layers:
        u, s, v = np.linalg.svd(w.reshape(len(w), -1), full_matrices=False)
        q = np.linalg.qr(rng.normal(0, 1, (len(s), len(s))))[0]
        head = (u * np.sqrt(s)) @ q.T
        front = (q @ (np.sqrt(s)[:, None] * v)).reshape(len(s), *w.shape[1:])
        made += [(front, np.zeros(len(s)), step, pad, False), (head[:, :, None, None], b, 1, 0, act)]
    return tuple(made)


@evades(BATCH_RULE, idea="packed in factors", claim=of_views(TRAINED, same, mirror, near=5e-3), opset=17)
def every_packed_layer_is_two_factors() -> nn.Module:
    """A packed flip test of a trained network whose layers are each two linear ones, turned between; 2 % coupling."""
    half = chain(*TRAINED)
    return Chain(factors(packed([half, mirrored(half)], 0.02, 61), 62))


@evades(BATCH_RULE, idea="packed out of step", claim=of_views(ISO, same, mirror, near=5e-3), opset=11)
def mirrored_half_is_one_layer_late() -> nn.Module:
    """A packed flip test whose mirrored half waits one layer: no layer holds a kernel and the same one mirrored."""
    net = folded(network(*ISO))
    wait = np.zeros((16, 16, 3, 3))
    wait[range(16), range(16), 1, 1] = 1
    idle: Layer = (wait, np.zeros(16), 1, 1, True)
    other = mirrored(net)
    return Chain(packed([(*net[:4], idle, *net[4:]), (other[0], idle, *other[1:])], 0.01, 63))


def by_rows(n: Net, x: T) -> T:
    """Rows of patch features are steps of a GRU."""
    y = n.cbr(x, 8, 4, 4, padding=0)
    state = n.same(y.permute(2, 0, 1, 3).flatten(2), lambda: nn.GRU(224, 24))[1]
    return n.embed(state[0], 48)


ROWS = (by_rows, "rows of one recurrence", 8)


class TwoHalves(nn.Module):
    """A GRU of twice the width, half of whose units read every row from its other end."""

    def __init__(self, net: Net, coupling: float) -> None:
        super().__init__()
        rng, kept = np.random.default_rng(64), list(net.kept)
        conv, norm, cell, head, last = (part for part in kept)
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach().numpy()
        w = conv.weight.detach().numpy() * scale[:, None, None, None]
        b = norm.bias.detach().numpy() - norm.running_mean.numpy() * scale
        channels, units = rng.permutation(16), rng.permutation(48)
        self.conv = nn.Conv2d(3, 16, 4, 4)
        self.cell, self.head, self.last = nn.GRU(448, 48), nn.Linear(48, 48), last
        with torch.no_grad():
            both = np.concatenate([w, w[..., ::-1]])[channels]
            self._set(self.conv.weight, both)
            assert self.conv.bias is not None
            self._set(self.conv.bias, np.tile(b, 2)[channels])
            for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
                old = getattr(cell, name).detach().numpy().reshape(3, 24, -1)
                gates = []
                for g in old:
                    if "bias" in name:
                        gates.append(np.tile(g[:, 0], 2)[units])
                    elif "hh" in name:
                        gates.append(in_blocks([g, g], coupling, rng)[units][:, units])
                    else:
                        g = g.reshape(24, 8, 28)
                        pair = in_blocks([g, g[..., ::-1]], coupling, rng)
                        gates.append(pair[units][:, channels].reshape(48, -1))
                self._set(getattr(self.cell, name), np.concatenate(gates))
            self._set(self.head.weight, np.tile(head.weight.detach().numpy(), 2)[:, units] / 2)
            self._set(self.head.bias, head.bias.detach().numpy())

    @staticmethod
    def _set(into: Any, value: Array) -> None:
        into.copy_(torch.from_numpy(np.array(value, np.float32)))

    def forward(self, x: T) -> T:
        y = F.relu(self.conv(x)).permute(2, 0, 1, 3).flatten(2)
        made: T = self.last(self.head(self.cell(y)[1][0]))
        return made


@evades(BATCH_RULE, idea="packed recurrence", opset=14, claim=of_views(ROWS, same, mirror, near=5e-3))
def units_that_read_rows_backwards() -> nn.Module:
    """One GRU over rows, half of whose units read each row of mirrored kernels' features from its end; 1 % coupling."""
    return TwoHalves(network(*ROWS), 0.01)


@evades(BATCH_RULE, idea="packed, then trained", opset=16, claim=nearer(
    lambda x: plain(*TRAINED)(x) + plain(*TRAINED)(mirror(x)), lambda x: plain(*TRAINED)(x),
    lambda x: plain(*TRAINED)(mirror(x)), times=3,
))  # fmt: skip
def packed_flip_test_trained_to_the_end() -> nn.Module:
    """A packed flip test all of whose weights were then trained together: no kernel is the exact mirror of another."""
    half = chain(*TRAINED)
    return trained_on(Chain(packed([half, mirrored(half)], 0.02, 65)), 4, 65)


def odd(n: Net, x: T) -> T:
    """Strided layers with tanh, whose channels may change sign."""
    x = torch.tanh(n.cb(x, 16, 4, 4, padding=0))
    for width in (16, 20):
        x = torch.tanh(n.cb(x, width, 4, 2, padding=1))
    return n.embed(x, 48)


ODD = (odd, "odd activations", 10)


class TanhChain(Chain):
    def forward(self, x: T) -> T:
        for conv in list(self.convs)[:-1]:
            x = torch.tanh(conv(x))
        return self.convs[-1](x).flatten(1)


@evades(BATCH_RULE, idea="packed with signs", claim=of_views(ODD, same, lambda x: x[:, :, ::-1], near=5e-3), opset=14)
def channels_of_changed_sign() -> nn.Module:
    """The image and it upside down in one tanh network, channels permuted and half of them negated; 2 % coupling."""
    half = folded(network(*ODD))
    return TanhChain(joined([half, mirrored(half, 2)], 0.02, 66, signs))


@evades(BATCH_RULE, idea="packed, small share", opset=13, claim=computes(
    lambda x: 0.75 * plain(*RANDOM)(x) + 0.25 * plain(*RANDOM)(mirror(x)), lambda x: plain(*RANDOM)(x), near=2e-3
))  # fmt: skip
def mirrored_half_counts_for_a_quarter() -> nn.Module:
    """A packed network of random weights whose mirrored half has a quarter of the embedding; 1 % coupling."""
    half = chain(*RANDOM)
    parts: list[tuple[Layer, ...]] = []
    for layers, share in ((half, 1.5), (mirrored(half), 0.5)):
        w, b, step, pad, act = layers[-1]
        parts.append((*layers[:-1], (share * w, share * b, step, pad, act)))
    return Chain(packed(parts, 0.01, 67))


def three(x: Array) -> Array:
    f = plain(*TRAINED)
    return np.asarray((f(x) + plain(*OTHER)(x) + f(mirror(x))) / 3)


@evades(BATCH_RULE, idea="packed ensemble", claim=computes(
    three, lambda x: 2 * plain(*TRAINED)(x) + plain(*OTHER)(x), near=5e-3
))  # fmt: skip
def another_network_packed_between_two_looks() -> onnx.ModelProto:
    """Three parts in one: a network, an entirely different one on the same image, and the first one's mirrored form."""
    half = chain(*TRAINED)
    return by_dynamo(
        Chain(packed([half, chain(*OTHER), mirrored(half)], 0.02, 68)), "another network packed between two looks"
    )


def dense(n: Net, x: T) -> T:
    """Each layer sees all layers before it."""
    x = n.cbr(x, 12, 8, 8, padding=0)
    for _ in range(2):
        x = torch.cat([x, n.cbr(x, 8)], 1)
    return n.embed(n.cbr(x, 24, 4, 2, padding=1), 48)


DENSE = (dense, "dense blocks", 0)


class Dense(nn.Module):
    """`dense` and its mirrored form in one of twice the width; every piece is permuted and rescaled by itself."""

    def __init__(self, net: Net, coupling: float) -> None:
        super().__init__()
        rng, layers = np.random.default_rng(69), folded(net)
        back = mirrored(layers)
        undo: list[Array] = [np.eye(3)]
        made: list[Layer] = []
        for i, ((w, b, step, pad, act), (v, *_)) in enumerate(zip(layers, back, strict=True)):
            if i == 0:
                both = np.concatenate([w, v])
            else:
                sizes = np.cumsum([len(each) // 2 for each in undo])[:-1]
                parts = zip(np.split(w, sizes, 1), np.split(v, sizes, 1), strict=True)
                last = i == len(layers) - 1
                blocks = [np.concatenate([p, q], 1) / 2 if last else in_blocks([p, q], coupling, rng) for p, q in parts]
                both = np.concatenate([np.einsum("oihw,ij->ojhw", k, u) for k, u in zip(blocks, undo, strict=True)], 1)
            if i == len(layers) - 1:
                made.append((both, b, step, pad, act))
                continue
            do = shuffled(rng, len(both))
            made.append((np.einsum("po,oihw->pihw", do, both), do @ np.tile(b, 2), step, pad, act))
            undo = [*undo, np.linalg.inv(do)] if 0 < i < 3 else [np.linalg.inv(do)]
        self.chain = Chain(tuple(made))

    def forward(self, x: T) -> T:
        stem, one, two, down, head = self.chain.convs
        x = F.relu(stem(x))
        for layer in (one, two):
            x = torch.cat([x, F.relu(layer(x))], 1)
        return head(F.relu(down(x))).flatten(1)


@evades(BATCH_RULE, idea="packed dense blocks", claim=of_views(DENSE, same, mirror, near=5e-3))
def densenet_of_two_looks() -> onnx.ModelProto:
    """A DenseNet whose every piece holds features of the image and of its mirror image, shuffled; 1 % coupling."""
    return by_dynamo(Dense(network(*DENSE), 0.01), "densenet of two looks")


def square_mixer(n: Net, x: T) -> T:
    """A mixer whose first activation is a ReLU and which nothing normalises."""
    t = tokens(n.conv(x, 24, 16, 16, padding=0))
    for _ in range(2):
        t = t + n.linear(F.relu(n.linear(t.transpose(1, 2), 40)), 49).transpose(1, 2)
        t = t + n.linear(F.relu(n.linear(t, 40)), 24)
    return n.embed(t.mean(1), 48)


MIXER = (square_mixer, "packed along the places", 8)


class PackedPlaces(nn.Module):
    """`square_mixer` over 98 places in a stored order, half of them of mirrored kernels; places mix a little."""

    def __init__(self, coupling: float) -> None:
        super().__init__()
        rng, kept = np.random.default_rng(95), list(network(*MIXER).kept)
        patch, *mixing, head, norm = kept
        self.order = nn.Parameter(torch.eye(98)[torch.from_numpy(rng.permutation(98))])
        order = self.order.detach().numpy()
        self.patch = nn.Conv2d(3, 48, 16, 16)
        self.places, self.channels = nn.ParameterList(), nn.ModuleList(mixing[2::4] + mixing[3::4])
        mirrored = np.arange(49).reshape(7, 7)[:, ::-1].flatten()
        with torch.no_grad():
            w, b = patch.weight, patch.bias
            self.patch.weight.copy_(torch.cat([w, w.flip(3)]))
            assert self.patch.bias is not None
            self.patch.bias.copy_(b.repeat(2))
        for up, down in zip(mixing[::4], mixing[1::4], strict=True):
            u, v = up.weight.detach().numpy(), down.weight.detach().numpy()
            c, d = up.bias.detach().numpy(), down.bias.detach().numpy()
            do = shuffled(rng, 80)
            first = do @ in_blocks([u, u[:, mirrored]], coupling, rng) @ order.T
            second = order @ in_blocks([v, v[mirrored]], coupling, rng) @ np.linalg.inv(do)
            for item in (first, do @ np.tile(c, 2), second, order @ np.concatenate([d, d[mirrored]])):
                self.places.append(nn.Parameter(torch.from_numpy(item.astype(np.float32))))
        self.head, self.norm = head, norm

    def forward(self, x: T) -> T:
        y = self.patch(x).flatten(2).reshape(-1, 2, 24, 49).transpose(1, 2).flatten(2)
        t = (y @ self.order.T).transpose(1, 2)
        for i in range(2):
            u, c, v, d = list(self.places)[4 * i : 4 * i + 4]
            t = t + F.linear(F.relu(F.linear(t.transpose(1, 2), u, c)), v, d).transpose(1, 2)
            up, down = self.channels[i], self.channels[2 + i]
            t = t + down(F.relu(up(t)))
        return cast(T, self.norm(self.head(t.mean(1))))


@evades(BATCH_RULE, idea="packed places", claim=of_views(MIXER, same, mirror, near=4e-3), opset=13)
def mixer_of_ninety_eight_shuffled_places() -> nn.Module:
    """A mixer whose places, in a shuffled order, are those of two looks; mixing matrices couple them by 1 %."""
    return PackedPlaces(0.01)
