"""Evasions: weights that are stored in fewer than four bytes each, or that are made of nothing stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from evaluation.blind4.claims import Claim, apart
from evaluation.blind4.export import network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades, written
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network
from evaluation.sequential import SequentialBuilder

#: The head that is hidden: 64 outputs of a map of 32 x 7 x 7.
SHAPE = (64, 1568)


def trunk(n: Net, x: T) -> T:
    for width in (8, 12, 16, 32):
        x = n.cbr(x, width, 3, 2)
    return x.flatten(1)


class Hidden(nn.Module):
    """A trunk and a head whose matrix ``decode`` makes of what is stored."""

    def __init__(self, decode: nn.Module) -> None:
        super().__init__()
        self.trunk, self.decode = network(trunk, "float trunk"), decode
        with torch.no_grad():
            y = F.linear(self.trunk(torch.from_numpy(faces(24, 999))), decode().reshape(SHAPE))
        self.mean, self.scale = nn.Parameter(y.mean(0)), nn.Parameter(1 / (y.std(0) + 1e-4))

    def forward(self, x: T) -> T:
        y: T = F.linear(self.trunk(x), self.decode().reshape(SHAPE))
        return (y - self.mean) * self.scale


def hides(make: Callable[[], nn.Module], share: float) -> Claim:
    """Claim that the network is the one with the decoded matrix stored, and that its file is smaller by the matrix.

    ``share`` is the largest part of the matrix's 4 bytes per weight that what is stored for it takes.
    """

    def wrong(run: Network) -> list[str]:
        x = faces(3, 5)
        hidden = Hidden(make())
        with torch.no_grad():
            matrix = hidden.decode().reshape(SHAPE).numpy()
            y = hidden.trunk(torch.from_numpy(x)).numpy() @ matrix.T
        given = (y - hidden.mean.detach().numpy()) * hidden.scale.detach().numpy()
        found = []
        if not apart(alone(run, x), given) < 1e-3:
            found.append(f"1 - cosine to the decoded network is {apart(alone(run, x), given):.2g}")
        stored = sum(item.numel() for item in hidden.decode.parameters()) / matrix.size
        if not stored <= share:
            found.append(f"{stored:.2f} floats are stored for each weight")
        if not len(np.unique(matrix.round(5))) > 8:
            found.append("the matrix has hardly any values")
        return found

    return wrong


class Decode(nn.Module):
    """What is stored, by the order of the arguments, and the function that makes the matrix of it."""

    def __init__(self, how: Callable[..., T], *stored: T) -> None:
        super().__init__()
        self.stored, self.how = nn.ParameterList(nn.Parameter(item) for item in stored), how

    def forward(self) -> T:
        return self.how(*self.stored)


def drawn(*shape: int) -> T:
    return torch.from_numpy(np.random.default_rng(sum(shape)).normal(0, 0.05, shape).astype(np.float32))


def digits(*shape: int, base: int) -> T:
    return torch.from_numpy(np.random.default_rng(sum(shape)).integers(0, base, shape).astype(np.float32))


def thermometer() -> Decode:
    """One float is a digit of base 32; the steps it has passed, times the increments of eight weights, make these."""
    return Decode(
        lambda code, steps: torch.clamp(code[:, None] - torch.arange(32).float(), 0, 1) @ steps,
        digits(SHAPE[0] * SHAPE[1] // 8, base=32), drawn(32, 8),
    )  # fmt: skip


@evades(FLOAT16_RULE, idea="codes", claim=hides(thermometer, 0.13), fold=False)
def thermometer_code_of_eight_weights() -> nn.Module:
    """Eight weights from one small number: a thermometer of its value times a table of increments; 0.5 bytes each."""
    return Hidden(thermometer())


def two_books() -> Decode:
    def how(a: T, b: T, one: T, two: T) -> T:
        at = torch.arange(24).float()
        return F.relu(1 - (a[:, None] - at).abs()) @ one + F.relu(1 - (b[:, None] - at).abs()) @ two

    count = SHAPE[0] * SHAPE[1] // 16
    return Decode(how, digits(count, base=24), digits(count + 1, base=24)[1:], drawn(24, 16), drawn(25, 16)[1:])


@evades(FLOAT16_RULE, idea="codes", claim=hides(two_books, 0.14), fold=False)
def two_codebooks_by_hat_functions() -> nn.Module:
    """Sixteen weights are the sum of a row of one table and a row of another, chosen by hat functions of two floats."""
    return Hidden(two_books())


def nearest_row() -> Decode:
    def how(code: T, keys: T, book: T) -> T:
        return F.embedding((code[:, None] - keys).abs().argmin(1), book)

    return Decode(how, drawn(SHAPE[0] * SHAPE[1] // 8), drawn(64), drawn(64, 8))


@evades(FLOAT16_RULE, idea="codes", claim=hides(nearest_row, 0.14), fold=False)
def row_of_the_nearest_key() -> nn.Module:
    """A float is compared with 64 keys; the row of the nearest one, by ArgMin and Gather, is eight weights."""
    return Hidden(nearest_row())


def logistic() -> Decode:
    def how(seeds: T) -> T:
        made = []
        for _ in range(16):
            seeds = 3.9 * seeds * (1 - seeds)
            made.append(seeds)
        return 0.1 * (torch.stack(made, 1) - 0.5)

    return Decode(how, 0.1 + 0.8 * (20 * drawn(SHAPE[0] * SHAPE[1] // 16)).sigmoid())


@evades(FLOAT16_RULE, idea="made of nothing", claim=hides(logistic, 0.07), fold=False)
def weights_by_a_chaotic_map() -> nn.Module:
    """Sixteen weights from one float by sixteen steps of the logistic map: a quarter of a byte each."""
    return Hidden(logistic())


class RangeHash(nn.Module):
    """The fractional part of a large sine of a range that is made in the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([0.1]))

    def forward(self) -> T:
        at = torch.cumsum(self.gain.expand(SHAPE[0] * SHAPE[1]) * 0 + 1, 0)
        y = torch.sin(at * 12.9898) * 437.585
        return self.gain * (y - y.floor() - 0.5)


@evades(FLOAT16_RULE, idea="made of nothing", claim=hides(RangeHash, 0.001), fold=False)
def weights_by_a_hash_of_their_place() -> nn.Module:
    """A whole layer is the fractional part of a large sine of the place: nothing but a range is stored."""
    return Hidden(RangeHash())


def exponents() -> Decode:
    def how(pair: T) -> T:
        high = torch.floor(torch.log(pair) / 0.6931471806 + 1e-4)
        low = pair / torch.exp(high * 0.6931471806)
        return torch.stack([0.01 * (high - 8), 0.2 * (low - 1.5)], 1)

    rng = np.random.default_rng(9)
    count = SHAPE[0] * SHAPE[1] // 2
    pair = np.ldexp(rng.uniform(1.01, 1.99, count), rng.integers(0, 16, count))
    return Decode(how, torch.from_numpy(pair.astype(np.float32)))


@evades(FLOAT16_RULE, idea="pairs", claim=hides(exponents, 0.5), fold=False)
def one_weight_in_the_exponent_one_in_the_fraction() -> nn.Module:
    """A float carries two weights: the logarithm rounded down is one, what remains of the number is the other."""
    return Hidden(exponents())


def powers() -> Decode:
    def how(base: T) -> T:
        return torch.cat([0.08 * torch.sin(base * k) for k in (1.0, 37.0, 211.0, 1013.0)])

    return Decode(how, 30 * drawn(SHAPE[0] * SHAPE[1] // 4))


@evades(FLOAT16_RULE, idea="pairs", claim=hides(powers, 0.25), fold=False)
def four_harmonics_of_one_number() -> nn.Module:
    """Four weights are sines of 1, 37, 211 and 1013 times one float, whose low digits set the last ones."""
    return Hidden(powers())


def eight_bits(run: Network) -> list[str]:
    """The integer matrix product is the float one with the stored bytes scaled."""
    x = faces(3, 5)
    rng = np.random.default_rng(17)
    matrix = rng.integers(-127, 128, (1568, 48)).astype(np.int8)
    embeddings = alone(run, x)
    found = [] if np.isfinite(embeddings).all() else ["not finite"]
    model: Any = quantised_head_of_qlinear()
    stored = [item for item in model.graph.initializer if item.data_type == onnx.TensorProto.INT8]
    nodes = [node for node in model.graph.node if node.op_type == "Constant" for _ in node.attribute]
    arrays = [onnx.numpy_helper.to_array(item) for item in stored]
    arrays += [onnx.numpy_helper.to_array(node.attribute[0].t) for node in nodes]
    if not any(array.dtype == np.int8 and array.size == matrix.size for array in arrays):
        found.append("no matrix of 8-bit integers is stored")
    return found


def _quantised(net: SequentialBuilder) -> str:
    x = net.x
    for cin, cout in ((3, 8), (8, 12), (12, 16), (16, 32)):
        x = net.cbr(x, cin, cout, 3, 2)
    flat = net.op("Flatten", x, axis=1)
    scale, zero = net.const(np.float32(0.02)), net.const(np.uint8(0), np.uint8)
    codes = net.op("QuantizeLinear", flat, scale, zero)
    matrix = net.rng.integers(-127, 128, (1568, 48)).astype(np.int8)
    out = net.op(
        "QLinearMatMul", codes, scale, zero, net.const(matrix, np.int8), net.const(np.float32(0.001)),
        net.const(np.int8(0), np.int8), net.const(np.float32(0.02)), net.const(np.uint8(128), np.uint8),
    )  # fmt: skip
    return net.standardise(
        net.op("DequantizeLinear", out, net.const(np.float32(0.02)), net.const(np.uint8(128), np.uint8)), 48
    )


@evades(FLOAT16_RULE, idea="eight bits", claim=eight_bits)
def quantised_head_of_qlinear() -> onnx.ModelProto:
    """The head is a QLinearMatMul with its 75,264 weights in one byte each."""
    return written(_quantised, "quantised_head_of_qlinear", 12)
