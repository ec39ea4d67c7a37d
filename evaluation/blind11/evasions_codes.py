"""Evasions: weights from substitution, reversed digits, registers, residues, posits, orders, trellises and cells."""

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
from evaluation.blind11.evasions_nets import tensor
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def headed(n: Net, x: T) -> T:
    return n.embed(trunk(n, x), 64)


def trained() -> Any:
    return network(headed, "codes of the eleventh set", 8)


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


def substituted() -> Decode:
    """A string of 1,568 symbols, each of which becomes two by stored rules, six times over."""

    def how(start: T, rules: T, value: T, size: T) -> T:
        s = start
        for _ in range(6):
            s = rules[s.long()].flatten()
        return value[s.long()].reshape(SHAPE) * size

    rng = np.random.default_rng(1101)
    rules = tensor(np.stack([rng.permutation(24), rng.permutation(24)], 1))
    return Decode(how, digits(1568, base=24), rules, drawn(24), 0.5 + drawn(64, 1).abs())


@evades(FLOAT16_RULE, idea="substitution", claim=hides(substituted, 0.02), fold=False, opset=13)
def string_grown_by_rules_of_substitution() -> nn.Module:
    """A grammar: 1,568 stored symbols become two each by stored rules, six times; what they end as are the weights."""
    return Hidden(substituted())


def reversed_digits() -> Decode:
    """The sum of the radical inverses of each place in the bases two and three."""

    def how(row: T, column: T) -> T:
        place = row[:, None] + column
        total = 0.0 * place
        for base, count in ((2.0, 17), (3.0, 11)):
            rest, share = place, 1.0
            for _ in range(count):
                high = torch.floor((rest + 0.5) / base)
                share = share / base
                total = total + (rest - base * high) * share
                rest = high
        return 0.15 * (total - 1)

    return Decode(how, 1568 * torch.arange(64).float(), torch.arange(1568).float())


@evades(FLOAT16_RULE, idea="reversed digits", claim=hides(reversed_digits, 0.02), fold=False, opset=12)
def digits_of_the_place_in_reverse() -> nn.Module:
    """No weight is stored: each is the place's number with its digits in reverse, in two bases, as Halton has them."""
    return Hidden(reversed_digits())


def registers() -> Decode:
    """Shift registers of 24 bits: a new bit is the sum of the 24th and the 17th before it, modulo two."""

    def how(code: T, powers: T, weights: T) -> T:
        bits = torch.remainder(torch.floor(code[:, None] / powers), 2)
        made = []
        for _ in range(8):
            new = torch.remainder(bits[:, :16] + bits[:, 7:23], 2)
            bits = torch.cat([bits[:, 16:], new], 1)
            made.append(new.reshape(-1, 4, 4) @ weights)
        return (torch.cat(made, 1) - 0.5).reshape(SHAPE) * 0.2

    powers = tensor(2.0 ** np.arange(24))
    return Decode(how, digits(COUNT // 32, base=2**24 - 1), powers, tensor([0.53, 0.27, 0.13, 0.07]))


@evades(FLOAT16_RULE, idea="shift registers", claim=hides(registers, 0.04), fold=False, opset=11)
def shift_registers_run_on_for_thirty_two_weights() -> nn.Module:
    """Each stored float is the state of a shift register, whose next 128 bits are thirty-two weights."""
    return Hidden(registers())


def residues() -> Decode:
    """Signs are Legendre symbols modulo 1571, by powers; sizes are those of a row and a column."""

    def how(row: T, column: T, tall: T, wide: T) -> T:
        prime = 1571.0
        base = torch.remainder(row[:, None] + column, prime)
        power = torch.ones_like(base)
        for bit in reversed(range(10)):
            power = torch.remainder(power * power, prime)
            if 785 >> bit & 1:
                power = torch.remainder(power * base, prime)
        return torch.where(power > 2, -torch.ones_like(power), power) * tall[:, None] * wide

    row = tensor(np.random.default_rng(1102).permutation(1500)[:64])
    return Decode(how, row, torch.arange(1568).float(), 0.5 + drawn(64).abs(), 0.05 + drawn(1568).abs())


@evades(FLOAT16_RULE, idea="residues", claim=hides(residues, 0.04), fold=False, opset=14)
def signs_by_whether_a_place_is_a_square() -> nn.Module:
    """Whether a place's number is a square modulo 1571, by Euler's power, is a weight's sign; sizes are outer."""
    return Hidden(residues())


STEPS = ((0, 64, 1 / 64), (64, 32, 1 / 32), (96, 16, 1 / 8), (112, 8, 1 / 2), (120, 4, 2.0))


def posits() -> Decode:
    """Posits of eight bits, three in a float; a scale for each row."""

    def how(code: T, size: T) -> T:
        rest, made = code, []
        for _ in range(3):
            high = torch.floor(rest / 256)
            byte = rest - 256 * high
            sign = (byte >= 128).float()
            m = byte - 128 * sign
            made.append((1 - 2 * sign) * sum(slope * torch.clamp(m - at, 0, wide) for at, wide, slope in STEPS))
            rest = high
        return torch.stack(made, 1).flatten()[:COUNT].reshape(SHAPE) * size

    w = matrix()
    size = w.std(1, keepdims=True)
    m = np.arange(124)
    table = sum(slope * np.clip(m - at, 0, wide) for at, wide, slope in STEPS)
    near = np.abs(np.abs(w / size)[..., None] - table).argmin(2) + 128 * (w < 0)
    flat = np.pad(near.flatten(), (0, -COUNT % 3)).reshape(-1, 3)
    return Decode(how, tensor(flat @ np.array([1, 256, 65536])), tensor(size))


@evades(FLOAT16_RULE, idea="posits", claim=keeps(posits, 0.35), fold=False, opset=13)
def trained_head_as_posits_of_eight_bits() -> nn.Module:
    """A trained head in posits, whose digits get fewer for larger numbers: eight bits each, three in every float."""
    return Coded(posits())


def orders() -> Decode:
    """Lehmer's code: a number below eight factorial says in which order a row's eight values stand."""

    def how(code: T, value: T) -> T:
        rest, free, made = code, torch.ones_like(code[:, None]) * torch.ones(8), []
        for base in range(8, 0, -1):
            high = torch.floor((rest + 0.5) / base)
            digit = rest - base * high
            taken = ((free.cumsum(1) - 1 - digit[:, None]).abs() < 0.5).float() * free
            made.append(taken)
            free, rest = free - taken, high
        shape = torch.stack(made, 1).reshape(64, 196, 8, 8)
        return (shape * value[:, None, None]).sum(3).reshape(SHAPE)

    return Decode(how, digits(COUNT // 8, base=40320), drawn(64, 8))


@evades(FLOAT16_RULE, idea="orders", claim=hides(orders, 0.14), fold=False, opset=12)
def order_of_eight_values_named_by_one_number() -> nn.Module:
    """Each row has eight values; a stored number below eight factorial names the order of the next eight weights."""
    return Hidden(orders())


def trellis() -> Decode:
    """Twelve symbols of two bits in a float; a weight is a hash of the last four symbols, as in trellis coding."""

    def how(code: T) -> T:
        rest, made = code, []
        for _ in range(12):
            high = torch.floor(rest / 4)
            made.append(rest - 4 * high)
            rest = high
        s = F.pad(torch.stack(made, 1).flatten()[:COUNT], (3, 0))
        window = s[3:] + 4 * s[2:-1] + 16 * s[1:-2] + 64 * s[:-3]
        one, two = torch.remainder(window * 0.6180340, 1.0), torch.remainder(window * 0.4142136 + 0.3, 1.0)
        return 0.1 * (one + two - 1).reshape(SHAPE)

    return Decode(how, digits(COUNT // 12 + 1, base=4**12 - 1))


@evades(FLOAT16_RULE, idea="trellis", claim=hides(trellis, 0.09), fold=False, opset=15)
def trellis_of_two_bits_for_each_weight() -> nn.Module:
    """Trellis coding: two stored bits for each weight; it is a hash of its own and of the six bits before."""
    return Hidden(trellis())


def cells() -> Decode:
    """Worley's noise: how much further the second nearest of forty points is than the nearest one."""

    def how(row: T, column: T, down: T, right: T) -> T:
        far = ((row[:, None, None] - down) ** 2 + (column[:, None] - right) ** 2 + 1e-3).sqrt()
        near = far.topk(2, 2, largest=False)[0]
        return 0.05 * (near[..., 1] - near[..., 0] - 2)

    rng = np.random.default_rng(1103)
    return Decode(
        how, torch.arange(64).float(), torch.arange(1568).float() / 16,
        tensor(rng.uniform(0, 64, 40)), tensor(rng.uniform(0, 98, 40)),
    )  # fmt: skip


@evades(FLOAT16_RULE, idea="cells", claim=hides(cells, 0.02), fold=False, opset=16)
def distances_to_the_walls_of_forty_cells() -> nn.Module:
    """Forty stored points share out the plane of rows and columns; a weight is how far its place is from a wall."""
    return Hidden(cells())
