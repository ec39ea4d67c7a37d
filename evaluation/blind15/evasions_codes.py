"""Evasions: weights along Hilbert's curve, by combinations, slopes, turns, planes of bits, and complex bases."""

from __future__ import annotations

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.evasions_float16 import SHAPE, Decode, Hidden, digits, drawn, hides, trunk
from evaluation.blind4.export import embedded, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_float16 import COUNT
from evaluation.blind15.evasions_nets import tensor
from evaluation.builder import Array
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def headed(n: Net, x: T) -> T:
    return n.embed(trunk(n, x), 64)


def trained() -> Any:
    return network(headed, "codes of the fifteenth set", 8)


def matrix() -> Array:
    return np.asarray(trained().kept[8].weight.detach().numpy().astype(np.float64))


class Coded(nn.Module):
    """The trained network, whose head's matrix is decoded."""

    def __init__(self, decode: nn.Module) -> None:
        super().__init__()
        kept = trained().kept
        self.layers, self.decode = nn.ModuleList(kept[:8]), decode
        self.offset, self.norm = nn.Parameter(kept[8].bias.detach().clone()), kept[9]

    def forward(self, x: T) -> T:
        for i in range(0, 8, 2):
            x = F.relu(self.layers[i + 1](self.layers[i](x)))
        y: T = self.norm(F.linear(x.flatten(1), self.decode().reshape(SHAPE), self.offset))
        return y


def keeps(make: Callable[[], Decode], share: float) -> Claim:
    """Claim that the network is the decoded one, nearly the trained one, and stores few floats for each weight."""

    def wrong(run: Network) -> list[str]:
        x, decode = faces(3, 5), make()
        given = alone(run, x)
        off, lost = apart(given, embedded(Coded(decode), x)), apart(given, embedded(trained(), x))
        found = [] if off < 1e-3 and lost < 0.05 else [f"{off:.2g} from the decoded, {lost:.2g} from the trained one"]
        stored = sum(item.numel() for item in decode.parameters()) / COUNT
        return found if stored <= share else [*found, f"{stored:.2f} floats are stored for each weight"]

    return wrong


def lowest(code: T, base: float, count: int) -> list[T]:
    """Take the lowest digits off, one after the other; a half is added where division is not exact."""
    half = 0.0 if np.log2(base) % 1 == 0 else 0.5
    rest, made = code, []
    for _ in range(count):
        high = torch.floor((rest + half) / base)
        made.append(rest - base * high)
        rest = high
    return made


def places_on_curve(x: Array, y: Array, order: int) -> Array:
    """Return how far along Hilbert's curve points with whole coordinates below 2 ** order lie."""
    x, y, made = x.copy(), y.copy(), np.zeros_like(x)
    for k in range(order - 1, -1, -1):
        side = 2**k
        a, b = (x & side) > 0, (y & side) > 0
        made = made + side * side * ((3 * a) ^ b)
        over = ~b & a
        x, y = np.where(over, side * 2 - 1 - x, x) & (side - 1), np.where(over, side * 2 - 1 - y, y) & (side - 1)
        x, y = np.where(~b, y, x), np.where(~b, x, y)
    return np.asarray(made)


def curve() -> Decode:
    """Keep a trained head by pairs of weights of eleven bits, each pair as one place on Hilbert's curve."""
    w = matrix()
    size = np.abs(w).max(1, keepdims=True) / 1023
    q = (np.round(w / size).astype(int) + 1024).reshape(-1, 2)

    def how(code: T, scale: T) -> T:
        x, y = 0 * code, 0 * code
        for k, digit in enumerate(lowest(code, 4.0, 11)):
            side = 2.0**k
            right = (digit > 1.5).float()
            up = ((digit > 0.5) & (digit < 2.5)).float()
            over = right * (1 - up)
            x, y = over * (side - 1 - x) + (1 - over) * x, over * (side - 1 - y) + (1 - over) * y
            x, y = up * x + (1 - up) * y, up * y + (1 - up) * x
            x, y = x + side * right, y + side * up
        return (torch.stack([x, y], 1).reshape(SHAPE) - 1024) * scale

    return Decode(how, tensor(places_on_curve(q[:, 0], q[:, 1], 11)), tensor(size))


@evades(FLOAT16_RULE, idea="space-filling curve", claim=keeps(curve, 0.51), fold=False, opset=13)
def trained_pairs_of_weights_on_hilberts_curve() -> nn.Module:
    """A trained head by pairs: how far along Hilbert's curve a point lies is one float, its coordinates two weights."""
    return Coded(curve())


def combinations() -> Decode:
    """Name by one number which 8 of 24 places hold weights; signs and sizes follow from the order."""
    table = np.array([[comb(n, k) for k in range(9)] for n in range(25)], np.float32)

    def how(code: T, pascal: T, sizes: T, scale: T) -> T:
        rest, left, made = code, 0 * code + 8, []
        for place in range(23, -1, -1):
            count = pascal[place][left.long()]
            here = ((rest > count - 0.5) & (left > 0.5)).float()
            made.append(here * sizes[left.long()])
            rest, left = rest - here * count, left - here
        return torch.stack(made, 1).flatten()[:COUNT].reshape(SHAPE) * scale

    codes = digits(-(-COUNT // 24), base=comb(24, 8))
    return Decode(how, codes, tensor(table), tensor([0, 1, -0.8, 0.6, -1.2, 0.9, -0.5, 1.1, -1]), drawn(64, 1).abs())


@evades(FLOAT16_RULE, idea="combinations", claim=hides(combinations, 0.06), fold=False, opset=14)
def eight_of_twenty_four_places_named_by_one_number() -> nn.Module:
    """Enumerative coding: one stored number says which 8 of 24 weights are not zero, in the order of combinations."""
    return Hidden(combinations())


def slopes() -> Decode:
    """Let a stored slope cut a grid: whether a line rises by one or not at each step is a weight."""

    def how(slope: T, start: T, taps: T, rows: T) -> T:
        k = (0 * slope[:1] + 1).expand(32).cumsum(0)
        line = torch.floor(slope[:, None] * k / 512 + start[:, None] / 16)
        word = line[:, 1:] - line[:, :-1]
        made = word[:, :28] * taps[0] + word[:, 1:29] * taps[1] + word[:, 2:30] * taps[2] + word[:, 3:31] * taps[3]
        return (made - made.mean(1, keepdim=True)).reshape(SHAPE) * rows

    count = COUNT // 28
    return Decode(how, 40 + digits(count, base=430), digits(count + 1, base=16)[1:], tensor([1.0, -0.7, 0.45, 0.3]),
                  drawn(64, 1).abs() + 0.02)  # fmt: skip


@evades(FLOAT16_RULE, idea="slopes", claim=hides(slopes, 0.08), fold=False, opset=12)
def steps_of_lines_of_stored_slopes() -> nn.Module:
    """A line of stored slope crosses a grid; its words of steps, weighed by four taps, are 28 weights of each."""
    return Hidden(slopes())


def rotations() -> Decode:
    """Turn one stored vector of sixteen numbers by eight angles of three bits, all in one float, plane after plane."""

    def how(code: T, start: T, rows: T) -> T:
        angle = [0.785398 * d for d in lowest(code, 8.0, 8)]
        parts = [start[i] + 0 * code for i in range(16)]
        for turn in range(2):
            for i in range(8):
                j, k = 2 * i, (2 * i + 1 + 4 * turn) % 16
                c, s = torch.cos(angle[(i + 3 * turn) % 8] + 0.2), torch.sin(angle[(i + 3 * turn) % 8] + 0.2)
                parts[j], parts[k] = c * parts[j] - s * parts[k], s * parts[j] + c * parts[k]
        return torch.stack(parts, 1).reshape(SHAPE) * rows

    return Decode(how, digits(COUNT // 16, base=8**8), drawn(16) * 20, drawn(64, 1).abs() + 0.02)


@evades(FLOAT16_RULE, idea="rotations", claim=hides(rotations, 0.07), fold=False, opset=15)
def one_vector_turned_by_eight_small_angles() -> nn.Module:
    """Each sixteen weights are one stored vector, turned in planes by eight angles that are digits of one float."""
    return Hidden(rotations())


def planes() -> Decode:
    """Keep a trained head as five planes of bits, 23 rows of one plane packed in each float, and a size a row."""
    w = matrix()
    size = np.abs(w).max(1, keepdims=True) / 15.5
    q = np.clip(np.floor(w / size) + 16, 0, 31).astype(int)
    bits = np.concatenate([q >> k & 1 for k in range(5)])
    bits = np.pad(bits, ((0, -len(bits) % 23), (0, 0))).reshape(-1, 23, 1568)

    def how(code: T, scale: T) -> T:
        rows = torch.stack(lowest(code, 2.0, 23), 1).reshape(-1, 1568)
        w = 0 * scale
        for k in range(5):
            w = w + 2.0**k * rows[64 * k : 64 * k + 64]
        return (w - 15.5) * scale

    return Decode(how, tensor((bits * 2.0 ** np.arange(23)[:, None]).sum(1)), tensor(size))


@evades(FLOAT16_RULE, idea="planes of bits", claim=keeps(planes, 0.24), fold=False, opset=16)
def trained_head_in_five_planes_of_bits() -> nn.Module:
    """A trained head by planes of bits: each stored float is one bit of 23 rows, and five planes are added up."""
    return Coded(planes())


def remainders() -> Decode:
    """Keep a trained head as a product of rank six and two bits of each number of the rest, eleven to a float."""
    w = matrix()
    u, s, v = np.linalg.svd(w, full_matrices=False)
    left, right = u[:, :6] * s[:6], v[:6]
    rest = w - left @ right
    size = rest.std(1, keepdims=True)
    step = np.clip(np.floor(rest / size + 2), 0, 3).flatten()
    steps = np.pad(step, (0, -COUNT % 11)).reshape(-1, 11)

    def how(code: T, a: T, b: T, scale: T) -> T:
        level = torch.stack(lowest(code, 4.0, 11), 1).flatten()[:COUNT].reshape(SHAPE) - 1.5
        return a @ b + scale * level

    return Decode(how, tensor(steps @ 4.0 ** np.arange(11)), tensor(left), tensor(right), tensor(size))


@evades(FLOAT16_RULE, idea="rank and bits", claim=keeps(remainders, 0.26), fold=False, opset=18)
def trained_product_of_rank_six_and_two_bits_of_the_rest() -> nn.Module:
    """A trained head as two thin factors, and what they leave in two bits each, eleven in a float, a size for a row."""
    return Coded(remainders())


def complex_base() -> Decode:
    """Keep a trained head by pairs, each a complex whole number in bits of the base -1 + i, twenty in a float."""
    w = matrix()
    size = np.abs(w).max(1, keepdims=True) / 200
    q = np.round(w / size).astype(int).reshape(-1, 2)
    re, im, code = q[:, 0].copy(), q[:, 1].copy(), np.zeros(len(q))
    for k in range(22):
        bit = (re + im) % 2
        code += bit * 2.0**k
        re = re - bit
        re, im = (im - re) // 2, -(re + im) // 2
    powers = (-1 + 1j) ** np.arange(22)

    def how(stored: T, scale: T) -> T:
        bits = torch.stack(lowest(stored, 2.0, 22), 1)
        real, other = tensor(powers.real), tensor(powers.imag)
        return torch.stack([(bits * real).sum(1), (bits * other).sum(1)], 1).reshape(SHAPE) * scale

    return Decode(how, tensor(code), tensor(size))


@evades(FLOAT16_RULE, idea="complex base", claim=keeps(complex_base, 0.51), fold=False, opset=13)
def trained_pairs_in_a_complex_base() -> nn.Module:
    """A trained head by pairs: a complex whole number in the base minus one plus i, whose bits make one float."""
    return Coded(complex_base())
