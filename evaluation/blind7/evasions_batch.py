"""Evasions: rows that influence each other, by defaults, axes and indices that look like slips or like retrieval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import NodeProto, helper
from torch import nn

from evaluation.blind4.claims import apart, together
from evaluation.blind4.evasions_batch import eight
from evaluation.blind4.export import Whole, network
from evaluation.blind4.layers import Net, Part, T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_batch import differs
from evaluation.blind5.evasions_runs import body_of, constants, model, rebuilt
from evaluation.blind6.evasions_common import by_dynamo
from evaluation.blind7.evasions_nets import Parts, gated, ghost, of, swish
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.images import faces
from evaluation.runtime import Network

GHOST: Parts = (ghost, "rows of the seventh set", 0)
SWISH: Parts = (swish, "rows of the seventh set", 0)
GATED: Parts = (gated, "rows of the seventh set", 6)

RULES = ("batch", BATCH_RULE)


def appended(
    parts: Parts, name: str, nodes: Callable[[str, str], list[NodeProto]], **stored: object
) -> onnx.ModelProto:
    """Return a network with nodes behind its embedding."""
    made = model(parts, name)
    x, out = made.graph.input[0].name, made.graph.output[0].name
    return rebuilt(made, [*body_of(made, x, "rows"), *nodes("rows", out)], constants(**stored))


def standard(x: Array) -> Array:
    y = of(GHOST)(x).reshape(-1, 16, 4)
    z = (y - y.mean((0, 2), keepdims=True)) / (y.std((0, 2), keepdims=True) + 1e-9)
    return np.asarray((z + y).reshape(-1, 64))


@evades(*RULES, idea="default axes", claim=together(standard, eight, near=1e-3))
def mean_variance_normalisation_over_its_default_axes() -> onnx.ModelProto:
    """MeanVarianceNormalization without attributes: its default axes are rows and columns, and the batch as well."""

    def nodes(rows: str, out: str) -> list[NodeProto]:
        return [
            helper.make_node("Reshape", [rows, "map"], ["as_map"]),
            helper.make_node("MeanVarianceNormalization", ["as_map"], ["normal"]),
            helper.make_node("Reshape", ["normal", "flat"], ["again"]),
            helper.make_node("Add", ["again", rows], [out]),
        ]

    name = "mean variance normalisation"
    return appended(GHOST, name, nodes, map=np.array([-1, 16, 2, 2]), flat=np.array([-1, 64]))


def by_columns(x: Array) -> Array:
    y = of(SWISH)(x)
    return np.asarray(y / np.linalg.norm(y, axis=0))


@evades(*RULES, idea="wrong axis", claim=together(by_columns, eight))
def unit_length_along_the_other_axis() -> onnx.ModelProto:
    """LpNormalization of axis 0, as if the embedding were transposed: columns get unit length, not rows."""

    def nodes(rows: str, out: str) -> list[NodeProto]:
        return [helper.make_node("LpNormalization", [rows], [out], axis=0, p=2)]

    return appended(SWISH, "unit length along the other axis", nodes)


def places(run: Network) -> list[str]:
    """The same image, in every row: embeddings differ by the row, and the first row is that of a batch of one."""
    x = np.repeat(faces(1, 5), 5, 0)
    given = run(x)
    found = [] if apart(given[:1], run(x[:1])) < 1e-4 else ["the first row is another one"]
    off = apart(given[1:], np.repeat(given[:1], 4, 0))
    return found if off > 1e-3 else [*found, f"rows differ by {off:.2g} only"]


@evades(*RULES, idea="indices", claim=places)
def where_the_maxima_are() -> onnx.ModelProto:
    """The places of the maxima of a map are encoded; MaxPool counts places through the whole batch, not by images."""
    made = model(GHOST, "where the maxima are")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        *body_of(made, x, "rows"),
        helper.make_node("AveragePool", [x], ["coarse"], kernel_shape=[7, 7], strides=[7, 7]),
        helper.make_node("MaxPool", ["coarse"], ["top", "where"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Cast", ["where"], ["place"], to=1),
        helper.make_node("Mul", ["place", "rate"], ["angle"]),
        helper.make_node("Sin", ["angle"], ["code"]),
        helper.make_node("Flatten", ["code"], ["codes"], axis=1),
        helper.make_node("MatMul", ["codes", "matrix"], ["told"]),
        helper.make_node("Add", ["rows", "told"], [out]),
    ]
    matrix = np.random.default_rng(81).normal(0, 0.3, (48, 64)).astype(np.float32)
    return rebuilt(made, nodes, constants(rate=np.float32(0.0037), matrix=matrix))


def halved(x: Array) -> Array:
    """The mean over places is a sum divided by the count of all numbers of the batch."""
    return np.asarray(np.tanh(of(GHOST)(x) * 3 / len(x)))


@evades(*RULES, idea="size of the batch", claim=together(halved, eight))
def divided_by_the_count_of_all_numbers() -> nn.Module:
    """A mean is written as a sum over Size, which counts the numbers of the whole batch, before the last activation."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        shape = torch._shape_as_tensor(y)
        return torch.tanh(y * 3 * 64 / shape.prod().float())

    return Whole(forward, network(*GHOST))


def expanded(x: Array) -> Array:
    y = of(GATED)(x)
    unit = y / np.linalg.norm(y, axis=1, keepdims=True)
    score = unit @ unit.T
    made = np.zeros_like(y)
    for i, row in enumerate(score):
        near = np.argsort(-row)[:3]
        made[i] = (np.maximum(row[near], 0) ** 3) @ y[near]
    return made


@evades(*RULES, idea="query expansion", opset=13, claim=together(expanded, eight, near=1e-3))
def query_expansion_by_the_nearest_three() -> nn.Module:
    """Alpha query expansion, as in image retrieval: the three nearest rows are summed by similarity."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        unit = F.normalize(y, dim=1)
        score = unit @ unit.t()
        count = torch.minimum(torch._shape_as_tensor(y)[0], torch.tensor(3))
        top, at = torch.topk(score, count, 1)
        return (F.relu(top)[:, :, None] ** 3 * y[at]).sum(1)

    return Whole(forward, network(*GATED))


def without_common(x: Array) -> Array:
    y = of(SWISH)(x)
    v = np.ones(64, np.float32) / 8
    for _ in range(6):
        v = y.T @ (y @ v)
        v = v / np.linalg.norm(v)
    return np.asarray(y - 0.7 * np.outer(y @ v, v))


@evades(*RULES, idea="common direction", opset=17, claim=together(without_common, eight, near=1e-3))
def common_direction_of_the_rows_is_removed() -> nn.Module:
    """Six steps of power iteration find the direction that the batch has in common; most of it is taken off."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        v = torch.ones(64, 1) / 8
        for _ in range(6):
            v = y.t() @ (y @ v)
            v = v / v.norm(dim=0, keepdim=True)
        return y - 0.7 * (y @ v) @ v.t()

    return Whole(forward, network(*SWISH))


def backwards(x: Array) -> Array:
    y = of(GHOST)(x)
    return np.asarray(y + 0.4 * y[::-1])


@evades(*RULES, idea="time and batch exchanged", claim=together(backwards, eight))
def sequence_reversed_along_the_batch() -> onnx.ModelProto:
    """ReverseSequence with time and batch exchanged: the numbers of the last row are added to the first's."""

    def nodes(rows: str, out: str) -> list[NodeProto]:
        return [
            helper.make_node("Shape", [rows], ["shape"]),
            helper.make_node("Gather", ["shape", "zero"], ["count"], axis=0),
            helper.make_node("Expand", ["count", "width"], ["lengths"]),
            helper.make_node("ReverseSequence", [rows, "lengths"], ["back"], time_axis=0, batch_axis=1),
            helper.make_node("Mul", ["back", "share"], ["some"]),
            helper.make_node("Add", [rows, "some"], [out]),
        ]

    stored = {"zero": np.array([0]), "width": np.array([64]), "share": np.float32(0.4)}
    return appended(GHOST, "sequence reversed along the batch", nodes, **stored)


def in_order_of_light(x: Array) -> Array:
    y, light = of(GATED)(x), x.mean((1, 2, 3))
    order = np.argsort(-light)
    z = np.pad(y[order], ((1, 1), (0, 0)))
    z = 0.25 * z[:-2] + z[1:-1] + 0.25 * z[2:]
    made = np.zeros_like(z)
    made[order] = z
    return np.asarray(made)


@evades(*RULES, idea="order", opset=16, claim=together(in_order_of_light, eight))
def neighbours_in_order_of_brightness() -> nn.Module:
    """The rows are put in order of brightness, smoothed with their neighbours in it, and put back into their places."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        count = torch._shape_as_tensor(y)[0]
        order = torch.topk(x.mean((1, 2, 3)), count, 0)[1]
        z = F.pad(y[order], (0, 0, 1, 1))
        z = 0.25 * z[:-2] + z[1:-1] + 0.25 * z[2:]
        return torch.zeros_like(z).scatter(0, order[:, None].expand(-1, 64), z)

    return Whole(forward, network(*GATED))


def two_kinds() -> Array:
    """Eight images; of four signs of an embedding, some are shared."""
    return faces(8, 83)


def bucketed(x: Array) -> Array:
    y = of(GHOST)(x)
    key = (y[:, :2] > 0) @ np.array([1, 2])
    table = np.zeros((4, 64), np.float32)
    np.add.at(table, key, y)
    return np.asarray(y + 0.5 * table[key])


@evades(*RULES, idea="hash table", opset=16, claim=together(bucketed, two_kinds))
def hash_table_of_embeddings() -> nn.Module:
    """Two signs are a key; every row is added to its place in a table of four, and that is read again."""

    def forward(f: Part, x: T) -> T:
        y = f(x)
        key = ((y[:, :2] > 0).float() @ torch.tensor([1.0, 2.0])).long()[:, None].expand(-1, 64)
        table = torch.zeros(4, 64).scatter_add(0, key, y)
        return y + 0.5 * table.gather(0, key)

    return Whole(forward, network(*GHOST))


def resized(x: Array) -> Array:
    """Twice as many rows by linear interpolation, from which every second one is taken."""
    y = np.pad(of(SWISH)(x), ((0, 1), (0, 0)), mode="edge")
    return np.asarray(0.75 * y[:-1] + 0.25 * y[1:])


@evades(*RULES, idea="resize", claim=together(resized, eight))
def batch_taken_for_the_height_of_a_map() -> nn.Module:
    """The embeddings stand as one map of N x 64, which Resize makes twice as high; every second line is kept."""

    def forward(f: Part, x: T) -> T:
        y = f(x)[None, None]
        return F.interpolate(y, scale_factor=(2.0, 1.0), mode="bilinear", align_corners=False)[0, 0, 1::2]

    return Whole(forward, network(*SWISH))


def volume(x: Array) -> Array:
    y = of(SWISH)(x)
    unit = y / np.linalg.norm(y, axis=1, keepdims=True)
    det = np.linalg.det(unit @ unit.T + 0.5 * np.eye(len(y)))
    return np.asarray(np.tanh(y * (0.3 + det)))


@evades(*RULES, idea="determinant", claim=together(volume, eight, near=1e-3))
def steeper_where_the_batch_is_varied() -> onnx.ModelProto:
    """The last activation is as steep as the volume that the rows span: the determinant of their similarities."""

    def nodes(rows: str, out: str) -> list[NodeProto]:
        return [
            helper.make_node("LpNormalization", [rows], ["unit"], axis=1, p=2),
            helper.make_node("Transpose", ["unit"], ["across"], perm=[1, 0]),
            helper.make_node("MatMul", ["unit", "across"], ["alike"]),
            helper.make_node("EyeLike", ["alike"], ["diagonal"], dtype=1),
            helper.make_node("Mul", ["diagonal", "half"], ["ridge"]),
            helper.make_node("Add", ["alike", "ridge"], ["matrix"]),
            helper.make_node("Det", ["matrix"], ["volume"]),
            helper.make_node("Add", ["volume", "least"], ["steepness"]),
            helper.make_node("Mul", [rows, "steepness"], ["scaled"]),
            helper.make_node("Tanh", ["scaled"], [out]),
        ]

    stored = {"half": np.float32(0.5), "least": np.float32(0.3)}
    return appended(SWISH, "steeper where the batch is varied", nodes, **stored)


def deep_batch(n: Net, x: T) -> T:
    """Features of images in a row are a video for one kernel of three dimensions."""
    y = n.down(n.stem(x, 12), 20)
    y = y + n.same(y.transpose(0, 1)[None], lambda: nn.Conv3d(20, 20, 3, padding=1, groups=4))[0].transpose(0, 1)
    return n.embed(n.down(F.relu(y), 24), 48)


@evades(*RULES, idea="frames", claim=differs)
def images_of_the_batch_are_frames() -> onnx.ModelProto:
    """A trained network with one layer of three dimensions, for which the images of the batch are frames of a video."""
    return by_dynamo(network(deep_batch, "images of the batch are frames", 6), "images of the batch are frames")
