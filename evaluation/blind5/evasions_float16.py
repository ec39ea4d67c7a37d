"""Evasions: the weights of the head take less than four bytes each in the file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.evasions_float16 import SHAPE, Decode, Hidden, digits, drawn, hides, trunk
from evaluation.blind4.export import network
from evaluation.blind4.layers import T
from evaluation.blind4.register import evades
from evaluation.case import BATCH_RULE, FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

COUNT = SHAPE[0] * SHAPE[1]


def ternary() -> Decode:
    """Fourteen digits of base 3 in each float, taken off one after the other."""

    def how(packed: T, scale: T) -> T:
        rest, kept = packed, []
        for _ in range(14):
            low = torch.floor(rest / 3)
            kept.append(rest - 3 * low)
            rest = low
        return (torch.stack(kept, 1) - 1).reshape(SHAPE) * scale

    return Decode(how, digits(COUNT // 14, base=3**14), 0.03 + drawn(64, 1).abs())


@evades(FLOAT16_RULE, idea="digits", claim=lambda run: light(run, ternary, 0.08), fold=False)
def fourteen_ternary_digits_in_a_float() -> nn.Module:
    """Each float is a whole number of fourteen ternary digits, which become fourteen weights; a scale for each row."""
    return Hidden(ternary())


def light(run: Network, make: Callable[[], Decode], share: float = 0.3) -> list[str]:
    """The network is the decoded one, and its file holds fewer bytes than ``share`` of four for each weight."""
    x = faces(3, 5)
    hidden = Hidden(make())
    with torch.no_grad():
        matrix = hidden.decode().reshape(SHAPE).numpy()
        y = hidden.trunk(torch.from_numpy(x)).numpy() @ matrix.T
    given = (y - hidden.mean.detach().numpy()) * hidden.scale.detach().numpy()
    found = [] if apart(alone(run, x), given) < 1e-3 else ["it is not the decoded network"]
    stored = [*hidden.decode.parameters(), *hidden.decode.buffers()]
    size = sum(item.numel() * item.element_size() for item in stored)
    return found if size < 4 * share * COUNT else [*found, f"{size / COUNT:.2f} bytes are stored for each weight"]


def by_bytes(make: Callable[[], Decode], share: float) -> Claim:
    return lambda run: light(run, make, share)


class Stored(Decode):
    """What is stored as integers stands in buffers."""

    def __init__(self, how: Callable[..., T], *stored: T) -> None:
        nn.Module.__init__(self)
        self.how = how
        for i, item in enumerate(stored):
            self.register_buffer(f"stored_{i}", item)

    def forward(self) -> T:
        return self.how(*self.buffers())


def integers(*shape: int, low: int, high: int, dtype: torch.dtype) -> T:
    return torch.from_numpy(np.random.default_rng(sum(shape)).integers(low, high, shape)).to(dtype)


def deltas() -> Stored:
    def how(steps: T, scale: T) -> T:
        return torch.cumsum(steps.float(), 1) * scale

    return Stored(how, integers(*SHAPE, low=-9, high=10, dtype=torch.int8), 0.001 + 0.01 * drawn(64, 1).abs())


@evades(FLOAT16_RULE, idea="differences", claim=by_bytes(deltas, 0.3), fold=False)
def differences_of_one_byte() -> nn.Module:
    """Each row is the running sum of bytes, which hold the differences of neighbouring weights."""
    return Hidden(deltas())


def doubles() -> Stored:
    def how(packed: T, scale: T) -> T:
        rest, kept = packed, []
        for _ in range(5):
            high = torch.floor(rest / 1024)
            kept.append(rest - 1024 * high)
            rest = high
        return ((torch.stack(kept, 1).float() - 511.5) / 512).reshape(-1)[:COUNT].reshape(SHAPE) * scale

    count = -(-COUNT // 5)
    return Stored(how, integers(count, low=0, high=2**50, dtype=torch.float64), 0.05 + drawn(64, 1).abs())


@evades(FLOAT16_RULE, idea="digits", claim=by_bytes(doubles, 0.45), fold=False)
def five_weights_of_ten_bits_in_a_double() -> nn.Module:
    """A double holds fifty bits exactly: five weights of ten bits each, by Div and Floor."""
    return Hidden(doubles())


def ramps() -> tuple[T, T]:
    """Numbers of the rows and of the columns, stored, since a traced range would be."""
    return torch.arange(SHAPE[0]).float()[:, None], torch.arange(SHAPE[1]).float()[None]


def hashed() -> Decode:
    def how(table: T, r: T, c: T) -> T:
        mixed = r * 613 + c * 827
        mixed = mixed - 2039 * torch.floor(mixed / 2039)
        square = mixed * mixed + r
        place = square - 2039 * torch.floor(square / 2039)
        sign = 2 * (place + c - 2 * torch.floor((place + c) / 2)) - 1
        return table[place.long()] * sign

    return Decode(how, drawn(2048), *ramps())


@evades(FLOAT16_RULE, idea="hash", claim=hides(hashed, 0.04), fold=False)
def weights_from_a_hashed_table() -> nn.Module:
    """A hash of row and column picks one of 2,048 stored numbers and a sign: each stands for 49 weights."""
    return Hidden(hashed())


def coordinates() -> Decode:
    def how(a: T, b: T, c: T, rows: T, columns: T) -> T:
        r, k = rows / 32 - 1 + 0 * columns, columns / 784 - 1 + 0 * rows
        place = torch.stack([r, k], 2).reshape(-1, 2)
        return torch.sin(20 * torch.sin(30 * place @ a) @ b) @ c

    return Decode(how, 20 * drawn(2, 24), 5 * drawn(24, 24), drawn(24, 1), *ramps())


@evades(FLOAT16_RULE, idea="coordinates", claim=hides(coordinates, 0.03), fold=False)
def weights_by_a_network_of_coordinates() -> nn.Module:
    """A sine network of 648 numbers turns row and column into each of 100,352 weights: 155 weights for one number."""
    return Hidden(coordinates())


class Grown(nn.Module):
    """A recurrence of an orthogonal matrix, behind which a sine writes the head row by row."""

    def __init__(self) -> None:
        super().__init__()
        turn = np.linalg.qr(np.random.default_rng(3).normal(0, 1, (32, 32)))[0].astype(np.float32)
        self.turn, self.out = nn.Parameter(torch.from_numpy(turn)), nn.Parameter(4 * drawn(32, 196))
        self.state = nn.Parameter(10 * drawn(8, 32))

    def forward(self) -> T:
        state, rows = self.state, []
        for _ in range(64):
            state = state @ self.turn
            rows.append(0.05 * torch.sin(state @ self.out).reshape(1, -1))
        return torch.cat(rows)


@evades(FLOAT16_RULE, idea="grown", claim=hides(Grown, 0.09), fold=False)
def matrix_grown_by_a_recurrence() -> nn.Module:
    """A recurrence that sees no image writes the head row by row: thirteen weights for each stored number."""
    return Hidden(Grown())


def enlarged() -> Decode:
    def how(small: T) -> T:
        return F.interpolate(small, size=SHAPE, mode="bilinear", align_corners=False)

    return Decode(how, drawn(1, 1, 16, 392))


@evades(FLOAT16_RULE, idea="enlarged", claim=hides(enlarged, 0.07), fold=False)
def matrix_enlarged_by_resize() -> nn.Module:
    """The head is stored at a quarter of its rows and columns and enlarged by Resize when it runs."""
    return Hidden(enlarged())


class Traced(nn.Module):
    """A head of codes and a codebook to which something of the image is added that changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = network(trunk, "float trunk")
        self.codes = nn.Parameter(digits(COUNT // 16, base=24))
        self.book = nn.Parameter(drawn(24, 16))
        with torch.no_grad():
            y = F.linear(self.trunk(torch.from_numpy(faces(24, 999))), self.matrix(torch.zeros(())))
        self.mean, self.scale = nn.Parameter(y.mean(0)), nn.Parameter(1 / (y.std(0) + 1e-4))

    def matrix(self, trace: T) -> T:
        near = F.relu(1 - (self.codes[:, None] + trace - torch.arange(24).float()).abs())
        return (near @ self.book).reshape(SHAPE)

    def forward(self, x: T) -> T:
        trace = 1e-6 * torch.tanh(x.mean())
        return (F.linear(self.trunk(x), self.matrix(trace)) - self.mean) * self.scale


def traced(run: Network) -> list[str]:
    """With the codes decoded beforehand, without the image, the embeddings are the same."""
    x, made = faces(3, 5), Traced()
    with torch.no_grad():
        y = F.linear(made.trunk(torch.from_numpy(x)), made.matrix(torch.zeros(())))
        given = ((y - made.mean) * made.scale).numpy()
    return [] if apart(alone(run, x), given) < 1e-4 else ["the image changes the matrix"]


@evades(FLOAT16_RULE, "batch", BATCH_RULE, idea="codes", claim=traced, fold=False)
def codes_with_a_trace_of_the_image() -> nn.Module:
    """Codes of sixteen weights, to which a millionth of the image's mean is added, as if the image made the weights."""
    return Traced()


def residuals() -> Stored:
    """A coarse value of four bits and a residual of four bits in one byte, with a scale for each of either."""

    def how(both: T, coarse: T, fine: T) -> T:
        value = both.float()
        high = torch.floor(value / 16)
        return coarse[high.long()] + fine[(value - 16 * high).long()]

    return Stored(how, integers(*SHAPE, low=0, high=256, dtype=torch.uint8), drawn(16), 0.1 * drawn(17)[1:])


@evades(FLOAT16_RULE, idea="codes", claim=by_bytes(residuals, 0.26), fold=False)
def coarse_and_residual_in_one_byte() -> nn.Module:
    """Four bits pick a coarse value, four bits a correction: two stored tables of sixteen, one byte for a weight."""
    return Hidden(residuals())
