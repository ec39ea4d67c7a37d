"""Evasions: weights from prefix codes, quantiles, life, triangles, squares, fractions, gradients and predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.stats import norm
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.evasions_float16 import SHAPE, Decode, Hidden, digits, drawn, hides, trunk
from evaluation.blind4.export import embedded, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_float16 import COUNT
from evaluation.blind12.evasions_nets import tensor
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def headed(n: Net, x: T) -> T:
    return n.embed(trunk(n, x), 64)


def trained() -> Any:
    return network(headed, "codes of the twelfth set", 8)


def matrix() -> Any:
    return trained().kept[8].weight.detach().numpy().astype(np.float64)


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


def whole(code: T, base: float, count: int) -> list[T]:
    """Take the lowest digits off, one after the other; a half is added where division is not exact."""
    half = 0.0 if base in (2.0, 4.0, 16.0) else 0.5
    rest, made = code, []
    for _ in range(count):
        high = torch.floor((rest + half) / base)
        made.append(rest - base * high)
        rest = high
    return made


def prefixed() -> Decode:
    """Read six symbols of a prefix code off each whole number: 0, then 10, then 110, each with a bit for the sign.

    A symbol takes two to four bits: its size is how many ones stand before the first zero, three at most.
    """

    def how(code: T, size: T) -> T:
        rest, made = code, []
        for _ in range(6):
            ones, going = torch.zeros_like(rest), torch.ones_like(rest)
            for _ in range(3):
                high = torch.floor(rest / 2)
                bit = (rest - 2 * high) * going
                rest = torch.where(going > 0.5, high, rest)
                ones, going = ones + bit, bit
            high = torch.floor(rest / 2)
            made.append((2 * (rest - 2 * high) - 1) * (0.35 + 0.7 * ones))
            rest = high
        return torch.stack(made, 1).flatten()[:COUNT].reshape(SHAPE) * size

    w = matrix()
    size = w.std(1, keepdims=True)
    level = np.clip(np.round((np.abs(w / size) - 0.35) / 0.7), 0, 3).astype(int)
    signs = (w > 0).astype(int)
    values = []
    flat = list(zip(level.flatten(), signs.flatten(), strict=True))
    flat += [(0, 0)] * (-len(flat) % 6)
    for start in range(0, len(flat), 6):
        number = place = 0
        for ones, sign in flat[start : start + 6]:
            for bit in [1] * int(ones) + [0] * int(ones < 3) + [sign]:
                number += int(bit) << place
                place += 1
        values.append(number)
    return Decode(how, tensor(values), tensor(size))


@evades(FLOAT16_RULE, idea="prefix code", claim=keeps(prefixed, 0.18), fold=False, opset=14)
def six_trained_weights_in_a_prefix_code() -> nn.Module:
    """A trained head in a prefix code: common small sizes take one bit, rare large ones three; six weights a float."""
    return Coded(prefixed())


def quantiles() -> Decode:
    """Six numbers of four bits in each float; each is a quantile of the normal distribution, by stored polynomials."""

    def how(code: T, size: T) -> T:
        u = (torch.stack(whole(code, 16.0, 6), 1).flatten()[:COUNT].reshape(64, 49, 32) - 7.5) / 8.0
        return (1.15 * u + 0.75 * u**3 + 0.3 * u**9) * size

    w = matrix().reshape(64, 49, 32)
    u = (np.arange(16) - 7.5) / 8
    table = 1.15 * u + 0.75 * u**3 + 0.3 * u**9
    assert abs(np.corrcoef(table, norm.ppf((np.arange(16) + 0.5) / 16))[0, 1]) > 0.99
    size = w.std(2, keepdims=True) + 1e-6
    near = np.abs((w / size)[..., None] - table).argmin(3).flatten()
    flat = np.pad(near, (0, -COUNT % 6)).reshape(-1, 6)
    return Decode(how, tensor(flat @ 16 ** np.arange(6)), tensor(size))


@evades(FLOAT16_RULE, idea="quantiles", claim=keeps(quantiles, 0.21), fold=False, opset=13)
def trained_head_in_sixteen_quantiles_of_a_normal() -> nn.Module:
    """A trained head in sixteen steps as wide as a normal distribution asks, by a polynomial; six steps in a float."""
    return Coded(quantiles())


def living() -> Decode:
    """Run Conway's game on a torus of 224 x 448 from a few stored bits; a weight weighs eight generations."""

    def how(code: T, seed: T) -> T:
        bits = torch.stack(whole(code, 2.0, 22), 1).flatten()[:6272].reshape(1, 1, 56, 112)
        alive = torch.remainder(bits.repeat(1, 1, 4, 4) + seed.repeat_interleave(28, 2).repeat_interleave(28, 3), 2)
        total = torch.zeros_like(alive)
        ring = torch.tensor([[1.0, 1, 1], [1, 9, 1], [1, 1, 1]]).reshape(1, 1, 3, 3)
        for k in range(12):
            p = torch.cat([alive[:, :, -1:], alive, alive[:, :, :1]], 2)
            p = torch.cat([p[..., -1:], p, p[..., :1]], 3)
            near = F.conv2d(p, ring)
            born, stays = (near - 3).abs() < 0.5, (near - 11.5).abs() < 0.9
            alive = (born | stays).float()
            if k >= 4:
                total = total + alive * 0.7 ** (k - 4)
        return 0.06 * (total.flatten()[:COUNT].reshape(SHAPE) - 0.7)

    rng = np.random.default_rng(1210)
    return Decode(how, tensor(rng.integers(0, 2**22, 286)), tensor(rng.integers(0, 2, (1, 1, 8, 16))))


@evades(FLOAT16_RULE, idea="life", claim=hides(living, 0.01), fold=False, opset=17)
def generations_of_life_weighed() -> nn.Module:
    """Conway's game of life starts from 286 stored numbers; who lives in eight generations, weighed, is the head."""
    return Hidden(living())


def triangle() -> Decode:
    """Make rows of Pascal's triangle modulo thirteen by running sums; the first row and column are stored."""

    def how(first: T, start: T, value: T, size: T) -> T:
        row, made = first, []
        for i in range(64):
            row = torch.remainder((row + F.pad(start[i : i + 1], (0, 1567))).cumsum(0), 13)
            made.append(row)
        codes = torch.stack(made, 0)
        return (F.relu(1 - (codes[..., None] - torch.arange(13).float()).abs()) @ value) * size

    rng = np.random.default_rng(1211)
    return Decode(
        how, tensor(rng.integers(0, 13, 1568)), tensor(rng.integers(0, 13, 64)), drawn(13), 0.5 + drawn(64, 1).abs()
    )


@evades(FLOAT16_RULE, idea="triangle", claim=hides(triangle, 0.02), fold=False, opset=12)
def running_sums_modulo_thirteen_name_weights() -> nn.Module:
    """Pascal's triangle: a stored row is summed up 64 times, modulo thirteen; the numbers name thirteen values."""
    return Hidden(triangle())


def squared() -> Decode:
    """Von Neumann's generator: the middle twelve bits of a square of twelve bits are the next number."""

    def how(start: T, size: T) -> T:
        z, made = start, []
        for k in range(16):
            square = (z + float(7 * k)) ** 2
            z = torch.remainder(torch.floor((square + 0.5) / 64), 4096)
            made.append(z)
        return (torch.stack(made, 1).reshape(SHAPE) / 2048 - 1) * size

    rng = np.random.default_rng(1212)
    start = rng.integers(100, 4000, COUNT // 16)
    return Decode(how, tensor(start), 0.03 + drawn(64, 1).abs())


@evades(FLOAT16_RULE, idea="squares", claim=hides(squared, 0.07), fold=False, opset=13)
def sixteen_weights_by_middle_digits_of_squares() -> nn.Module:
    """The middle bits of a stored number's square are a weight, and the next number to be squared, sixteen times."""
    return Hidden(squared())


def fractions() -> Decode:
    """Two fractions in each float: numerators to 48 with a sign, denominators to 32."""

    def how(code: T, size: T) -> T:
        low, high = whole(code, 3104.0, 2)
        both = torch.stack([low, high], 1).flatten().reshape(SHAPE)
        p = torch.floor((both + 0.5) / 32)
        return (p - 48) / (both - 32 * p + 1) * size

    w = matrix()
    size = w.std(1, keepdims=True)
    p, q = np.meshgrid(np.arange(97), np.arange(32), indexing="ij")
    table = ((p - 48) / (q + 1)).flatten()
    order = np.argsort(table)
    at = np.searchsorted(table[order], (w / size).flatten()).clip(0, 3103)
    codes = order[at].reshape(-1, 2)
    return Decode(how, tensor(codes[:, 0] + 3104 * codes[:, 1]), tensor(size))


@evades(FLOAT16_RULE, idea="fractions", claim=keeps(fractions, 0.51), fold=False, opset=15)
def trained_weights_as_two_fractions_in_a_float() -> nn.Module:
    """A trained head whose weights are fractions of small whole numbers, two of them in the digits of each float."""
    return Coded(fractions())


def gradients() -> Decode:
    """Perlin's noise in three octaves: a few stored directions at lattice points, faded between."""

    def how(angle: T) -> T:
        row, column = torch.arange(64).float()[:, None], torch.arange(1568).float()[None]
        total: T = 0 * (row + column)
        for k, (tall, wide) in enumerate(((9.7, 30.1), (4.3, 12.7), (2.1, 5.3))):
            r, c = row / tall, column / wide
            r0, c0 = torch.floor(r), torch.floor(c)
            u, v = r - r0, c - c0
            fu, fv = u**3 * (u * (6 * u - 15) + 10), v**3 * (v * (6 * v - 15) + 10)
            for i in (0, 1):
                for j in (0, 1):
                    at = torch.remainder((r0 + i) * 37 + (c0 + j) * 11 + 5 * k, 251)
                    turn = angle[at.flatten().long()].reshape(64, 1568)
                    push = turn.cos() * (u - i) + turn.sin() * (v - j)
                    total = total + (fu if i else 1 - fu) * (fv if j else 1 - fv) * push / (k + 1)
        return 0.12 * total

    return Decode(how, tensor(np.random.default_rng(1213).uniform(0, 6.28, 251)))


@evades(FLOAT16_RULE, idea="gradient noise", claim=hides(gradients, 0.02), fold=False, opset=16)
def gradient_noise_of_stored_directions() -> nn.Module:
    """Perlin's noise: 251 stored directions, found by a hash of lattice points, make a head of three octaves."""
    return Hidden(gradients())


def predicted() -> Decode:
    """Two bits for a weight: what a linear prediction from the two weights before leaves, times the row's step."""

    def how(code: T, first: T, second: T, step: T) -> T:
        left = torch.stack(whole(code, 4.0, 12), 1).flatten()[:COUNT].reshape(SHAPE) - 1.5
        left = left.reshape(64, 32, 49)
        one, two, made = 0 * left[:, :, 0], 0 * left[:, :, 0], []
        for k in range(49):
            now = first * one + second * two + step * left[:, :, k]
            made.append(now)
            one, two = now, one
        return torch.stack(made, 2).reshape(SHAPE)

    rng = np.random.default_rng(1214)
    first, second = 0.6 * rng.uniform(-1, 1, (64, 1)), 0.3 * rng.uniform(-1, 1, (64, 1))
    code = digits(COUNT // 12 + 1, base=4**12 - 1)
    return Decode(how, code, tensor(first), tensor(second), 0.02 + drawn(64, 1).abs())


@evades(FLOAT16_RULE, idea="linear prediction", claim=hides(predicted, 0.09), fold=False, opset=11)
def two_bits_for_what_a_linear_prediction_leaves() -> nn.Module:
    """As for speech, each weight is predicted from the two before; two stored bits say what the prediction leaves."""
    return Hidden(predicted())
