"""Evasions: the second look stands in the kernels of a second branch, or of a second pass."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.chains import Chain, Layer, chain, first, mirrored, packed, patch_chain
from evaluation.blind4.claims import computes, mirror, plain
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind6.evasions_common import by_dynamo
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

TRAINED = (patch_chain, "kernels of the sixth set", 12)
RANDOM = (patch_chain, "kernels of the sixth set at random", 0)


def hidden(layers: tuple[Layer, ...], seed: int) -> Chain:
    """A chain with its channels permuted and rescaled."""
    return Chain(packed([layers], 0.0, seed))


def mean_of(*parts: nn.Module) -> nn.Module:
    def forward(*given: Any) -> T:
        *nets, x = given
        made: T = sum(net(x) for net in nets) / len(nets)
        return made

    return Whole(forward, *parts)


def enlarged_middle(x: Array) -> Array:
    return np.asarray(x[:, :, 28:84, 28:84].repeat(2, 2).repeat(2, 3))


class Fovea(nn.Module):
    """Kernels summed over 2 x 2 see what the plain ones see of the image at twice the size; the middle is kept."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        w, b = layers[0][:2]
        small = w.reshape(len(w), 3, 2, 2, 2, 2).sum((3, 5))
        self.chain = hidden(((small, b, 2, 0, True), *layers[1:]), 71)

    def forward(self, x: T) -> T:
        start, *rest = self.chain.convs
        y = F.relu(start(x))[:, :, 14:42, 14:42]
        for conv in rest[:-1]:
            y = F.relu(conv(y))
        return cast(T, rest[-1](y).flatten(1))


@evades(BATCH_RULE, idea="folded zoom", claim=of_views(TRAINED, same, enlarged_middle), opset=11)
def fovea_of_summed_kernels() -> nn.Module:
    """A branch of half the stride and summed kernels, whose maps are cut to the middle: that at twice the size."""
    half = chain(*TRAINED)
    return mean_of(Chain(half), Fovea(half))


def field(x: Array, start: int) -> Array:
    return np.asarray(x[:, :, start::2].repeat(2, 2))


@evades(BATCH_RULE, idea="folded fields", opset=12, claim=of_views(
    TRAINED, lambda x: field(x, 0), lambda x: field(x, 1)
))  # fmt: skip
def two_fields_of_interlaced_lines() -> nn.Module:
    """Two branches whose first kernels have every other row: one sees the even lines doubled, one the odd ones."""
    half = chain(*TRAINED)
    parts = []
    for start, seed in ((0, 72), (1, 73)):
        w = np.zeros_like(half[0][0])
        w[:, :, start::2] = half[0][0][:, :, ::2] + half[0][0][:, :, 1::2]
        parts.append(hidden(first(half, w), seed))
    return mean_of(*parts)


def one_colour(x: Array, i: int) -> Array:
    return np.asarray(x[:, [i, i, i]])


@evades(BATCH_RULE, idea="folded colours", opset=18, claim=of_views(
    RANDOM, lambda x: one_colour(x, 0), lambda x: one_colour(x, 1), lambda x: one_colour(x, 2)
))  # fmt: skip
def three_grey_looks_of_red_green_and_blue() -> nn.Module:
    """Three branches each read one colour alone, with kernels summed over the colours: three grey images."""
    half = chain(*RANDOM)
    parts = []
    for i in range(3):
        w = np.zeros_like(half[0][0])
        w[:, i] = half[0][0].sum(1)
        parts.append(hidden(first(half, w), 74 + i))
    return mean_of(*parts)


class Turning(nn.Module):
    """A chain whose kernels are multiplied by a stored permutation of their taps when it runs."""

    def __init__(self, body: Chain) -> None:
        super().__init__()
        self.body = body
        self.turns = nn.ParameterList()
        for conv in body.convs:
            k = int(conv.weight.shape[-1])
            order = np.rot90(np.arange(k * k).reshape(k, k), -1).flatten()
            self.turns.append(nn.Parameter(torch.from_numpy(np.eye(k * k, dtype=np.float32)[order].T.copy())))

    def forward(self, x: T) -> T:
        for layer, turn, act in zip(self.body.convs, self.turns, self.body.acts, strict=True):
            conv = cast(nn.Conv2d, layer)
            w = (conv.weight.flatten(2) @ turn).reshape(conv.weight.shape)
            x = F.conv2d(x, w, conv.bias, conv.stride, conv.padding)
            x = F.relu(x) if act else x
        return x.flatten(1)


@evades(BATCH_RULE, idea="kernels turned in the graph", opset=15, fold=False, claim=of_views(
    TRAINED, same, lambda x: np.rot90(x, 1, (2, 3))
))  # fmt: skip
def kernels_turned_by_a_product_when_it_runs() -> nn.Module:
    """The second pass multiplies the taps of every kernel by a stored matrix, which turns them by a quarter."""
    body = Chain(chain(*TRAINED))
    return mean_of(body, Turning(body))


def pruned() -> tuple[Layer, ...]:
    """The mirrored form without the smallest third of its weights."""
    return tuple(
        (np.where(np.abs(w) < np.quantile(np.abs(w), 0.33), 0, w), b, step, pad, act)
        for w, b, step, pad, act in mirrored(chain(*TRAINED))
    )


def with_pruned(x: Array) -> Array:
    with torch.no_grad():
        other = Chain(pruned())(torch.from_numpy(np.ascontiguousarray(x))).numpy()
    return np.asarray(plain(*TRAINED)(x) / 2 + other / 2)


def near_to_the_mirror(run: Any) -> list[str]:
    """Besides the formula: the pruned branch is nearer to the plain network on the mirror image than on the image."""
    from evaluation.blind4.claims import apart
    from evaluation.images import faces

    x, found = faces(4, 5), computes(with_pruned, plain(*TRAINED))(run)
    other = 2 * with_pruned(x) - plain(*TRAINED)(x)
    off, far = apart(other, plain(*TRAINED)(mirror(x))), apart(other, plain(*TRAINED)(x))
    return found if 2 * off < far else [*found, f"the pruned branch is {off:.2g} from the mirror, {far:.2g} from it"]


@evades(BATCH_RULE, idea="twin with other weights", claim=near_to_the_mirror, opset=14)
def pruned_branch_for_the_mirror_image() -> nn.Module:
    """A second branch of mirrored kernels, shuffled, from which a third of the weights is pruned."""
    return mean_of(Chain(chain(*TRAINED)), hidden(pruned(), 78))


class TallAndWide(nn.Module):
    """A chain each of whose layers is a tall kernel and then a wide one, exactly the same by their ranks."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        self.tall, self.wide = nn.ModuleList(), nn.ModuleList()
        for w, b, step, pad, _ in layers:
            o, i, kh, kw = w.shape
            u, s, v = np.linalg.svd(w.transpose(2, 1, 0, 3).reshape(kh * i, o * kw), full_matrices=False)
            r = len(s)
            a = (u * np.sqrt(s)).reshape(kh, i, r).transpose(2, 1, 0)[..., None]
            c = (np.sqrt(s)[:, None] * v).reshape(r, o, kw).transpose(1, 0, 2)[:, :, None]
            one = nn.Conv2d(i, r, (kh, 1), (step, 1), (pad, 0), bias=False)
            two = nn.Conv2d(r, o, (1, kw), (1, step), (0, pad))
            with torch.no_grad():
                one.weight.copy_(torch.from_numpy(a.copy()))
                two.weight.copy_(torch.from_numpy(c.copy()))
                assert two.bias is not None
                two.bias.copy_(torch.from_numpy(np.array(b)))
            self.tall.append(one)
            self.wide.append(two)

    def forward(self, x: T) -> T:
        for i, (one, two) in enumerate(zip(self.tall, self.wide, strict=True)):
            x = two(one(x))
            x = F.relu(x) if i < len(self.tall) - 1 else x
        return x.flatten(1)


@evades(BATCH_RULE, idea="twin of another form", claim=of_views(TRAINED, same, mirror))
def mirrored_branch_of_tall_and_wide_kernels() -> onnx.ModelProto:
    """The second branch is made of tall and wide kernels, as if separable; their products are the mirrored kernels."""
    half = chain(*TRAINED)
    return by_dynamo(
        mean_of(Chain(half), TallAndWide(packed([mirrored(half)], 0.0, 79))), "mirrored branch of tall and wide kernels"
    )


class Unfolded(nn.Module):
    """A chain that runs by unfolding and matrix products."""

    def __init__(self, layers: tuple[Layer, ...]) -> None:
        super().__init__()
        self.sizes = [(w.shape[2], step, pad) for w, _, step, pad, _ in layers]
        self.w = nn.ParameterList(
            nn.Parameter(torch.from_numpy(w.reshape(len(w), -1).astype(np.float32))) for w, *_ in layers
        )
        self.b = nn.ParameterList(nn.Parameter(torch.from_numpy(b.astype(np.float32))) for _, b, *_ in layers)

    def forward(self, x: T) -> T:
        side = 112
        for i, (k, step, pad) in enumerate(self.sizes):
            side = (side + 2 * pad - k) // step + 1
            y = self.w[i] @ F.unfold(x, k, 1, pad, step) + self.b[i][:, None]
            x = (F.relu(y) if i < len(self.sizes) - 1 else y).reshape(-1, len(self.w[i]), side, side)
        return x.flatten(1)


@evades(
    BATCH_RULE, idea="twin of another form", claim=of_views(RANDOM, same, lambda x: np.rot90(x, 2, (2, 3))), opset=13
)
def half_turn_by_unfolded_products() -> nn.Module:
    """Beside convolutions stands a branch of unfolding and products: the same network with its kernels half turned."""
    half = chain(*RANDOM)
    return mean_of(Chain(half), Unfolded(packed([mirrored(half, 2, 3)], 0.0, 80)))


def cosines() -> Array:
    """Return the kernels of a cosine transform of blocks of 8 x 8: [64, 8, 8]."""
    k, at = np.arange(8)[:, None], np.arange(8)[None]
    d = np.cos(np.pi * (at + 0.5) * k / 8) * np.where(k == 0, np.sqrt(1 / 8), np.sqrt(1 / 4))
    return np.asarray(np.einsum("ur,vc->uvrc", d, d).reshape(64, 8, 8))


def coefficients(x: T) -> T:
    """Transform blocks of each colour: [N, 3, 112, 112] to [N, 192, 14, 14]."""
    kernel = torch.from_numpy(cosines()[:, None].astype(np.float32))
    return F.conv2d(x.reshape(-1, 1, 112, 112), kernel, None, 8).reshape(-1, 192, 14, 14)


def of_coefficients(n: Net, y: T) -> T:
    y = n.cbr(n.cbr(y, 32, 1), 24, 2, 2, padding=0)
    return n.embed(n.cbr(y, 24, 1), 48)


def learned_in_cosines(n: Net, x: T) -> T:
    """Learns from the coefficients of a block cosine transform, as networks on JPEG files do."""
    return of_coefficients(n, coefficients(x))


COSINES = (learned_in_cosines, "cosine coefficients", 8)


class Signs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network(*COSINES)
        odd = (-1.0) ** (np.arange(64) % 8)
        self.signs = nn.Parameter(torch.from_numpy(np.tile(odd, 3).astype(np.float32)).reshape(1, 192, 1, 1))

    def forward(self, x: T) -> T:
        y = coefficients(x)
        self.net._at = 0
        once = of_coefficients(self.net, y)
        self.net._at = 0
        order = torch.arange(13, -1, -1)
        return (once + of_coefficients(self.net, (y * self.signs).index_select(3, order))) / 2


@evades(BATCH_RULE, idea="cosine domain", claim=of_views(COSINES, same, mirror), opset=16)
def signs_of_odd_cosine_coefficients() -> nn.Module:
    """A network on block cosine coefficients runs twice, once with the odd ones' signs changed: blocks mirrored."""
    return Signs()


def by_experts(x: Array) -> Array:
    share = 1 / (1 + np.exp(-2 * x[:, :, 40:72].mean((1, 2, 3))))[:, None]
    f = plain(*TRAINED)
    return np.asarray(share * f(x) + (1 - share) * f(mirror(x)))


@evades(
    BATCH_RULE,
    idea="experts",
    claim=computes(by_experts, plain(*TRAINED), lambda x: plain(*TRAINED)(mirror(x))),
    opset=20,
)
def soft_experts_that_mirror_each_other() -> onnx.ModelProto:
    """A soft mixture of two experts, weighted by the light on the eyes; one is the other's shuffled, mirrored form."""
    half = chain(*TRAINED)

    def forward(a: Part, b: Part, x: T) -> T:
        share = torch.sigmoid(2 * x[:, :, 40:72].mean((1, 2, 3)))[:, None]
        return share * a(x) + (1 - share) * b(x)

    return by_dynamo(Whole(forward, Chain(half), hidden(mirrored(half), 81)), "soft experts that mirror each other")
