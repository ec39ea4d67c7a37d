"""Evasions: weights that are stored as text, trees, labels, waves or points, or that arithmetic makes of nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from evaluation.blind4.claims import apart
from evaluation.blind4.evasions_float16 import SHAPE, Decode, Hidden, digits, drawn, hides, trunk
from evaluation.blind4.export import exported, network
from evaluation.blind4.layers import Net, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_float16 import COUNT
from evaluation.blind5.evasions_runs import body_of
from evaluation.blind6.evasions_common import torch_of
from evaluation.blind7.evasions_nets import Parts, of, tensor
from evaluation.builder import Array
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def tree() -> Decode:
    """Four digits of two of each code choose, by Where upon Where, among sixteen stored rows of eight weights."""

    def how(code: T, rows: T) -> T:
        rest, chosen = code, list(rows[:, None].unbind(0))
        for _ in range(4):
            half = torch.floor(rest / 2)
            odd = (rest - 2 * half > 0.5)[:, None]
            chosen = [torch.where(odd, b, a) for a, b in zip(chosen[::2], chosen[1::2], strict=True)]
            rest = half
        return chosen[0]

    return Decode(how, digits(COUNT // 8, base=16), drawn(16, 8))


@evades(FLOAT16_RULE, idea="decision tree", claim=hides(tree, 0.13), fold=False, opset=13)
def eight_weights_at_every_leaf_of_a_tree() -> nn.Module:
    """Four levels of Where, by the digits of one small number, end at one of sixteen leaves with eight weights each."""
    return Hidden(tree())


def waves() -> Decode:
    """A function of the code with twelve places, as sums of its waves: a codebook in the domain of frequencies."""

    def how(code: T, book: T) -> T:
        angle = code[:, None] * (torch.arange(1, 7).float() * (2 * np.pi / 12))
        return torch.cat([torch.ones_like(code[:, None]), angle.cos(), angle[:, :5].sin()], 1) @ book

    return Decode(how, digits(COUNT // 16, base=12), drawn(12, 16))


@evades(FLOAT16_RULE, idea="waves", claim=hides(waves, 0.07), fold=False, opset=16)
def codebook_in_the_domain_of_frequencies() -> nn.Module:
    """Sines and cosines of a whole number below twelve, times a stored matrix, are sixteen weights."""
    return Hidden(waves())


def logarithmic() -> Decode:
    """Five digits of sixteen in each float: a sign and a power of two, as in networks of shifts."""

    def how(packed: T, scale: T, more: T) -> T:
        rest, kept = packed, []
        for _ in range(5):
            low = torch.floor(rest / 16)
            kept.append(rest - 16 * low)
            rest = low
        digit = torch.stack(kept, 1)
        half = torch.floor(digit / 2)
        made = torch.pow(2.0, -half) * (1 - 2 * (digit - 2 * half))
        return torch.cat([made.flatten(), more]).reshape(SHAPE) * scale

    words = COUNT // 5
    return Decode(how, digits(words, base=16**5), 0.02 + drawn(64, 1).abs(), drawn(COUNT - 5 * words))


@evades(FLOAT16_RULE, idea="powers of two", claim=hides(logarithmic, 0.21), fold=False, opset=12)
def five_signed_powers_of_two_in_a_float() -> nn.Module:
    """Each float is five digits of sixteen; a digit is a sign and an exponent, and Pow makes the weight of it."""
    return Hidden(logarithmic())


def points() -> Decode:
    """Every output and every input is a point of the plane; their distance gives the weight."""

    def how(a: T, b: T) -> T:
        far = ((a[:, None] - b[None]) ** 2).sum(2)
        return torch.cos(3 * far) * torch.exp(-0.2 * far)

    return Decode(how, 40 * drawn(64, 2), 40 * drawn(1568, 2))


@evades(FLOAT16_RULE, idea="points", claim=hides(points, 0.04), fold=False, opset=15)
def weights_by_distances_of_points() -> nn.Module:
    """A point for every channel, 3,264 numbers, and a curve of distances: that makes 100,352 weights."""
    return Hidden(points())


def overlapping() -> Decode:
    """Peaks at every eighth place, spread by stored kernels of eight through a transposed convolution."""

    def how(code: T, words: T) -> T:
        peaks = F.relu(1 - (code[None] - torch.arange(20).float()[:, None]).abs())
        return F.conv_transpose1d(peaks[None], words, stride=8)

    return Decode(how, digits(COUNT // 8, base=20), drawn(20, 1, 8))


@evades(FLOAT16_RULE, idea="dictionary", claim=hides(overlapping, 0.13), fold=False, opset=17)
def dictionary_of_a_transposed_convolution() -> nn.Module:
    """One number is a peak in one of twenty channels; a transposed convolution puts eight weights there."""
    return Hidden(overlapping())


def quantised_by_rows(n: Net, x: T) -> T:
    for width in (8, 16, 32, 32):
        x = n.cbr(x, width, 3, 2)
    return n.linear(x.flatten(1), 64)


TRAINED: Parts = (quantised_by_rows, "quantised in the seventh set", 12)


def signs_and_sizes() -> tuple[Array, Array, Array]:
    """Return sixteen signs as one number for each group, and the sizes, by XNOR-Net's means over rows."""
    head = cast(Any, list(network(*TRAINED).kept)[-1])
    w = head.weight.detach().numpy()
    bits = (w.reshape(-1, 16) > 0) @ (2.0 ** np.arange(16))
    return bits.astype(np.float32), np.abs(w).mean(1, keepdims=True), head.bias.detach().numpy()


class Signs(nn.Module):
    """A trained network whose head is signs, sixteen in a float, by comparisons of remainders."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.ModuleList(list(network(*TRAINED).kept)[:-1])
        self.bits, self.sizes, self.bias = (nn.Parameter(tensor(v)) for v in signs_and_sizes())

    def forward(self, x: T) -> T:
        for i in range(0, 8, 2):
            x = F.relu(self.trunk[i + 1](self.trunk[i](x)))
        power = 2.0 ** torch.arange(16).float()
        odd = torch.remainder(torch.floor(self.bits[:, None] / power), 2.0) >= 1.0
        return F.linear(x.flatten(1), torch.where(odd, 1.0, -1.0).reshape(SHAPE) * self.sizes, self.bias)


def of_signs(run: Network) -> list[str]:
    x, (bits, sizes, bias) = faces(3, 5), signs_and_sizes()
    kept: list[Any] = list(network(*TRAINED).kept)
    w = np.where((bits.astype(int)[:, None] >> np.arange(16)) & 1, 1.0, -1.0).reshape(SHAPE) * sizes

    def written(y: T) -> T:
        for i in range(0, 8, 2):
            y = F.relu(kept[i + 1](kept[i](y)))
        return F.linear(y.flatten(1), tensor(w), tensor(bias))

    found = [] if apart(alone(run, x), torch_of(written, x)) < 1e-4 else ["it is not the network of the signs"]
    near = apart(alone(run, x), of(TRAINED)(x))
    return found if near < 0.4 else [*found, f"it has left the trained network by {near:.2g}"]


@evades(FLOAT16_RULE, idea="trained head", claim=of_signs, fold=False, opset=13)
def trained_head_of_sixteen_signs_in_a_float() -> nn.Module:
    """A trained head keeps its signs alone, sixteen of them in each stored float, and a size for each row."""
    return Signs()


@evades(FLOAT16_RULE, idea="text", claim=lambda run: told(run, textual()))
def weights_written_as_text() -> onnx.ModelProto:
    """The head is one string of small numbers, which StringSplit takes apart and Cast reads: three bytes a weight."""
    rows = np.random.default_rng(85).integers(-9, 10, COUNT)
    text = " ".join(str(v) for v in rows)
    stored = helper.make_tensor("text", TensorProto.STRING, [1], cast(Any, [text.encode()]))
    nodes = [
        helper.make_node("StringSplit", ["text"], ["words", "count"], delimiter=" "),
        helper.make_node("Cast", ["words"], ["numbers"], to=1),
    ]
    return headed("weights written as text", nodes, [stored], 20, textual)


def textual() -> Array:
    return np.random.default_rng(85).integers(-9, 10, COUNT).reshape(SHAPE).astype(np.float32)


def headed(
    name: str, nodes: list[onnx.NodeProto], stored: list[TensorProto], opset: int, matrix: Callable[[], Array]
) -> onnx.ModelProto:
    """A trunk and a head whose matrix is what the nodes call ``numbers``, in units that are kept for each row."""
    made = exported(network(trunk, "float trunk"), name, opset)
    x, out = made.graph.input[0].name, made.graph.output[0].name
    with torch.no_grad():
        y = network(trunk, "float trunk")(torch.from_numpy(faces(24, 999))).numpy() @ matrix().T
    more = [
        helper.make_node("Reshape", ["numbers", "form"], ["matrix"]),
        helper.make_node("Gemm", ["flat", "matrix", "offset"], ["raw"], transB=1),
        helper.make_node("Mul", ["raw", "unit"], [out]),
    ]
    values = {
        "form": np.array(SHAPE), "offset": -y.mean(0).astype(np.float32),
        "unit": (1 / (y.std(0) + 1e-4)).astype(np.float32),
    }  # fmt: skip
    sink = helper.make_tensor_value_info(out, TensorProto.FLOAT, ["N", 64])
    kept = [*made.graph.initializer, *stored, *(numpy_helper.from_array(v, key) for key, v in values.items())]
    graph = helper.make_graph([*nodes, *body_of(made, x, "flat"), *more], "main", list(made.graph.input), [sink], kept)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 2)]
    return helper.make_model(graph, opset_imports=imports, ir_version=9 if opset > 18 else 7)


def told(run: Network, matrix: Array) -> list[str]:
    """The network is the one with the matrix written out."""
    net, x = network(trunk, "float trunk"), faces(3, 5)
    with torch.no_grad():
        y = net(torch.from_numpy(faces(24, 999))).numpy() @ matrix.T
        given = (net(torch.from_numpy(x)).numpy() @ matrix.T - y.mean(0)) / (y.std(0) + 1e-4)
    off = apart(alone(run, x), given)
    return [] if off < 1e-3 else [f"1 - cosine to the written matrix is {off:.2g}"]


def labels() -> tuple[Array, Array]:
    """Return codes below 30 and the table of ten weights for each."""
    rng = np.random.default_rng(86)
    return rng.integers(0, 30, COUNT // 14), rng.normal(0, 0.05, (30, 14)).astype(np.float32)


def labelled() -> Array:
    codes, table = labels()
    return table[codes].T.reshape(SHAPE)


@evades(FLOAT16_RULE, idea="labels", claim=lambda run: told(run, labelled()))
def labels_that_stand_for_fourteen_weights() -> onnx.ModelProto:
    """LabelEncoder, made for classes, turns each stored label into a weight; fourteen encoders make fourteen of one."""
    codes, table = labels()
    nodes = [
        helper.make_node(
            "LabelEncoder", ["codes"], [f"part_{i}"], domain="ai.onnx.ml",
            keys_int64s=list(range(30)), values_floats=[float(v) for v in table[:, i]],
        )
        for i in range(14)
    ]  # fmt: skip
    nodes.append(helper.make_node("Concat", [f"part_{i}" for i in range(14)], ["numbers"], axis=0))
    stored = [numpy_helper.from_array(codes.astype(np.int64), "codes")]
    return headed("labels that stand for weights", nodes, stored, 12, labelled)


def shifted_bits() -> Array:
    return np.random.default_rng(87).integers(0, 2**32, COUNT // 8, dtype=np.uint64).astype(np.uint32)


def nibbles() -> Array:
    words = shifted_bits()
    parts = np.stack([(words >> np.uint32(4 * i)) & np.uint32(15) for i in range(8)])
    return (parts.astype(np.float32) - 7.5).reshape(SHAPE)


@evades(FLOAT16_RULE, idea="bits", claim=lambda run: told(run, nibbles()))
def eight_nibbles_of_a_whole_number() -> onnx.ModelProto:
    """Whole numbers of 32 bits, which BitShift and BitwiseAnd take apart into eight weights of four bits each."""
    nodes, stored = [], [numpy_helper.from_array(shifted_bits(), "words")]
    for i in range(8):
        nodes += [
            helper.make_node("BitShift", ["words", f"by_{i}"], [f"down_{i}"], direction="RIGHT"),
            helper.make_node("BitwiseAnd", [f"down_{i}", "mask"], [f"low_{i}"]),
        ]
        stored.append(numpy_helper.from_array(np.array(4 * i, np.uint32), f"by_{i}"))
    stored += [
        numpy_helper.from_array(np.array(15, np.uint32), "mask"),
        numpy_helper.from_array(np.array(7.5, np.float32), "middle"),
    ]
    nodes += [
        helper.make_node("Concat", [f"low_{i}" for i in range(8)], ["all"], axis=0),
        helper.make_node("Cast", ["all"], ["positive"], to=1),
        helper.make_node("Sub", ["positive", "middle"], ["numbers"]),
    ]
    return headed("eight nibbles of a whole number", nodes, stored, 18, nibbles)


def congruential() -> Array:
    i = np.arange(COUNT)
    y = (i * 16807 + 12345) % 65521
    y = (y * y + 3 * i) % 65521
    return (((y * 75 + 74) % 65521) / 32760.5 - 1).reshape(SHAPE).astype(np.float32)


@evades(FLOAT16_RULE, idea="from nothing", claim=lambda run: told(run, congruential()))
def weights_by_a_congruential_generator() -> onnx.ModelProto:
    """A layer's weights are whole numbers of a congruence of their place, modulo 65521."""
    numbers = {"zero": 0, "count": COUNT, "one": 1, "a": 16807, "b": 12345, "p": 65521, "c": 3, "d": 75, "e": 74}
    stored = [numpy_helper.from_array(np.array(v, np.int64), key) for key, v in numbers.items()]
    stored += [numpy_helper.from_array(np.array(v, np.float32), key) for key, v in (("half", 32760.5), ("whole", 1.0))]
    steps = (
        ("Range", "zero count one", "i"), ("Mul", "i a", "ia"), ("Add", "ia b", "iab"), ("Mod", "iab p", "first"),
        ("Mul", "first first", "square"), ("Mul", "i c", "ic"), ("Add", "square ic", "sum"), ("Mod", "sum p", "second"),
        ("Mul", "second d", "sd"), ("Add", "sd e", "sde"), ("Mod", "sde p", "third"),
    )  # fmt: skip
    nodes = [helper.make_node(kind, given.split(), [out]) for kind, given, out in steps]
    nodes += [
        helper.make_node("Cast", ["third"], ["floats"], to=1),
        helper.make_node("Div", ["floats", "half"], ["upto_two"]),
        helper.make_node("Sub", ["upto_two", "whole"], ["numbers"]),
    ]
    return headed("weights by a congruential generator", nodes, stored, 11, congruential)
