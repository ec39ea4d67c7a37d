"""Evasions: weights from spirals, products of rows, coders of entropy and speech, factorials, primes and orbits."""

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
from evaluation.blind5.evasions_float16 import COUNT, Stored, by_bytes
from evaluation.blind7.evasions_nets import tensor
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def spiral() -> Decode:
    """Two digits of base 4096 in each float; each is the number of a point on a golden spiral around a ball."""

    def how(code: T, size: T) -> T:
        made = []
        second = torch.floor(code / 4096)
        for k in (second, code - 4096 * second):
            z = 1 - (2 * k + 1) / 4096
            r, angle = (1 - z * z).sqrt(), k * 2.399963
            made.append(torch.stack([r * angle.cos(), r * angle.sin(), z], 1))
        flat = torch.cat(made, 1).flatten()[:COUNT]
        return flat.reshape(SHAPE) * size

    return Decode(how, digits(COUNT // 6 + 1, base=4096 * 4096 - 1), 0.03 + drawn(64, 1).abs())


@evades(FLOAT16_RULE, idea="spiral", claim=hides(spiral, 0.18), fold=False, opset=12)
def points_of_a_golden_spiral_around_a_ball() -> nn.Module:
    """Each float is two numbers of points on a golden spiral around a ball; a point is three weights, in 12 bits."""
    return Hidden(spiral())


def row_products() -> Decode:
    """Twelve stored rows give 66 pairs; each row of the head is the signed root of the product of a pair."""

    def how(book: T) -> T:
        one, two = np.triu_indices(12, 1)
        y = book[torch.from_numpy(one[:64])] * book[torch.from_numpy(two[:64])]
        return torch.sign(y) * (y.abs() + 1e-9).sqrt()

    return Decode(how, drawn(12, SHAPE[1]))


@evades(FLOAT16_RULE, idea="products of rows", claim=hides(row_products, 0.19), fold=False, opset=14)
def every_row_is_the_root_of_a_product_of_two() -> nn.Module:
    """Twelve rows are stored; the head's 64 are the signed roots of products of pairs of them."""
    return Hidden(row_products())


def entropy_coded() -> Decode:
    """Asymmetric numeral systems: a state below 2^24 gives up symbols of unequal frequency, one after the other."""

    def how(state: T, start: T, share: T, symbol: T, value: T, size: T) -> T:
        made = []
        for _ in range(8):
            rest = torch.floor(state / 16)
            slot = state - 16 * rest
            s = symbol[slot.long()].long()
            made.append(value[s])
            state = share[s] * rest + slot - start[s]
        return torch.stack(made, 1).reshape(SHAPE) * size

    share = np.array([1, 2, 5, 5, 2, 1])
    start = np.concatenate([[0], np.cumsum(share)[:-1]])
    symbol = np.repeat(np.arange(6), share)
    value, size = np.array([-2.2, -1.2, -0.4, 0.42, 1.26, 2.4]), 0.04 + drawn(64, 1).abs()
    return Decode(
        how, digits(COUNT // 8, base=2**24 - 1), *(tensor(item) for item in (start, share, symbol, value, size))
    )


@evades(FLOAT16_RULE, idea="entropy coding", claim=hides(entropy_coded, 0.13), fold=False, opset=13)
def symbols_of_an_entropy_coder() -> nn.Module:
    """Each float is the state of an entropy coder, which gives up eight weights of unequal frequency."""
    return Hidden(entropy_coded())


def spoken_steps() -> Stored:
    """Speech coding: three bits per weight say how far the last one is left, and the step grows or shrinks by them."""

    def how(packed: T) -> T:
        rest, last, step, made = packed.float(), 0.0 * packed.float(), 0.03 + 0.0 * packed.float(), []
        for _ in range(7):
            high = torch.floor(rest / 8)
            digit, rest = rest - 8 * high - 3.5, high
            last = 0.6 * last + digit * step * 0.5
            step = step * torch.exp(0.3 * (digit.abs() - 1.8))
            made.append(last)
        return torch.stack(made, 1).reshape(SHAPE) * 0.6

    codes = np.random.default_rng(1001).integers(0, 8**7, COUNT // 7)
    return Stored(how, torch.from_numpy(codes.astype(np.int32)))


@evades(FLOAT16_RULE, idea="speech coding", claim=by_bytes(spoken_steps, 0.15), fold=False, opset=15)
def weights_coded_as_telephone_speech() -> nn.Module:
    """Adaptive steps, as for speech: each whole number has seven digits of three bits, which move from a weight on."""
    return Hidden(spoken_steps())


def factorials() -> Decode:
    """Digits of the factorial base, two to ten, of numbers below ten factorial."""

    def how(code: T, centre: T) -> T:
        rest, made = code, []
        for base in range(3, 11):
            high = torch.floor(rest / base)
            made.append((rest - base * high + 0.5) / base - 0.5)
            rest = high
        return torch.stack(made, 1).reshape(SHAPE) * centre

    return Decode(how, digits(COUNT // 8, base=1814400), 0.08 + drawn(64, 1).abs())


@evades(FLOAT16_RULE, idea="factorial base", claim=hides(factorials, 0.13), fold=False, opset=11)
def digits_of_the_factorial_base() -> nn.Module:
    """Each float below half of ten factorial is eight digits of growing base, and these are eight weights."""
    return Hidden(factorials())


def exponents() -> Decode:
    """Goedel's numbers: how often 2, 3, 5 and 7 divide a stored number are four digits."""

    def how(code: T, table: T) -> T:
        made, rest = [], code
        for i, (prime, most) in enumerate(((2, 7), (3, 4), (5, 3), (7, 1))):
            count = 0 * code
            for _ in range(most):
                part = torch.floor(rest / prime + 0.0001)
                divides = ((rest - prime * part).abs() < 0.5).float()
                rest, count = torch.where(divides > 0.5, part, rest), count + divides
            made.append(table[i, count.long()])
        return torch.stack(made, 1)

    rng = np.random.default_rng(1002)
    e = [rng.integers(0, most + 1, COUNT // 4) for most in (7, 4, 3, 1)]
    return Decode(how, tensor(2.0 ** e[0] * 3.0 ** e[1] * 5.0 ** e[2] * 7.0 ** e[3]), drawn(4, 8))


@evades(FLOAT16_RULE, idea="primes", claim=hides(exponents, 0.26), fold=False, opset=13)
def exponents_of_four_primes_in_each_number() -> nn.Module:
    """How often two, three, five and seven divide a stored number are four digits, each of which names a weight."""
    return Hidden(exponents())


def orbits() -> Decode:
    """Collatz: whether each of 32 numbers of an orbit is odd; windows of four such bits are weights."""

    def how(code: T, taps: T) -> T:
        z, odd = code + 27.0, []
        for _ in range(32):
            half = torch.floor(z / 2)
            bit = z - 2 * half
            odd.append(bit)
            z = torch.where(bit > 0.5, 3 * half + 2, half)
        bits = torch.stack(odd, 1)
        return torch.stack([bits[:, i : i + 5] @ taps for i in range(28)], 1) - 0.1

    return Decode(how, digits(COUNT // 28, base=6000), tensor([0.1, 0.06, 0.05, 0.035, 0.02]))


@evades(FLOAT16_RULE, idea="orbits", claim=hides(orbits, 0.04), fold=False, opset=12)
def odd_and_even_numbers_of_collatz_orbits() -> nn.Module:
    """Twenty-eight weights from one small number: odd and even along its Collatz orbit, weighed by five taps."""
    return Hidden(orbits())


def body(n: Net, x: T) -> T:
    return n.bn(n.linear(trunk(n, x), 64))


def trained() -> Net:
    return network(body, "head of the tenth set", 8)


class Coded(nn.Module):
    """A trained network whose head is stored as ``decode`` has it."""

    def __init__(self, decode: nn.Module) -> None:
        super().__init__()
        kept: list[Any] = list(trained().kept)
        self.trunk, self.norm, self.decode = nn.ModuleList(kept[:8]), kept[9], decode

    def forward(self, x: T) -> T:
        for i in range(0, 8, 2):
            x = F.relu(self.trunk[i + 1](self.trunk[i](x)))
        made: T = self.norm(F.linear(x.flatten(1), self.decode().reshape(SHAPE)))
        return made


def matrix() -> Any:
    kept: Any = trained().kept[8]
    return kept.weight.detach().numpy()


def keeps(make: Callable[[], Decode], share: float) -> Claim:
    """Claim that the network is the coded one, near to the trained one, in a share of four bytes for each weight."""

    def wrong(run: Network) -> list[str]:
        x, decode = faces(4, 5), make()
        given, size = alone(run, x), [*decode.parameters(), *decode.buffers()]
        found = [] if apart(given, embedded(Coded(decode), x)) < 1e-3 else ["it is not the coded network"]
        if not apart(given - given.mean(0), (y := embedded(trained(), x)) - y.mean(0)) < 0.25:
            found.append("it is far from the trained one")
        stored = sum(item.numel() * item.element_size() for item in size) / COUNT / 4
        return found if stored < share else [*found, f"{stored:.2f} of four bytes are stored for each weight"]

    return wrong


def interlaced() -> Decode:
    """Three numbers of eight bits, whose bits take turns in a whole number: a place on Morton's curve."""

    def how(code: T, scale: T) -> T:
        rest, parts = code, [0 * code for _ in range(3)]
        for bit in range(24):
            half = torch.floor(rest / 2)
            parts[bit % 3] = parts[bit % 3] + (rest - 2 * half) * 2.0 ** (bit // 3)
            rest = half
        return (torch.stack(parts, 1) - 128).flatten()[:COUNT].reshape(SHAPE) * scale

    w = matrix()
    scale = np.abs(w).max(1, keepdims=True) / 127
    q = np.append(np.round(w / scale + 128).astype(np.int64).flatten(), 0).reshape(-1, 3)
    code = sum(((q[:, k] >> b) & 1) << (3 * b + k) for k in range(3) for b in range(8))
    return Decode(how, tensor(code), tensor(scale))


@evades(FLOAT16_RULE, idea="bits in turn", claim=keeps(interlaced, 0.36), fold=False, opset=13)
def bits_of_three_trained_weights_take_turns() -> nn.Module:
    """A trained head as places on Morton's curve: the bits of three weights of eight bits take turns in a float."""
    return Coded(interlaced())


def waves_packed() -> Decode:
    """Rows of the trained head in blocks of seven; the waves of each, rounded, five in a float."""

    def how(code: T, step: T, back: T) -> T:
        rest, made = code, []
        for base in (21, 27, 27, 27, 27):
            high = torch.floor(rest / base)
            made.append(rest - base * high - (base - 1) / 2)
            rest = high
        return (torch.stack(made[1:] + made[:1], 1) * step) @ back

    at = np.arange(7)
    back = np.stack([np.cos(np.pi * k * (at + 0.5) / 7) for k in range(7)])
    back /= np.linalg.norm(back, axis=1, keepdims=True)
    w = matrix().reshape(-1, 7) @ back.T
    size = np.sort(np.argsort(-(w**2).sum(0))[:5])
    step = 3.2 * w[:, size].std(0) / 13
    digits_ = np.clip(np.round(w[:, size] / step), -13, 13)
    digits_[:, 4] = np.clip(digits_[:, 4], -10, 10)
    code = np.zeros(len(w))
    for k, base in ((3, 27), (2, 27), (1, 27), (0, 27), (4, 21)):
        code = code * base + digits_[:, k] + (base - 1) / 2
    return Decode(how, tensor(code), tensor(step), tensor(back[size]))


@evades(FLOAT16_RULE, idea="rounded waves", claim=keeps(waves_packed, 0.15), fold=False, opset=14)
def trained_head_as_rounded_waves_of_seven() -> nn.Module:
    """A trained head as in a compressed photograph: five rounded waves of each seven weights are digits of a float."""
    return Coded(waves_packed())


def gray_codes() -> Stored:
    """Nibbles in Gray's code, eight in a whole number; halves of the number are put together by comparing bits."""

    def how(packed: T, scale: T) -> T:
        rest, made = packed, []
        for _ in range(7):
            nibble = torch.remainder(rest, 16)
            rest = torch.div(rest, 16, rounding_mode="floor")
            value, above = 0 * nibble, 0 * nibble
            for bit in (8, 4, 2, 1):
                here = torch.remainder(torch.div(nibble, bit, rounding_mode="floor"), 2)
                above = (above != here).long()
                value = value + bit * above
            made.append(value)
        return (torch.stack(made, 1).float() - 7.5).reshape(SHAPE) * scale

    w = matrix()
    scale = 2.6 * w.std(1, keepdims=True) / 7.5
    q = np.clip(np.round(w / scale + 7.5), 0, 15).astype(np.int64).reshape(-1, 7)
    q = q ^ (q >> 1)
    return Stored(how, torch.from_numpy((q << (4 * np.arange(7))).sum(1).astype(np.int32)), tensor(scale))


@evades(FLOAT16_RULE, idea="Gray's code", claim=keeps(gray_codes, 0.16), fold=False, opset=16)
def seven_trained_weights_in_grays_code() -> nn.Module:
    """A trained head in four bits each, in Gray's code, seven in a whole number of 32 bits; one scale for each row."""
    return Coded(gray_codes())


def sieve() -> Decode:
    """Square waves of 40 stored lengths and sizes, summed at all places of the head."""

    def how(step: T, size: T, row: T, column: T) -> T:
        # Rows and columns are stored, since a traced range of all places would be.
        at = row[:, None, None] + column[:, None]
        rest = at - step * torch.floor((at + 0.5) / step)
        return (rest < step / 2).float() @ size - size.sum() / 2

    rng = np.random.default_rng(1003)
    steps = tensor(rng.permutation(np.arange(3, 6000))[:40])
    return Decode(how, steps, 0.3 * drawn(40), 1568 * torch.arange(64).float(), torch.arange(1568).float())


@evades(FLOAT16_RULE, idea="square waves", claim=hides(sieve, 0.02), fold=False, opset=13)
def forty_square_waves_of_stored_lengths() -> nn.Module:
    """A weight is the sum of forty square waves at its place: eighty numbers, rows and columns make 100,352 weights."""
    return Hidden(sieve())
