"""Evasions: weights from lattices, rotations, polynomials of a prime, filters, angles, divisions, copies and curves."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
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
from evaluation.blind13.evasions_nets import tensor
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def headed(n: Net, x: T) -> T:
    return n.embed(trunk(n, x), 64)


def trained() -> Any:
    return network(headed, "codes of the thirteenth set", 8)


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


def lattice() -> Decode:
    """Make eight weights of fifteen bits: seven signs, an eighth that makes their product one, and a row of sizes."""

    def how(code: T, sizes: T) -> T:
        *signs, row = lowest(code, 2.0, 7), torch.floor(code / 128)
        flip = torch.stack([1 - 2 * s for s in signs[0]], 1)
        last = flip.prod(1, keepdim=True)
        book = F.relu(1 - (row[:, None] - torch.arange(256).float()).abs())
        return torch.cat([flip, last], 1) * (book @ sizes)

    return Decode(how, digits(COUNT // 8, base=2**15), drawn(256, 8).abs() + 0.01)


@evades(FLOAT16_RULE, idea="lattice", claim=hides(lattice, 0.15), fold=False, opset=13)
def eight_weights_of_a_lattice_with_even_signs() -> nn.Module:
    """As in lattice quantisers: fifteen bits are seven signs, an eighth by parity, and one of 256 rows of sizes."""
    return Hidden(lattice())


def walsh(size: int) -> Any:
    h = np.ones((1, 1))
    while len(h) < size:
        h = np.block([[h, h], [h, -h]])
    return h / size**0.5


def rotated() -> Decode:
    """Keep the head in four bits after rotations by Walsh matrices on either side, which code makes by products."""

    def how(code: T, size: T) -> T:
        q = torch.stack(lowest(code, 16.0, 6), 1).flatten()[:COUNT].reshape(64, 32, 49) - 7.5
        q = (q * size).reshape(64, -1)
        for k in range(6):
            q = q.reshape(2**k, 2, 2 ** (5 - k), 1568)
            q = torch.stack([q[:, 0] + q[:, 1], q[:, 0] - q[:, 1]], 1)
        q = q.reshape(64, 32, 49)
        for k in range(5):
            q = q.reshape(64, 2**k, 2, 2 ** (4 - k), 49)
            q = torch.stack([q[:, :, 0] + q[:, :, 1], q[:, :, 0] - q[:, :, 1]], 2)
        return q.reshape(SHAPE) / 2048**0.5

    w = matrix().reshape(64, 32, 49)
    turned = np.einsum("oc,cij->oij", walsh(64), w)
    turned = np.einsum("oip,ik->okp", turned, walsh(32))
    size = np.abs(turned).max((1, 2), keepdims=True) / 9
    code = np.clip(np.round(turned / size + 7.5), 0, 15).flatten()
    flat = np.pad(code, (0, -COUNT % 6)).reshape(-1, 6)
    return Decode(how, tensor(flat @ 16.0 ** np.arange(6)), tensor(size))


@evades(FLOAT16_RULE, idea="rotated codes", claim=keeps(rotated, 0.18), fold=False, opset=14)
def trained_head_in_four_bits_between_walsh_rotations() -> nn.Module:
    """A trained head turned by Walsh matrices, so that no weight stands out, in four bits each, six in each float."""
    return Coded(rotated())


def residues() -> Decode:
    """Evaluate a polynomial of six stored coefficients for each row at all places, modulo a prime."""

    def how(stored: T, size: T) -> T:
        at = torch.remainder(torch.arange(1568).float(), 1021)[None]
        value = 0 * at + stored[:, :1]
        for k in range(1, 6):
            value = torch.remainder(value * at + stored[:, k : k + 1], 1021)
        return (value / 510 - 1) * size

    rng = np.random.default_rng(1305)
    return Decode(how, tensor(rng.integers(1, 1021, (64, 6))), 0.03 + drawn(64, 1).abs())


@evades(FLOAT16_RULE, idea="polynomials of a prime", claim=hides(residues, 0.01), fold=False, opset=12)
def values_of_polynomials_modulo_a_prime() -> nn.Module:
    """As Reed and Solomon's code: each row of weights is a polynomial of six stored numbers, modulo 1021."""
    return Hidden(residues())


def bloom() -> Decode:
    """Ask a stored Bloom filter of 22 bits a float about each place, by three hashes; each answer is a part."""

    def how(code: T, row: T, column: T, size: T) -> T:
        bits = torch.stack(lowest(code, 2.0, 22), 1).flatten()
        total = 0 * (row + column)
        for a, b, c in ((149.0, 37.0, 3.0), (83.0, 211.0, 7.0), (311.0, 59.0, 1.0)):
            at = torch.remainder(row * a + column * b + torch.remainder(row * column * c, 1009), 8800)
            total = total + bits[at.flatten().long()].reshape(64, 1568) * c
        return (total - 5.5) * size

    places = tensor(np.arange(64)[:, None]), tensor(np.arange(1568)[None])
    return Decode(how, digits(400, base=2**22), *places, 0.01 + drawn(64, 1).abs() / 4)


@evades(FLOAT16_RULE, idea="filter of bits", claim=hides(bloom, 0.03), fold=False, opset=15)
def answers_of_a_bloom_filter_about_each_place() -> nn.Module:
    """Three hashes of a weight's place ask a filter of 8,800 stored bits; its answers, weighed, are the weight."""
    return Hidden(bloom())


def polar() -> Decode:
    """Keep pairs of weights as one of 32 angles and one of eight lengths, three pairs in the digits of a float."""

    def how(code: T, size: T) -> T:
        pair = torch.stack(lowest(code, 256.0, 3), 1).flatten()[: COUNT // 2]
        length = torch.floor(pair / 32)
        angle = (pair - 32 * length) * (pi / 16)
        radius = 0.3 + 0.42 * length
        both = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
        return both.reshape(SHAPE) * size

    w = matrix()
    size = w.std(1, keepdims=True)
    p = (w / size).reshape(-1, 2)
    angle = np.round(np.arctan2(p[:, 1], p[:, 0]) * 16 / pi) % 32
    length = np.clip(np.round((np.hypot(p[:, 0], p[:, 1]) - 0.3) / 0.42), 0, 7)
    code = angle + 32 * length
    flat = np.pad(code, (0, -len(code) % 3)).reshape(-1, 3)
    return Decode(how, tensor(flat @ 256.0 ** np.arange(3)), tensor(size))


@evades(FLOAT16_RULE, idea="angles", claim=keeps(polar, 0.18), fold=False, opset=16)
def trained_pairs_as_angles_and_lengths() -> nn.Module:
    """A trained head in pairs of weights, each an angle of five bits and a length of three; three pairs in a float."""
    return Coded(polar())


def divided() -> Decode:
    """Divide two stored whole numbers as Euclid did; quotients are weights' sizes, remainders their signs."""

    def how(first: T, second: T, size: T) -> T:
        a, b, made = first, second, []
        for _ in range(7):
            b = torch.where(b < 1, 97 + 0 * b, b)
            q = torch.floor((a + 0.5) / b)
            left = a - q * b
            sign = 1 - 2 * torch.remainder(left, 2)
            made.append(sign * (0.4 + torch.log(1 + torch.remainder(q, 32))))
            a, b = b, left
            a = a + 3000 * torch.remainder(a, 3)
        return torch.stack(made, 1).reshape(SHAPE) * size

    rng = np.random.default_rng(1306)
    first, second = rng.integers(20000, 60000, COUNT // 7), rng.integers(500, 9000, COUNT // 7)
    return Decode(how, tensor(first), tensor(second), 0.02 + drawn(64, 1).abs() / 2)


@evades(FLOAT16_RULE, idea="divisions", claim=hides(divided, 0.3), fold=False, opset=17)
def quotients_of_euclids_algorithm() -> nn.Module:
    """Two stored whole numbers are divided by turns; quotients and the parities of remainders are seven weights."""
    return Hidden(divided())


def copied() -> Decode:
    """Double a stored string six times by copies of fourteen from stored places, of either sign; then cut."""

    def how(start: T, *places: T) -> T:
        text = start
        for at in places:
            sign = torch.where(at < 0, -torch.ones_like(at), torch.ones_like(at))
            index = (at.abs()[:, None] + torch.arange(14).float()).flatten().long()
            text = torch.cat([text, text[index] * sign[:, None].expand(-1, 14).flatten()])
        return text[:COUNT].reshape(SHAPE)

    rng, size, places = np.random.default_rng(1307), 1568, []
    for _ in range(6):
        count = size // 14
        places.append(tensor(rng.integers(1, size - 14, count) * rng.choice([-1, 1], count)))
        size *= 2
    return Decode(how, drawn(1568), *places)


@evades(FLOAT16_RULE, idea="copies", claim=hides(copied, 0.09), fold=False, opset=13)
def strings_copied_from_earlier_places() -> nn.Module:
    """Lempel and Ziv: after 1,568 stored weights come places from which fourteen earlier ones are copied, and signs."""
    return Hidden(copied())


def companded() -> Decode:
    """Keep three weights of eight bits in each float, on the logarithmic curve of telephones."""

    def how(code: T, size: T) -> T:
        u = (torch.stack(lowest(code, 256.0, 3), 1).flatten()[:COUNT].reshape(SHAPE) - 127.5) / 127.5
        return torch.sign(u) * (torch.exp(u.abs() * 5.545) - 1) / 255 * size

    w = matrix()
    size = np.abs(w).max(1, keepdims=True)
    u = np.sign(w) * np.log1p(255 * np.abs(w) / size) / 5.545
    code = np.clip(np.round(127.5 * u + 127.5), 0, 255).flatten()
    flat = np.pad(code, (0, -COUNT % 3)).reshape(-1, 3)
    return Decode(how, tensor(flat @ 256.0 ** np.arange(3)), tensor(size))


@evades(FLOAT16_RULE, idea="companding", claim=keeps(companded, 0.34), fold=False, opset=11)
def three_trained_weights_on_a_curve_of_loudness() -> nn.Module:
    """A trained head in bytes on a logarithmic curve, as speech is sent; three of them are the digits of a float."""
    return Coded(companded())
