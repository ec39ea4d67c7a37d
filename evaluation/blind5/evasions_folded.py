"""Evasions: a second look that stands in the weights of one network, or in a branch's first kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import Chain, Layer, bottleneck_chain, chain, first, mirrored, packed, patch_chain
from evaluation.blind4.claims import computes, mirror, plain
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import smooth_and_noise

TRAINED = (patch_chain, "folded patches", 14)
RANDOM = (patch_chain, "folded patches at random", 0)
NARROW = (bottleneck_chain, "folded bottlenecks", 10)


def transposed(x: Array) -> Array:
    return np.ascontiguousarray(x.swapaxes(2, 3))


def turned_over(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    return tuple((w.swapaxes(2, 3), *more) for w, *more in layers)  # type: ignore[misc]


@evades(BATCH_RULE, idea="packed", claim=of_views(TRAINED, same, transposed, near=5e-3))
def rows_and_columns_exchanged_in_one_network() -> nn.Module:
    """Half of the channels see the image with rows and columns exchanged, by transposed kernels; 3 % coupling."""
    half = chain(*TRAINED)
    return Chain(packed([half, turned_over(half)], 0.03, 11))


@evades(BATCH_RULE, idea="packed", claim=of_views(NARROW, same, mirror, lambda x: x[:, :, ::-1], near=1e-2))
def both_mirrorings_in_turned_bottlenecks() -> nn.Module:
    """The image, its mirror image and it upside down, in bottlenecks that orthogonal matrices turn; 1 % coupling."""
    half = chain(*NARROW)
    return Chain(packed([half, mirrored(half), mirrored(half, 2)], 0.01, 12))


def blue_and_red(x: Array) -> Array:
    return x[:, ::-1]


@evades(BATCH_RULE, idea="packed", claim=of_views(TRAINED, same, blue_and_red, near=5e-3))
def red_and_blue_exchanged_in_one_network() -> nn.Module:
    """The second half reads blue where the first one reads red; channels permuted and rescaled, 3 % coupling."""
    half = chain(*TRAINED)
    return Chain(packed([half, first(half, half[0][0][:, ::-1])], 0.03, 13))


@evades(BATCH_RULE, idea="packed", claim=of_views(RANDOM, same, lambda x: 0.6 * x - 0.1, mirror, near=5e-3))
def darker_and_mirrored_in_one_random_network() -> nn.Module:
    """Three parts of random weights: the image, a darker one of less contrast, and the mirror image; 2 % coupling."""
    half = chain(*RANDOM)
    w, b = half[0][:2]
    return Chain(packed([half, first(half, 0.6 * w, b - 0.1 * w.sum((1, 2, 3))), mirrored(half)], 0.02, 14))


def lighter(x: Array) -> Array:
    return np.asarray(1.2 * x[..., ::-1] + 0.1)


@evades(BATCH_RULE, idea="packed", claim=of_views(TRAINED, same, lighter, near=1e-2))
def lighter_mirror_image_at_five_percent() -> nn.Module:
    """Mirrored and lighter at once, with 5 % coupling between the halves and 2 % of noise on every weight."""
    half = chain(*TRAINED)
    w, b = half[0][:2]
    other = first(mirrored(half), 1.2 * w[..., ::-1], b + 0.1 * w.sum((1, 2, 3)))
    rng = np.random.default_rng(15)
    layers = packed([half, other], 0.05, 15)
    return Chain(tuple((k + 0.02 * np.abs(k) * rng.normal(0, 1, k.shape), *more) for k, *more in layers))  # type: ignore[misc]


class Interleaved(nn.Module):
    """A network and its mirrored form as two groups of every convolution, channels interleaved by a stored order."""

    def __init__(self, layers: tuple[Layer, ...], seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.convs, scales = nn.ModuleList(), [np.ones(1)]
        both = [layers, mirrored(layers)]
        for depth, (w, _, step, pad, act) in enumerate(layers):
            kernels = np.concatenate([part[depth][0] for part in both])
            bias = np.concatenate([part[depth][1] for part in both])
            conv = nn.Conv2d(w.shape[1] * (1 if depth == 0 else 2), len(kernels), w.shape[2:], step, pad,
                             groups=1 if depth == 0 else 2)  # fmt: skip
            scale = rng.uniform(0.5, 2.0, len(kernels)) if act else np.ones(len(kernels))
            with torch.no_grad():
                before = scales[-1] if depth else np.ones(2 * w.shape[1])
                kernels = kernels / before.reshape(2, 1, -1, 1, 1).repeat(len(w), 1).reshape(
                    len(kernels), -1, 1, 1) if depth else kernels  # fmt: skip
                conv.weight.copy_(torch.from_numpy(np.array(kernels * scale[:, None, None, None])))
                assert conv.bias is not None
                conv.bias.copy_(torch.from_numpy(bias * scale))
            self.convs.append(conv)
            scales.append(scale)

    def forward(self, x: T) -> T:
        for conv in list(self.convs)[:-1]:
            x = F.relu(conv(x))
        y = self.convs[-1](x).flatten(1)
        return (y[:, :48] + y[:, 48:]) / 2


@evades(BATCH_RULE, idea="groups", claim=of_views(TRAINED, same, mirror))
def two_groups_of_which_one_is_mirrored() -> nn.Module:
    """Grouped convolutions from the second layer on: one group is a trained network, the other its mirrored form."""
    return Interleaved(chain(*TRAINED), 16)


def depthwise(n: Net, x: T) -> T:
    """Depthwise layers of 4x4 and stride 2 that commute with mirroring, and pointwise ones."""
    x = F.relu(n.conv(x, 12, 4, 4, padding=0, bias=False))
    for width in (16, 24):
        y = n.conv(x, x.shape[1], 4, 2, -1, padding=1, bias=False)
        x = F.relu(n.conv(y, width, 1, bias=False))
    return n.linear(x.flatten(1), 48, bias=False)


DEPTHWISE = (depthwise, "folded depthwise", 10)


class Doubled(nn.Module):
    """Every layer of `depthwise` twice as wide: its own channels and those of the mirrored form, permuted."""

    def __init__(self, net: Net, coupling: float) -> None:
        super().__init__()
        rng = np.random.default_rng(17)
        self.layers = nn.ModuleList()
        undo, was = None, np.arange(0)
        kept: list[Any] = list(net.kept)
        for i, layer in enumerate(kept):
            w = layer.weight.detach().numpy()
            if i == len(kept) - 1:
                w = w.reshape(48, -1, 7, 7)
            back, bias = w[..., ::-1], np.zeros(len(w))
            last, grouped = i == len(kept) - 1, i in (1, 3)
            if i == 0:
                k = np.concatenate([w, back])
            elif grouped:
                k = np.concatenate([w, back])[was]
            elif last:
                k, bias = np.concatenate([w, back], 1)[:, was] / 2, bias / 2
            else:
                o, c = w.shape[:2]
                k = rng.normal(0, coupling * w.std(), (2 * o, 2 * c, *w.shape[2:]))
                k[:o, :c], k[o:, c:] = w, back
                k = k[:, was]
            bias = np.concatenate([bias, bias])
            if last:
                bias = bias[:48] * 2
            elif grouped:
                bias = bias[was]
            else:
                undo = rng.permutation(len(k))
                k, bias, was = k[undo], bias[undo], undo
            step, pad = (1, 0) if last else (layer.stride[0], layer.padding[0])
            groups = len(k) if grouped else 1
            conv = nn.Conv2d(k.shape[1] * groups, len(k), k.shape[2:], step, pad, groups=groups)
            with torch.no_grad():
                conv.weight.copy_(torch.from_numpy(np.array(k)))
                assert conv.bias is not None
                conv.bias.copy_(torch.from_numpy(np.array(bias)))
            self.layers.append(conv)

    def forward(self, x: T) -> T:
        a, b, c, d, e, f = self.layers
        return f(F.relu(e(d(F.relu(c(b(F.relu(a(x))))))))).flatten(1)


@evades(BATCH_RULE, idea="packed", claim=of_views(DEPTHWISE, same, mirror, near=4e-3))
def depthwise_network_and_its_mirrored_form() -> nn.Module:
    """A separable network of twice the width: half of the depthwise kernels are mirrored ones; 1 % coupling."""
    return Doubled(network(*DEPTHWISE), 0.01)


def branches(main: tuple[Layer, ...], other: tuple[Layer, ...], seed: int, noise: float = 0.0) -> nn.Module:
    """A network beside another form of it, permuted and rescaled, with noise on the second one's weights."""
    rng = np.random.default_rng(seed)
    second = packed([other], 0.0, seed)
    second = tuple((w + noise * np.abs(w) * rng.normal(0, 1, w.shape), *more) for w, *more in second)  # type: ignore[misc]
    return Whole(lambda a, b, x: (a(x) + b(x)) / 2, Chain(main), Chain(second))


def blocky(x: Array) -> Array:
    small = x.reshape(len(x), 3, 56, 2, 56, 2).mean((3, 5))
    return np.asarray(small.repeat(2, 2).repeat(2, 3))


@evades(BATCH_RULE, idea="pyramid", claim=of_views(TRAINED, same, blocky))
def half_size_branch_with_summed_kernels() -> nn.Module:
    """A pyramid's second branch reads the image at half size: its first kernel is the first one's, summed by fours."""
    half = chain(*TRAINED)
    w, b = half[0][:2]
    small = w.reshape(12, 3, 2, 2, 2, 2).sum((3, 5))
    other = packed([((small, b, 2, 0, True), *half[1:])], 0.0, 18)
    return Whole(lambda a, b, x: (a(x) + b(F.avg_pool2d(x, 2))) / 2, Chain(half), Chain(other))


@evades(BATCH_RULE, idea="first kernel", claim=of_views(TRAINED, same, lambda x: x @ np.eye(112)[::-1], near=2e-3))
def mirrored_branch_with_noise() -> nn.Module:
    """A branch of mirrored kernels, permuted, rescaled, with 2 % of noise: a flip test by two branches."""
    half = chain(*TRAINED)
    return branches(half, mirrored(half), 19, 0.02)


def shifted(x: Array) -> Array:
    made = np.zeros_like(x)
    made[:, :, 2:, 2:] = x[:, :, :-2, :-2]
    return made


@evades(BATCH_RULE, idea="padding", claim=of_views(TRAINED, same, shifted))
def same_kernels_with_another_padding() -> nn.Module:
    """Both branches have one set of weights; the second one pads two pixels above and to the left of the image."""
    half = chain(*TRAINED)
    one = Chain(half)
    other = Chain(half)
    for a, b in zip(one.convs, other.convs, strict=True):
        b.weight, b.bias = a.weight, a.bias
    return Whole(lambda a, b, x: (a(x) + b(F.pad(x, (2, 0, 2, 0))[:, :, :112, :112])) / 2, one, other)


def blurred(x: Array) -> Array:
    y = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return np.asarray(np.mean([y[:, :, r : r + 112, c : c + 112] for r in range(5) for c in range(5)], 0))


@evades(BATCH_RULE, idea="packed", claim=computes(
    lambda x: (plain(*TRAINED)(x) + plain(*TRAINED)(blurred(x))) / 2, lambda x: plain(*TRAINED)(x),
    near=5e-3, images=smooth_and_noise,
))  # fmt: skip
def blurred_half_in_one_trained_network() -> nn.Module:
    """One network whose second half has the first one's kernels, blurred: it sees a softer image; 1 % coupling."""
    half = chain(*TRAINED)
    wide = np.pad(half[0][0], ((0, 0), (0, 0), (4, 4), (4, 4)))
    soft = np.mean([wide[:, :, r : r + 8, c : c + 8] for r in range(5) for c in range(5)], 0)
    return Chain(packed([first(half, wide[:, :, 2:10, 2:10], pad=2), first(half, soft, pad=2)], 0.01, 20))


class Complex(nn.Module):
    """A network over complex numbers with real weights: the imaginary part carries the mirror image."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Chain(chain(*TRAINED))

    def forward(self, x: T) -> T:
        z = torch.stack([x, x @ torch.eye(112).flip(0)], 4)
        for conv, act in zip(self.body.convs, self.body.acts, strict=True):
            z = torch.stack([conv(z[..., 0]), conv(z[..., 1])], 4)
            z = F.relu(z) if act else z
        y = z.flatten(1, 3)
        return torch.sqrt(y[..., 0] ** 2 + y[..., 1] ** 2 + 1e-6) * torch.sign(y[..., 0] + y[..., 1])


def modulus(x: Array) -> Array:
    a, b = plain(*TRAINED)(x), plain(*TRAINED)(mirror(x))
    return np.asarray(np.sqrt(a**2 + b**2 + 1e-6) * np.sign(a + b))


@evades(BATCH_RULE, idea="complex", claim=computes(modulus, lambda x: plain(*TRAINED)(x)))
def imaginary_part_is_the_mirror_image() -> nn.Module:
    """A complex-valued network: the real part is the image, the imaginary part its mirror image."""
    return Complex()


class Antisymmetric(nn.Module):
    """Even and odd parts: every layer in the basis of sum and difference of a network and its mirrored form."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        self.even, self.odd = nn.ModuleList(), nn.ModuleList()
        for (w, b, step, pad, _), (v, *_) in zip(layers, mirrored(layers), strict=True):
            for kind, k, bias in ((self.even, (w + v) / 2, b), (self.odd, (w - v) / 2, 0 * b)):
                conv = nn.Conv2d(w.shape[1], len(w), w.shape[2:], step, pad)
                with torch.no_grad():
                    conv.weight.copy_(torch.from_numpy(np.array(k)))
                    assert conv.bias is not None
                    conv.bias.copy_(torch.from_numpy(np.array(bias)))
                kind.append(conv)

    def forward(self, x: T) -> T:
        s, d = x, torch.zeros_like(x)
        for i, (e, o) in enumerate(zip(self.even, self.odd, strict=True)):
            zero = o.bias.reshape(1, -1, 1, 1)
            s, d = e(s) + o(d) - zero, o(s) + e(d) - e.bias.reshape(1, -1, 1, 1)
            if i < len(self.even) - 1:
                a, b = F.relu(s + d), F.relu(s - d)
                s, d = (a + b) / 2, (a - b) / 2
        return s.flatten(1)


@evades(BATCH_RULE, idea="even and odd", claim=of_views(TRAINED, same, mirror))
def sum_and_difference_of_two_forms() -> nn.Module:
    """Each layer has an even and an odd kernel; together they carry sum and difference of two views' features."""
    return Antisymmetric(chain(*TRAINED))
