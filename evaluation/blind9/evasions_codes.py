"""Evasions: weights from textures, decoders, bit streams, pairings, mantissas, masks and mixtures of nothing stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper, numpy_helper
from torch import nn

from evaluation.blind4.claims import apart
from evaluation.blind4.evasions_float16 import SHAPE, Decode, Hidden, digits, drawn, hides
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_float16 import COUNT, Stored, by_bytes
from evaluation.blind6.evasions_common import torch_of
from evaluation.blind7.evasions_codes import headed, told
from evaluation.blind7.evasions_nets import Parts, of, tensor
from evaluation.builder import Array
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def atlas() -> Decode:
    """A texture of 20 texels with eight channels; codes are places in it, at the middle of a texel."""

    def how(code: T, texture: T) -> T:
        at = (2 * code + 1) / 20 - 1
        places = torch.stack([at, torch.zeros_like(at)], 1)[None, None]
        return F.grid_sample(texture, places, mode="nearest", align_corners=False)[0, :, 0].t()

    return Decode(how, digits(COUNT // 8, base=20), drawn(1, 8, 1, 20))


@evades(FLOAT16_RULE, idea="texture", claim=hides(atlas, 0.13), fold=False, opset=16)
def texels_of_a_small_texture() -> nn.Module:
    """As a graphics card would: GridSample looks each small code up in a texture of 20 texels, eight weights each."""
    return Hidden(atlas())


def spoken() -> Decode:
    """A recurrent decoder says eight weights for each code of 32."""

    def how(code: T, first: T, again: T, out: T) -> T:
        h, said = torch.tanh((code[:, None] - 15.5) * first), []
        for _ in range(8):
            h = torch.tanh(h @ again)
            said.append(h @ out)
        return torch.cat(said, 1)

    return Decode(how, digits(COUNT // 8, base=32), 6 * drawn(1, 10), 12 * drawn(10, 10), drawn(10, 1))


@evades(FLOAT16_RULE, idea="decoder", claim=hides(spoken, 0.13), fold=False, opset=12)
def recurrent_decoder_says_eight_weights_for_a_code() -> nn.Module:
    """A small code sets the state of a stored recurrent cell, whose next outputs are eight weights of the head."""
    return Hidden(spoken())


def stream() -> Decode:
    """Bits of a one-bit converter, sixteen in a float, behind a low-pass filter: four bits for each weight."""

    def how(packed: T, taps: T) -> T:
        bits = torch.remainder(torch.floor(packed[:, None] / 2.0 ** torch.arange(16).float()), 2.0)
        return F.conv1d((2 * bits - 1).reshape(1, 1, -1), taps, None, 4, 6).flatten()

    shape = np.hanning(18)[1:-1]
    return Decode(how, digits(COUNT // 4, base=65536), tensor(0.2 * shape / shape.sum())[None, None])


@evades(FLOAT16_RULE, idea="one-bit converter", claim=hides(stream, 0.26), fold=False, opset=13)
def bits_of_a_converter_behind_a_low_pass() -> nn.Module:
    """A stream of bits, sixteen in each float, is filtered and thinned by a stride of four, as one-bit audio is."""
    return Hidden(stream())


def category_codes() -> tuple[Array, Array]:
    rng = np.random.default_rng(98)
    return rng.integers(0, 24, COUNT // 16), rng.normal(0, 0.05, (24, 16)).astype(np.float32)


def categories() -> Array:
    codes, book = category_codes()
    return np.asarray(book[codes].reshape(SHAPE))


@evades(FLOAT16_RULE, idea="categories", claim=lambda run: told(run, categories()))
def categories_of_a_one_hot_encoder() -> onnx.ModelProto:
    """OneHotEncoder, made for tables of categories, spreads numbers out; a product makes sixteen weights of each."""
    codes, book = category_codes()
    nodes = [
        helper.make_node("OneHotEncoder", ["codes"], ["marks"], domain="ai.onnx.ml", cats_int64s=list(range(24))),
        helper.make_node("Reshape", ["marks", "rows"], ["flat_marks"]),
        helper.make_node("MatMul", ["flat_marks", "book"], ["numbers"]),
    ]
    stored = [
        numpy_helper.from_array(codes.astype(np.int64), "codes"), numpy_helper.from_array(book, "book"),
        numpy_helper.from_array(np.array([-1, 24]), "rows"),
    ]  # fmt: skip
    return headed("categories of a one-hot encoder", nodes, stored, 13, categories)


def paired() -> Decode:
    """Cantor's pairing turned back: one number is two, each of which names a row of eight weights."""

    def how(code: T, one: T, two: T) -> T:
        diagonal = torch.floor((torch.sqrt(8 * code + 1) - 1) / 2)
        second = code - diagonal * (diagonal + 1) / 2
        return torch.cat([F.embedding((diagonal - second).long(), one), F.embedding(second.long(), two)], 1)

    return Decode(how, digits(COUNT // 16, base=300), drawn(24, 8), drawn(25, 8)[1:])


@evades(FLOAT16_RULE, idea="pairing", claim=hides(paired, 0.07), fold=False, opset=11)
def pairing_of_cantor_names_two_rows() -> nn.Module:
    """A square root and a floor undo Cantor's pairing: each stored number is two codes, and these sixteen weights."""
    return Hidden(paired())


def mixed_noise() -> Decode:
    """Twenty matrices of the fractions of large sines, and how much of each every block of four rows takes."""

    def how(share: T, seeds: T) -> T:
        at = torch.arange(6272).float()[None]
        noise = torch.sin(at * seeds[:, :1] + seeds[:, 1:]) * 437.585
        return 0.1 * share @ (noise - torch.floor(noise) - 0.5)

    seeds = torch.stack([torch.arange(20).float() * 0.137 + 12.9898, torch.arange(20).float() * 7.7], 1)
    return Decode(how, 20 * drawn(16, 20), seeds)


@evades(FLOAT16_RULE, idea="mixed noise", claim=hides(mixed_noise, 0.004), fold=False, opset=14)
def mixture_of_twenty_matrices_of_noise() -> nn.Module:
    """A network in random directions: 360 stored numbers mix twenty matrices of hashed places to 100,352 weights."""
    return Hidden(mixed_noise())


def float_trunk(n: Net, x: T) -> T:
    for width in (8, 16, 24, 32):
        x = n.cbr(x, width, 3, 2)
    return n.linear(x.flatten(1), 64)


TRAINED: Parts = (float_trunk, "block floating point", 12)


def mantissas() -> tuple[Array, Array, Array]:
    """Return six mantissas of four bits in each float, an exponent for each 32 weights, and the offsets."""
    head: Any = list(network(*TRAINED).kept)[-1]
    blocks = head.weight.detach().numpy().reshape(-1, 32)
    power = np.ceil(np.log2(np.abs(blocks).max(1, keepdims=True) / 7.5))
    level = np.clip(np.round(blocks / 2.0**power), -7, 7).ravel() + 7
    level = np.concatenate([level, np.zeros(-COUNT % 6)]).reshape(-1, 6)
    return (level @ 16.0 ** np.arange(6)).astype(np.float32), power.astype(np.float32), head.bias.detach().numpy()


class BlockFloats(nn.Module):
    """The trained trunk, and the head from packed mantissas and exponents."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.ModuleList(list(network(*TRAINED).kept)[:-1])
        self.packed, self.power, self.bias = (nn.Parameter(tensor(v)) for v in mantissas())

    def forward(self, x: T) -> T:
        for i in range(0, 8, 2):
            x = F.relu(self.trunk[i + 1](self.trunk[i](x)))
        rest, levels = self.packed, []
        for _ in range(6):
            high = torch.floor(rest * 0.0625)
            levels.append(rest - 16 * high - 7)
            rest = high
        w = torch.stack(levels, 1).flatten()[:COUNT].reshape(-1, 32) * torch.pow(2.0, self.power)
        return F.linear(x.flatten(1), w.reshape(SHAPE), self.bias)


def of_mantissas(run: Network) -> list[str]:
    """Claim that the head is that of the mantissas, and still nearly the trained one."""
    kept: list[Any] = list(network(*TRAINED).kept)
    packed, power, bias = mantissas()
    levels = (packed.astype(np.int64)[:, None] >> (4 * np.arange(6))) % 16 - 7
    w = tensor((levels.ravel()[:COUNT].reshape(-1, 32) * 2.0**power).reshape(SHAPE))

    def written(y: T) -> T:
        for i in range(0, 8, 2):
            y = F.relu(kept[i + 1](kept[i](y)))
        return F.linear(y.flatten(1), w, tensor(bias))

    x = faces(3, 5)
    found = [] if apart(alone(run, x), torch_of(written, x)) < 1e-4 else ["it is not the network of the mantissas"]
    near = apart(alone(run, x), of(TRAINED)(x))
    return found if near < 0.1 else [*found, f"it has left the trained network by {near:.2g}"]


@evades(FLOAT16_RULE, idea="block floats", claim=of_mantissas, fold=False, opset=13)
def six_mantissas_in_a_float_and_shared_exponents() -> nn.Module:
    """A trained head in block floating point: mantissas of four bits, six in each float, an exponent for each 32."""
    return BlockFloats()


def masks() -> Stored:
    """Three masks of one byte for each weight, which say what of three sizes is added or taken off."""

    def how(a: T, b: T, c: T, size: T) -> T:
        one, two, three = (torch.where(m, s, -s) for m, s in zip((a, b, c), size.split(1), strict=True))
        return one + two + three

    rng = np.random.default_rng(99)
    bits = [torch.from_numpy(rng.random(SHAPE) < 0.5) for _ in range(3)]
    return Stored(how, *bits, torch.tensor([0.04, 0.021, 0.011]))


def masked_levels(run: Network) -> list[str]:
    """Three bytes a weight and eight levels: the decoded network, in three quarters of the bytes."""
    return by_bytes(masks, 0.76)(run)


@evades(FLOAT16_RULE, idea="masks", claim=masked_levels, fold=False, opset=15)
def eight_levels_by_three_masks_of_truth_values() -> nn.Module:
    """No number of the head is stored: three masks of true and false choose signs of three sizes, which are summed."""
    return Hidden(masks())


def golden() -> Decode:
    """Zeckendorf's digits of whole numbers: 28 Fibonacci numbers that are in a sum or not."""
    steps = [1, 2]
    while len(steps) < 28:
        steps.append(steps[-1] + steps[-2])

    def how(number: T, size: T) -> T:
        rest, kept = number, []
        for step in reversed(steps):
            has = (rest >= step).float()
            rest = rest - step * has
            kept.append(has)
        return (torch.stack(kept, 1) - 0.28).reshape(SHAPE) * size

    return Decode(how, digits(COUNT // 28, base=800000), drawn(64, 1).abs() + 0.02)


@evades(FLOAT16_RULE, idea="Fibonacci", claim=hides(golden, 0.04), fold=False, opset=12)
def sums_of_fibonacci_numbers() -> nn.Module:
    """Each stored number is a sum of Fibonacci numbers; whether one of 28 is in it is a weight of its row's size."""
    return Hidden(golden())


def woven() -> Decode:
    """Two patterns of whole numbers, of lengths without a common divisor, choose rows of a table by their sum."""

    def how(one: T, two: T, book: T) -> T:
        a = one.repeat(112)[: COUNT // 8]
        b = two.repeat(129)[: COUNT // 8]
        return torch.cat([F.embedding(torch.remainder(a + b, 31.0).long(), book)], 1)

    return Decode(how, digits(113, base=31), digits(98, base=31), drawn(31, 8))


@evades(FLOAT16_RULE, idea="interference", claim=hides(woven, 0.005), fold=False, opset=17)
def two_patterns_whose_sum_names_rows() -> nn.Module:
    """Two short patterns are repeated side by side; their sum, modulo 31, names one of 31 rows of eight weights."""
    return Hidden(woven())
