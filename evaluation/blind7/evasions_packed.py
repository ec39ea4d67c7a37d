"""Evasions: two looks in the layers of one network, or in a second branch whose kernels look like something else."""

from __future__ import annotations

from typing import cast

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import Chain, Layer, bottleneck_chain, chain, first, mirrored, packed, patch_chain
from evaluation.blind4.claims import computes, mirror
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import network
from evaluation.blind4.layers import T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import by_dynamo, folded, iso, nearer, tiles, torch_of, trained_on
from evaluation.blind6.evasions_kernels import hidden, mean_of
from evaluation.blind7.evasions_nets import Parts, of, tensor
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

TRAINED: Parts = (patch_chain, "packed seventh", 14)
RANDOM: Parts = (patch_chain, "packed seventh at random", 0)
NARROW: Parts = (bottleneck_chain, "packed seventh bottlenecks", 8)
ISO: Parts = (iso, "packed seventh, one width", 0)
TILES: Parts = (tiles, "packed seventh tiles", 8)

#: Colours with twice the saturation.
VIVID = 2 * np.eye(3) - 1 / 3


def vivid(x: Array) -> Array:
    return np.asarray(np.einsum("ab,nbhw->nahw", VIVID, x), np.float32)


@evades(BATCH_RULE, idea="two in one", claim=of_views(TRAINED, same, vivid, near=2e-3))
def second_half_sees_twice_the_saturation() -> nn.Module:
    """A trained network twice in one, channels permuted and rescaled, 2 % coupling; one half sees stronger colours."""
    half = chain(*TRAINED)
    return Chain(packed([half, first(half, np.einsum("obhw,ba->oahw", half[0][0], VIVID))], 0.02, 71))


@evades(BATCH_RULE, idea="two in one", opset=15, claim=of_views(RANDOM, same, lambda x: -x, near=2e-3))
def second_half_sees_the_negative() -> nn.Module:
    """A random network twice in one with 1 % coupling; the second half's first kernel has the other sign."""
    half = chain(*RANDOM)
    return Chain(packed([half, first(half, -half[0][0])], 0.01, 72))


@evades(BATCH_RULE, idea="packed, then trained", opset=13, claim=nearer(
    lambda x: of(NARROW)(x) + of(NARROW)(x[:, :, ::-1, ::-1]), of(NARROW), lambda x: of(NARROW)(x[:, :, ::-1, ::-1]),
    times=2,
))  # fmt: skip
def half_turned_bottlenecks_trained_together() -> nn.Module:
    """The image and it half turned in bottlenecks that orthogonal matrices turn; 1 % coupling, then trained as one."""
    half = chain(*NARROW)
    return trained_on(Chain(packed([half, mirrored(half, 2, 3)], 0.01, 73)), 2, 73)


class Normalised(nn.Module):
    """Two sets of maps under one layer normalisation of all channels, as halves or as they were shuffled."""

    def __init__(self, shuffle: bool) -> None:
        super().__init__()
        rng = np.random.default_rng(74)
        half = chain(*TRAINED)
        both = mirrored(half, 2)
        self.convs = nn.ModuleList()
        before = np.arange(3)
        for depth, (a, b) in enumerate(zip(half, both, strict=True)):
            last = depth == len(half) - 1
            if depth == 0:
                w = np.concatenate([a[0], b[0]])
            elif last:
                w = np.concatenate([a[0], b[0]], 1) / 2
            else:
                w = np.zeros((2 * len(a[0]), 2 * a[0].shape[1], *a[0].shape[2:]))
                w[: len(a[0]), : a[0].shape[1]], w[len(a[0]) :, a[0].shape[1] :] = a[0], b[0]
            bias = a[1] if last else np.concatenate([a[1], b[1]])
            after = rng.permutation(len(w)) if shuffle and not last else np.arange(len(w))
            self.convs.append(conv_of(w[after][:, before], bias[after], a[2], a[3]))
            before = after

    def forward(self, x: T) -> T:
        for conv in list(self.convs)[:-1]:
            y = conv(x)
            y = (y - y.mean(1, keepdim=True)) * torch.rsqrt(y.var(1, keepdim=True, unbiased=False) + 0.1)
            x = F.relu(y)
        return self.convs[-1](x).flatten(1)


def conv_of(w: Array, b: Array, step: int, pad: int) -> nn.Conv2d:
    made = nn.Conv2d(w.shape[1], len(w), w.shape[2:], step, pad)
    with torch.no_grad():
        made.weight.copy_(tensor(w))
        assert made.bias is not None
        made.bias.copy_(tensor(b))
    return made


def each_normalised(x: Array, back: bool = True) -> Array:
    """Two networks, one on the image, one on it upside down; their maps meet in nothing but mean and variance."""
    half = [tuple(tensor(v) for v in layer[:2]) + layer[2:4] for layer in chain(*TRAINED)]

    def run(image: T) -> T:
        looks = [image, image.flip(2) if back else image]
        for w, b, step, pad in half[:-1]:
            looks = [F.conv2d(v, w, b, step, pad) for v in looks]
            second = looks[1].flip(2) if back else looks[1]
            y = torch.cat([looks[0], second], 1)
            mean, scale = y.mean(1, keepdim=True), torch.rsqrt(y.var(1, keepdim=True, unbiased=False) + 0.1)
            second = F.relu((second - mean) * scale)
            looks = [F.relu((looks[0] - mean) * scale), second.flip(2) if back else second]
        w, b, _, _ = half[-1]
        return torch.stack([F.conv2d(v, w, b).flatten(1) for v in looks]).mean(0)

    return torch_of(run, x)


@evades(BATCH_RULE, idea="coupled by statistics", opset=16, claim=computes(
    each_normalised, of(TRAINED), lambda x: each_normalised(x, False), near=3e-4
))  # fmt: skip
def two_looks_under_one_normalisation() -> nn.Module:
    """Channels of the image and of it upside down, shuffled; layer normalisation of all channels is what couples."""
    return Normalised(True)


class Kronecker(nn.Module):
    """Layers that are sums of Kronecker products: [I + a little] x W + [a little] x V, made when it runs."""

    def __init__(self, layers: tuple[Layer, ...], coupling: float) -> None:
        super().__init__()
        rng = np.random.default_rng(75)
        self.layers = [layer[2:] for layer in layers]
        self.kernels = nn.ParameterList(nn.Parameter(tensor(w)) for w, *_ in layers)
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b, *_ in layers)
        size = len(layers)
        self.mix = nn.Parameter(tensor(np.eye(2) + rng.normal(0, coupling, (size, 2, 2)) * (1 - np.eye(2))))
        self.view = nn.Parameter(tensor(np.eye(112)[::-1]))

    def forward(self, x: T) -> T:
        y = torch.stack([x, x @ self.view], 2).flatten(1, 2)
        for i, (w, b) in enumerate(zip(self.kernels, self.biases, strict=True)):
            step, pad, act = self.layers[i]
            o, c, kh, kw = w.shape
            both = (w[:, None, :, None] * self.mix[i][None, :, None, :, None, None]).reshape(2 * o, 2 * c, kh, kw)
            y = F.conv2d(y, both, b.repeat_interleave(2), step, pad)
            y = F.relu(y) if act else y
        return y.flatten(1).reshape(-1, 48, 2).mean(2)


@evades(BATCH_RULE, idea="hypercomplex", opset=14, claim=of_views(TRAINED, same, mirror, near=5e-3))
def hypercomplex_layers_of_two_looks() -> nn.Module:
    """Hypercomplex layers, sums of Kronecker products, whose two components are the image and its mirror image."""
    return Kronecker(chain(*TRAINED), 0.02)


class Transposed(nn.Module):
    """Each convolution once more by the same stored kernel, as a transposed convolution whose result is thinned out."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = Chain(chain(*RANDOM))

    def forward(self, x: T) -> T:
        y = x
        for conv, act in zip(self.chain.convs, self.chain.acts, strict=True):
            k, s, p = conv.weight.shape[2], conv.stride[0], conv.padding[0]
            y = F.conv_transpose2d(y, conv.weight.transpose(0, 1), conv.bias, 1, k - 1 - p)[:, :, ::s, ::s]
            y = F.relu(y) if act else y
        return cast(T, (self.chain(x) + y.flatten(1)) / 2)


@evades(BATCH_RULE, idea="transposed", claim=of_views(RANDOM, same, lambda x: x[:, :, ::-1, ::-1]), opset=11)
def decoder_that_shares_the_encoders_kernels() -> nn.Module:
    """Transposed convolutions with the stored kernels themselves, thinned out: the same network on a half turn."""
    return Transposed()


class Differences(nn.Module):
    """A second pass with kernels that are the first ones plus stored differences."""

    def __init__(self) -> None:
        super().__init__()
        layers = chain(*TRAINED)
        turned = packed([mirrored(layers)], 0.0, 76)
        self.chain = Chain(layers)
        pairs = zip(turned, layers, strict=True)
        self.deltas = nn.ParameterList(nn.Parameter(tensor(b[i] - a[i])) for b, a in pairs for i in (0, 1))

    def forward(self, x: T) -> T:
        y, deltas = x, list(self.deltas)
        for i, (conv, act) in enumerate(zip(self.chain.convs, self.chain.acts, strict=True)):
            y = F.conv2d(y, conv.weight + deltas[2 * i], conv.bias + deltas[2 * i + 1], conv.stride, conv.padding)
            y = F.relu(y) if act else y
        return cast(T, (self.chain(x) + y.flatten(1)) / 2)


@evades(BATCH_RULE, idea="differences of weights", claim=of_views(TRAINED, same, mirror), opset=12, fold=False)
def fine_tuned_copy_kept_as_differences() -> nn.Module:
    """A second pass with weights kept as differences from the first ones, as if fine-tuned: mirrored, then shuffled."""
    return Differences()


class Harmonic(nn.Module):
    """A network on cosine kernels: depthwise basis functions, mixed by a 1x1 layer."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        self.layers = [layer[2:] for layer in layers]
        self.sizes = [layer[0].shape[2] for layer in layers]
        self.mixes = nn.ParameterList()
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b, *_ in layers)
        for w, *_ in layers:
            k = w.shape[2]
            self.mixes.append(nn.Parameter(tensor(np.einsum("ochw,uh,vw->ocuv", w, basis(k), basis(k)))))

    def forward(self, x: T) -> T:
        for i, (mix, bias) in enumerate(zip(self.mixes, self.biases, strict=True)):
            k, c = self.sizes[i], int(mix.shape[1])
            step, pad, act = self.layers[i]
            waves = tensor(np.einsum("uh,vw->uvhw", basis(k), basis(k)).reshape(k * k, 1, k, k)).repeat(c, 1, 1, 1)
            x = F.conv2d(F.conv2d(x, waves, None, step, pad, 1, c), mix.reshape(len(mix), -1, 1, 1), bias)
            x = F.relu(x) if act else x
        return x.flatten(1)


def basis(k: int) -> Array:
    u, at = np.mgrid[0:k, 0:k]
    return np.asarray(np.cos(np.pi * u * (2 * at + 1) / (2 * k)) * np.sqrt(np.where(u == 0, 1, 2) / k))


@evades(BATCH_RULE, idea="harmonic", claim=of_views(TILES, same, mirror), opset=17)
def harmonic_network_with_signs_of_odd_waves() -> onnx.ModelProto:
    """Two branches of harmonic layers, whose coefficients differ by order, scale and the signs of odd cosines."""
    half = folded(network(*TILES))
    other = packed([mirrored(half)], 0.0, 77)
    return by_dynamo(mean_of(Harmonic(half), Harmonic(other)), "harmonic network with signs")


WINOGRAD = (
    np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], float),
    np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], float),
    np.array([[1, 1, 1, 0], [0, 1, -1, -1]], float),
)


class Winograd(nn.Module):
    """Layers of 3 x 3 by Winograd's minimal filtering, whose stored weights are transformed kernels of 4 x 4."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        self.ends = Chain((layers[0], *layers[4:]))
        g = WINOGRAD[1]
        self.kernels = nn.ParameterList(
            nn.Parameter(tensor(np.einsum("ah,ochw,bw->oabc", g, w, g).transpose(1, 2, 0, 3))) for w, *_ in layers[1:4]
        )
        self.biases = nn.ParameterList(nn.Parameter(tensor(b)) for _, b, *_ in layers[1:4])

    def forward(self, x: T) -> T:
        start, *rest = self.ends.convs
        y = F.relu(start(x))
        before, after = tensor(WINOGRAD[0]), tensor(WINOGRAD[2])
        for u, bias in zip(self.kernels, self.biases, strict=True):
            c = int(u.shape[3])
            tiles_ = F.unfold(y, 4, padding=1, stride=2).reshape(-1, c, 4, 4, 49)
            d = torch.einsum("ah,nchwt,bw->abcnt", before, tiles_, before)
            m = torch.einsum("abok,abknt->abont", u, d)
            out = torch.einsum("pa,abont,qb->notpq", after, m, after).reshape(-1, u.shape[2], 7, 7, 2, 2)
            y = F.relu(out.permute(0, 1, 2, 4, 3, 5).reshape(-1, u.shape[2], 14, 14) + bias[:, None, None])
        y = F.relu(rest[0](y))
        return cast(T, rest[1](y).flatten(1))


@evades(BATCH_RULE, idea="winograd", claim=of_views(ISO, same, mirror), opset=12)
def mirrored_branch_by_minimal_filtering() -> nn.Module:
    """A second branch, mirrored and shuffled, has its 3 x 3 layers in Winograd's form beside the plain network."""
    half = folded(network(*ISO))
    return mean_of(Chain(half), Winograd(packed([mirrored(half)], 0.0, 78)))


def framed(x: Array) -> Array:
    """Blacken a frame of four pixels."""
    y = np.zeros_like(x)
    y[:, :, 4:-4, 4:-4] = x[:, :, 4:-4, 4:-4]
    return y


def embossed(x: Array) -> Array:
    y = np.pad(framed(x), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.asarray(1.5 * (y[:, :, 1:-1, 1:-1] - y[:, :, :-2, :-2]) + 0.2 * y[:, :, 1:-1, 1:-1])


class Framed(nn.Module):
    """Two branches behind a black frame of four pixels; the second one's first kernel is 5 x 5 and padded."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        w, b = layers[0][:2]
        wide = np.zeros((len(w), 3, 5, 5))
        wide[:, :, 1:, 1:] += 1.7 * w
        wide[:, :, :-1, :-1] -= 1.5 * w
        self.one, self.two = Chain(layers), hidden(first(layers, wide, b), 79)
        mask = np.zeros((112, 112))
        mask[4:-4, 4:-4] = 1
        self.mask = nn.Parameter(tensor(mask))

    def forward(self, x: T) -> T:
        y = x * self.mask
        return cast(T, (self.one(y) + self.two(F.pad(y, (1, 0, 1, 0)))) / 2)


@evades(BATCH_RULE, idea="folded view", claim=of_views(TRAINED, framed, embossed), opset=19)
def embossed_view_in_a_kernel() -> nn.Module:
    """The second, shuffled branch has the trained one's kernels as differences of two places: it sees a relief."""
    return Framed(chain(*TRAINED))
