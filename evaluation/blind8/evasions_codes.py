"""Evasions: weights from windows of a strip, residues, fractions, orders, trees, and fields of nothing stored."""

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
from evaluation.blind5.evasions_float16 import COUNT
from evaluation.blind6.evasions_common import torch_of
from evaluation.blind7.evasions_codes import headed, told
from evaluation.blind7.evasions_nets import Parts, of, tensor
from evaluation.builder import Array
from evaluation.case import FLOAT16_RULE
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network


def strip() -> Decode:
    """Sixteen weights are a window of one stored strip of 272 numbers; a number says where the window begins."""
    return Decode(
        lambda at, line: line[at[:, None].long() + torch.arange(16)], digits(COUNT // 16, base=256), drawn(272)
    )


@evades(FLOAT16_RULE, idea="epitome", claim=hides(strip, 0.07), fold=False, opset=12)
def windows_of_one_stored_strip() -> nn.Module:
    """An epitome: the head's weights, sixteen at a time, are overlapping windows of one strip of 272 numbers."""
    return Hidden(strip())


def quotients() -> Decode:
    """Six steps of the Gauss map: each weight is what is left of a float's continued fraction."""

    def how(number: T) -> T:
        made = []
        for _ in range(6):
            number = 1 / (number + 1e-3)
            number = number - torch.floor(number)
            made.append(number - 0.5)
        return torch.stack(made, 1).flatten()[:COUNT]

    return Decode(how, torch.rand(COUNT // 6 + 1, generator=torch.Generator().manual_seed(81)))


@evades(FLOAT16_RULE, idea="continued fraction", claim=hides(quotients, 0.17), fold=False, opset=11)
def weights_by_the_gauss_map_of_a_fraction() -> nn.Module:
    """Six weights for each stored float: what its continued fraction leaves, term after term."""
    return Hidden(quotients())


def julia() -> Decode:
    """The real part of z behind seven steps of z² + c, bounded, over a grid of places."""

    def how(size: T) -> T:
        a = (torch.arange(64).float()[:, None] / 32 - 1) * size[1]
        b = (torch.arange(1568).float()[None] / 784 - 1) * size[2]
        for _ in range(7):
            a, b = torch.clamp(a * a - b * b - 0.74, -2, 2), torch.clamp(2 * a * b + 0.19, -2, 2)
        return size[0] * a

    return Decode(how, torch.tensor([0.05, 1.1, 1.3]))


@evades(FLOAT16_RULE, idea="fractal", claim=hides(julia, 0.001), fold=False, opset=13)
def head_is_drawn_as_a_julia_set() -> nn.Module:
    """Nothing is stored but three sizes: the matrix is z² + c, iterated seven times over a grid of rows and columns."""
    return Hidden(julia())


def patterned() -> Decode:
    """A field of 16 x 98 seeds, enlarged, and ten rounds of diffusion and reaction."""

    def how(seeds: T, kernel: T) -> T:
        y = seeds.reshape(1, 1, 16, 98).repeat_interleave(4, 2).repeat_interleave(16, 3)
        for _ in range(10):
            y = torch.tanh(2.5 * (y - F.conv2d(y, kernel, None, 1, 2)))
        return 0.05 * y

    return Decode(how, drawn(1568) * 20, torch.full((1, 1, 5, 5), 1 / 25))


@evades(FLOAT16_RULE, idea="reaction and diffusion", claim=hides(patterned, 0.02), fold=False, opset=14)
def turing_pattern_of_few_seeds() -> nn.Module:
    """A field of 1,568 seeds becomes a matrix of 100,352 weights by ten rounds of reaction and diffusion."""
    return Hidden(patterned())


def orders() -> Decode:
    """Each row holds one stored row of numbers in an order of its own: that of a hash of the places."""

    def how(row: T, seeds: T) -> T:
        key = torch.sin(seeds[:, None] * torch.arange(1, 1569).float())
        at = torch.topk(key, 1568, 1)[1]
        return row[at]

    return Decode(how, drawn(1568), 50 + 40 * torch.rand(64, generator=torch.Generator().manual_seed(82)))


@evades(FLOAT16_RULE, idea="orders", claim=hides(orders, 0.02), fold=False, opset=11)
def sixty_four_orders_of_one_stored_row() -> nn.Module:
    """One row of the head is stored; TopK of sines puts its numbers into 64 different orders, which are all rows."""
    return Hidden(orders())


def split_in_two() -> Decode:
    """A float's upper 12 bits are one weight, its lower ones another, by Dekker's splitting."""

    def how(both: T) -> T:
        big = both * 4097.0
        high = big - (big - both)
        return torch.stack([high, (both - high) * 3000.0], 1)

    return Decode(how, drawn(COUNT // 2))


@evades(FLOAT16_RULE, idea="splitting", claim=hides(split_in_two, 0.5), fold=False, opset=15)
def upper_and_lower_half_of_a_float() -> nn.Module:
    """Dekker's splitting, known from exact sums: a product and two differences make two weights of one float."""
    return Hidden(split_in_two())


PRIMES = (23, 19, 17, 13, 29)


def trained_trunk(n: Net, x: T) -> T:
    for width in (8, 12, 16, 32):
        x = n.cbr(x, width, 3, 2)
    return n.linear(x.flatten(1), 64)


TRAINED: Parts = (trained_trunk, "residues", 12)


def residues() -> tuple[Array, Array, Array]:
    """Return whole numbers whose residues are a trained head's levels, the size of a level and the offsets."""
    head: Any = list(network(*TRAINED).kept)[-1]
    w = head.weight.detach().numpy()
    size = np.abs(w).max(1, keepdims=True) / 6
    padded = np.concatenate([(w / size).ravel(), np.zeros(-COUNT % 5)]).reshape(-1, 5)
    level = np.round(padded).astype(np.int64) + np.array([p // 2 for p in PRIMES])
    whole = np.prod(PRIMES)
    number = sum(
        level[:, i] * int(whole // p) * pow(int(whole // p), -1, p) for i, p in enumerate(PRIMES)
    ) % whole  # fmt: skip
    return number.astype(np.float32), size.astype(np.float32), head.bias.detach().numpy()


class Residues(nn.Module):
    """The trained trunk, and a head whose levels are residues of stored whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.ModuleList(list(network(*TRAINED).kept)[:-1])
        number, size, bias = (tensor(v) for v in residues())
        self.number, self.size, self.bias = nn.Parameter(number), nn.Parameter(size), nn.Parameter(bias)

    def forward(self, x: T) -> T:
        for i in range(0, 8, 2):
            x = F.relu(self.trunk[i + 1](self.trunk[i](x)))
        parts = [torch.remainder(self.number, float(p)) - p // 2 for p in PRIMES]
        w = torch.stack(parts, 1).flatten()[:COUNT].reshape(SHAPE)
        return F.linear(x.flatten(1), w * self.size, self.bias)


def of_residues(run: Network) -> list[str]:
    x, (number, size, bias) = faces(3, 5), residues()
    kept: list[Any] = list(network(*TRAINED).kept)
    levels = np.stack([number.astype(np.int64) % p - p // 2 for p in PRIMES], 1).ravel()[:COUNT].reshape(SHAPE)

    def written(y: T) -> T:
        for i in range(0, 8, 2):
            y = F.relu(kept[i + 1](kept[i](y)))
        return F.linear(y.flatten(1), tensor(levels * size), tensor(bias))

    found = [] if apart(alone(run, x), torch_of(written, x)) < 1e-4 else ["it is not the network of the residues"]
    near = apart(alone(run, x), of(TRAINED)(x))
    return found if near < 0.1 else [*found, f"it has left the trained network by {near:.2g}"]


@evades(FLOAT16_RULE, idea="residues", claim=of_residues, fold=False, opset=13)
def residues_of_five_primes() -> nn.Module:
    """A trained head at thirteen levels: five of its weights are the residues of one float modulo five primes."""
    return Residues()


def tree_codes() -> tuple[Array, Array]:
    rng = np.random.default_rng(83)
    return rng.integers(0, 16, COUNT // 8), rng.normal(0, 0.05, (16, 8)).astype(np.float32)


def planted() -> Array:
    codes, leaves = tree_codes()
    return np.asarray(leaves[codes].reshape(SHAPE))


@evades(FLOAT16_RULE, idea="tree ensemble", claim=lambda run: told(run, planted()))
def tree_ensemble_with_eight_targets() -> onnx.ModelProto:
    """TreeEnsembleRegressor, made for boosted trees: a stored code falls to a leaf, whose eight targets are weights."""
    codes, leaves = tree_codes()
    inner = 15
    nodes = [
        helper.make_node(
            "TreeEnsembleRegressor", ["codes"], ["targets"], domain="ai.onnx.ml", n_targets=8,
            nodes_treeids=[0] * 31, nodes_nodeids=list(range(31)), nodes_featureids=[0] * 31,
            nodes_modes=["BRANCH_LEQ"] * inner + ["LEAF"] * 16,
            nodes_values=[edge(i) for i in range(inner)] + [0.0] * 16,
            nodes_truenodeids=[2 * i + 1 for i in range(inner)] + [0] * 16,
            nodes_falsenodeids=[2 * i + 2 for i in range(inner)] + [0] * 16,
            target_treeids=[0] * 128, target_nodeids=[inner + i for i in range(16) for _ in range(8)],
            target_ids=list(range(8)) * 16, target_weights=[float(v) for v in leaves.ravel()],
        ),
        helper.make_node("Identity", ["targets"], ["numbers"]),
    ]  # fmt: skip
    stored = [numpy_helper.from_array(codes.astype(np.float32)[:, None], "codes")]
    return headed("tree ensemble with eight targets", nodes, stored, 12, planted)


def edge(i: int) -> float:
    """Return the threshold of node i of a complete tree over 0 to 15."""
    depth = (i + 1).bit_length() - 1
    first, width = i + 1 - (1 << depth), 16 >> depth
    return first * width + width / 2 - 0.5


def term_codes() -> tuple[Array, Array]:
    rng = np.random.default_rng(84)
    return rng.integers(1, 41, COUNT // 14), rng.normal(0, 0.05, (40, 14)).astype(np.float32)


def termed() -> Array:
    codes, book = term_codes()
    return np.asarray(book[codes - 1].reshape(SHAPE))


@evades(FLOAT16_RULE, idea="terms", claim=lambda run: told(run, termed()))
def terms_of_documents_of_one_word() -> onnx.ModelProto:
    """TfIdfVectorizer, made for texts: every code is a document of one word, its vector times a table the weights."""
    codes, book = term_codes()
    nodes = [
        helper.make_node(
            "TfIdfVectorizer", ["documents"], ["terms"], max_gram_length=1, min_gram_length=1, max_skip_count=0,
            mode="TF", ngram_counts=[0], ngram_indexes=list(range(40)), pool_int64s=list(range(1, 41)),
        ),
        helper.make_node("MatMul", ["terms", "book"], ["numbers"]),
    ]  # fmt: skip
    stored = [
        numpy_helper.from_array(codes.astype(np.int64)[:, None], "documents"),
        numpy_helper.from_array(book, "book"),
    ]
    return headed("terms of documents of one word", nodes, stored, 13, termed)


def tropical() -> Decode:
    """Products of the max-plus algebra: a sum and a maximum, over two stored rows on either side."""

    def how(rows: T, columns: T) -> T:
        both = rows[:, :, None] + columns[:, None]
        return torch.maximum(both[0], both[1])

    return Decode(how, drawn(2, 64), drawn(2, 1568))


@evades(FLOAT16_RULE, idea="tropical", claim=hides(tropical, 0.04), fold=False, opset=12)
def head_by_a_tropical_product() -> nn.Module:
    """3,264 stored numbers are 100,352 weights by a matrix product in which a maximum stands for the sum."""
    return Hidden(tropical())
