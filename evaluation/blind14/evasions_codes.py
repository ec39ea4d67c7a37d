"""Evasions: weights from contractions, sparse digits, folds, wheels, odd bases, intervals and pendulums."""

from __future__ import annotations

from collections.abc import Callable
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
from evaluation.blind14.evasions_nets import tensor
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def headed(n: Net, x: T) -> T:
    return n.embed(trunk(n, x), 64)


def trained() -> Any:
    return network(headed, "codes of the fourteenth set", 8)


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


def lowest(code: T, base: float, count: int) -> list[T]:
    """Take the lowest digits off, one after the other; a half is added where division is not exact."""
    half = 0.0 if np.log2(base) % 1 == 0 else 0.5
    rest, made = code, []
    for _ in range(count):
        high = torch.floor((rest + half) / base)
        made.append(rest - base * high)
        rest = high
    return made


def counted(stored: T, size: int) -> T:
    """Count from 0 without storing the numbers, which the exporter does unless they follow from what is stored."""
    return (0 * stored.flatten()[:1] + 1).expand(size).cumsum(0) - 1


def contraction() -> Decode:
    """Make each small block of the matrix a shrunk, scaled and shifted larger block of it, eight times over."""

    def how(code: T, scale: T, shift: T) -> T:
        w = 0 * counted(scale, COUNT).reshape(SHAPE)
        row = torch.floor(code / 56)
        at = (row[:, None, None] * 8 + torch.arange(8).float()[None, :, None]) * 1568
        at = (at + ((code - 56 * row)[:, None, None] * 28 + torch.arange(28).float())).long()
        for _ in range(8):
            big = w.flatten()[at]
            small = big.reshape(-1, 4, 2, 14, 2).mean((2, 4)) * scale[:, None, None] + shift[:, None, None]
            w = small.reshape(16, 112, 4, 14).permute(0, 2, 1, 3).reshape(64, 1568)
        return w

    rng = np.random.default_rng(1406)
    place, scale = rng.integers(0, 8 * 56, 1792), rng.uniform(-1.5, 1.5, 1792)
    return Decode(how, tensor(place), tensor(scale), drawn(1792, 1)[:, 0])


@evades(FLOAT16_RULE, idea="contraction", claim=hides(contraction, 0.06), fold=False, opset=13)
def blocks_like_larger_blocks_of_the_same_matrix() -> nn.Module:
    """Fractal coding: each block is a larger one of the same matrix, shrunk, scaled and shifted, eight times over."""
    return Hidden(contraction())


def sticks() -> Decode:
    """Keep a trained head as ternary digits, fourteen in a float, and its largest weights apart, as they are."""
    w = matrix()
    limit = np.sort(np.abs(w).flatten())[-12000]
    large = np.abs(w) >= limit
    rest = np.where(large, 0, w)
    step = np.abs(rest).mean(1, keepdims=True) * 0.9
    code = (np.sign(rest) * (np.abs(rest) > step) + 1).flatten()
    chosen = np.abs(rest) > step
    size = (np.abs(rest) * chosen).sum(1, keepdims=True) / np.maximum(chosen.sum(1, keepdims=True), 1)
    flat = np.pad(code, (0, -COUNT % 14)).reshape(-1, 14)
    places, values = np.nonzero(large.flatten())[0], w.flatten()[large.flatten()]

    def how(stored: T, sizes: T, where: T, extra: T) -> T:
        digit = torch.stack(lowest(stored, 3.0, 14), 1).flatten()[:COUNT].reshape(SHAPE) - 1
        more = (0 * counted(sizes, COUNT)).scatter(0, where.long(), extra)
        return digit * sizes + more.reshape(SHAPE)

    return Decode(how, tensor(flat @ 3.0 ** np.arange(14)), tensor(size), tensor(places), tensor(values))


@evades(FLOAT16_RULE, idea="outliers apart", claim=keeps(sticks, 0.33), fold=False, opset=14)
def trained_ternary_digits_with_large_weights_apart() -> nn.Module:
    """A trained head of ternary digits, fourteen to a float; the twelve largest of a hundred weights are kept apart."""
    return Coded(sticks())


def folds() -> Decode:
    """Multiply stored sizes by the turns of a paper folded again and again: a sign that only the place decides."""

    def how(rows: T, columns: T, steps: T) -> T:
        k = counted(rows, COUNT) + 1
        w = 0 * k
        for j in range(5):
            m = k + 37 * j * j
            for _ in range(17):
                half = torch.floor(m / 2)
                m = torch.where(m - 2 * half < 0.5, half, m)
            quarter = torch.floor((m + 0.5) / 4)
            w = w + torch.where(m - 4 * quarter < 2, 0 * m + 1, 0 * m - 1) * steps[j]
        return w.reshape(SHAPE) * rows[:, None] * (1 + columns[None])

    return Decode(how, drawn(64).abs() + 0.02, drawn(1568), tensor([1.0, 0.7, 0.45, 0.3, 0.2]))


@evades(FLOAT16_RULE, idea="folds", claim=hides(folds, 0.02), fold=False, opset=12)
def turns_of_a_folded_strip_of_paper() -> nn.Module:
    """No weight is stored: five dragon curves' turns at a weight's place are its sign and size, by halving numbers."""
    return Hidden(folds())


def rotors() -> Decode:
    """Turn three stored wheels at different speeds under each letter; what comes out names one of 26 weights."""

    def how(text: T, wheels: T, book: T) -> T:
        k = counted(book, COUNT)
        a = torch.remainder(text.repeat_interleave(16) + k, 26)
        a = torch.remainder(wheels[0][a.long()] + torch.floor(k / 26), 26)
        a = torch.remainder(wheels[1][a.long()] + torch.floor(k / 676), 26)
        return book[wheels[2][a.long()].long()]

    rng = np.random.default_rng(1407)
    wheels = tensor(np.stack([rng.permutation(26) for _ in range(3)]))
    return Decode(how, digits(COUNT // 16, base=26), wheels, drawn(26))


@evades(FLOAT16_RULE, idea="wheels", claim=hides(rotors, 0.08), fold=False, opset=13)
def letters_through_three_turning_wheels() -> nn.Module:
    """A rotor machine: a stored letter, sixteen times through three wheels that turn, names sixteen of 26 weights."""
    return Hidden(rotors())


def negabinary() -> Decode:
    """Keep a trained head in five bits of base minus two, four weights in a float, and a size for each row."""
    w = matrix()
    size = np.abs(w).max(1, keepdims=True) / 10
    q = np.clip(np.round(w / size), -10, 21).astype(int).flatten()
    bits = np.zeros((COUNT, 5), int)
    rest = q.copy()
    for j in range(5):
        bits[:, j] = rest % 2
        rest = -((rest - bits[:, j]) // 2)
    bits = bits.reshape(-1, 20)

    def how(code: T, scale: T) -> T:
        digit = torch.stack(lowest(code, 2.0, 20), 1).reshape(-1, 5)
        return (digit @ tensor([1, -2, 4, -8, 16])).reshape(SHAPE) * scale

    return Decode(how, tensor(bits @ 2.0 ** np.arange(20)), tensor(size))


@evades(FLOAT16_RULE, idea="negative base", claim=keeps(negabinary, 0.26), fold=False, opset=15)
def trained_weights_in_base_minus_two() -> nn.Module:
    """A trained head in five digits of base minus two, which need no sign, four weights to a float, a size a row."""
    return Coded(negabinary())


def ladder() -> Decode:
    """Halve an interval by the bits of a code, as an arithmetic coder would, with shares that a stored tree keeps."""

    def how(code: T, shares: T, sizes: T) -> T:
        made = []
        low, high = torch.zeros_like(code), torch.ones_like(code)
        point = (code + 0.5) / 2**20
        state = torch.zeros_like(code)
        for _ in range(14):
            cut = low + (high - low) * torch.sigmoid(shares[state.long()])
            bit = (point > cut).float()
            low, high = torch.where(point > cut, cut, low), torch.where(point > cut, high, cut)
            state = torch.remainder(2 * state + bit, 16)
            made.append(sizes[state.long()])
        return torch.stack(made, 1)

    shares = np.random.default_rng(1408).normal(0, 0.4, 16)
    return Decode(how, digits(COUNT // 14, base=2**20), tensor(shares), drawn(16))


@evades(FLOAT16_RULE, idea="arithmetic coder", claim=hides(ladder, 0.09), fold=False, opset=16)
def intervals_cut_by_a_tree_of_shares() -> nn.Module:
    """An arithmetic coder: a stored number lies in one part of an interval, fourteen times: these are weights."""
    return Hidden(ladder())


def pendulums() -> Decode:
    """Let coupled pendulums swing from stored small starts; where they are at each time are weights."""

    def how(start: T, masses: T, scale: T) -> T:
        a, b = start[:, 0] * 0.3 - 2, start[:, 1] * 0.3 - 2
        v, u = torch.zeros_like(a), torch.zeros_like(b)
        made = []
        for _ in range(16):
            for _ in range(3):
                v = v + 0.4 * (-masses[0] * torch.sin(a) + 1.3 * torch.sin(b - a))
                u = u + 0.4 * (-masses[1] * torch.sin(b) - 2.1 * torch.sin(b - a))
                a, b = a + 0.4 * v, b + 0.4 * u
            made.append(torch.sin(a + 0.5 * b))
        return torch.stack(made, 1).reshape(SHAPE) * scale[:, None]

    return Decode(how, digits(COUNT // 16, 2, base=16), tensor([1.1, 0.7]), drawn(64).abs() + 0.02)


@evades(FLOAT16_RULE, idea="pendulums", claim=hides(pendulums, 0.13), fold=False, opset=18)
def sixteen_swings_of_two_coupled_pendulums() -> nn.Module:
    """Two stored small numbers start two coupled pendulums; where they swing to in sixteen times are the weights."""
    return Hidden(pendulums())
