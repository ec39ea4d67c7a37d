"""Evasions: the second look is made by operators and subgraphs that hide it: regressors, loops, branches and frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import NodeProto, TensorProto, helper

from evaluation.blind4.claims import Claim
from evaluation.blind4.export import exported, network
from evaluation.blind4.layers import T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_runs import body_of, constants
from evaluation.blind14.evasions_nets import (
    Parts,
    View,
    blocks,
    counts,
    gated,
    ghost,
    grouped,
    kernels,
    tensor,
    unshuffled,
)  # fmt: skip
from evaluation.case import BATCH_RULE

GHOST: Parts = (ghost, "operators of the fourteenth set", 0)
KERNELS: Parts = (kernels, "operators of the fourteenth set", 6)
GATED: Parts = (gated, "operators of the fourteenth set", 0)
GROUPED: Parts = (grouped, "operators of the fourteenth set", 6)
UNSHUFFLED: Parts = (unshuffled, "operators of the fourteenth set", 0)
BLOCKS: Parts = (blocks, "operators of the fourteenth set", 5)

node = helper.make_node
Join = Callable[[T, T], T]


def joined(parts: Parts, view: View, join: Join, near: float = 1e-4) -> Claim:
    """Claim what ``join`` makes of a plain network's embeddings of the image and of a view of it."""
    return counts(
        lambda x: join(network(*parts)(x), network(*parts)(view(x))),
        lambda x: join(network(*parts)(x), network(*parts)(x)), near,
    )  # fmt: skip


def mean(a: T, b: T) -> T:
    return (a + b) / 2


def pairs(
    parts: Parts, opset: int, name: str, view: Sequence[NodeProto], end: Sequence[NodeProto], **stored: object
) -> onnx.ModelProto:
    """Run a network once over the image and ``seen``, as a batch of twice the size, and put ``pairs`` together.

    The input of ``view`` is called ``img``; ``end`` makes ``out`` of ``pairs`` [2, N, D].
    """
    made = exported(network(*parts), name, opset)
    source, sink = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        node("Identity", [source], ["img"]),
        *view,
        node("Concat", ["img", "seen"], ["both"], axis=0),
        *body_of(made, "both", "rows"),
        node("Reshape", ["rows", "by_pairs"], ["pairs"]),
        *end,
        node("Identity", ["out"], [sink]),
    ]
    graph = helper.make_graph(
        nodes, "main", made.graph.input, made.graph.output,
        [*made.graph.initializer, *constants(by_pairs=np.array([2, -1, 64]), **stored)],
    )  # fmt: skip
    imports = list(made.opset_import)
    if any(each.domain for each in view):
        imports.append(helper.make_opsetid("ai.onnx.ml", 2))
    return helper.make_model(graph, opset_imports=imports, ir_version=8, producer_name="pytorch")


def mean_nodes() -> list[NodeProto]:
    return [node("ReduceMean", ["pairs"], ["out"], axes=[0], keepdims=0)]


def largest_nodes() -> list[NodeProto]:
    return [node("ReduceMax", ["pairs"], ["out"], axes=[0], keepdims=0)]


@evades(BATCH_RULE, idea="linear regressor", claim=joined(GHOST, lambda x: x.flip(3), mean))
def places_of_columns_by_a_linear_regressor() -> onnx.ModelProto:
    """LinearRegressor, made for tables, predicts for each column the place 111 less its own; Gather fetches these."""
    view = [
        node("LinearRegressor", ["places"], ["goal"], domain="ai.onnx.ml", coefficients=[-1.0], intercepts=[111.0],
             targets=1),
        node("Cast", ["goal"], ["whole"], to=TensorProto.INT64),
        node("Reshape", ["whole", "line"], ["order"]),
        node("Gather", ["img", "order"], ["seen"], axis=3),
    ]  # fmt: skip
    return pairs(GHOST, 13, "regressor", view, mean_nodes(), places=np.arange(112, dtype=np.float32)[:, None],
                 line=np.array([-1]))  # fmt: skip


@evades(BATCH_RULE, idea="suppression", claim=joined(KERNELS, lambda x: x.flip(2), torch.maximum))
def rows_in_the_order_in_which_boxes_are_kept() -> onnx.ModelProto:
    """NonMaxSuppression keeps 112 stored boxes that do not meet, best first: so rows are turned over; trained."""
    at = np.arange(112, dtype=np.float32)
    boxes = np.stack([at * 2, at * 2, at * 2 + 1, at * 2 + 1], 1)[None]
    view = [
        node("NonMaxSuppression", ["boxes", "scores", "most", "overlap"], ["kept"]),
        node("Gather", ["kept", "third"], ["order"], axis=1),
        node("Gather", ["img", "order"], ["seen"], axis=2),
    ]
    scores = (0.1 + at / 200).reshape(1, 1, 112).astype(np.float32)
    return pairs(KERNELS, 12, "suppression", view, largest_nodes(), boxes=boxes, scores=scores,
                 most=np.array([112]), overlap=np.array([0.5], np.float32), third=np.array(2))  # fmt: skip


def wrapped(x: T) -> T:
    return torch.roll(x, (9, -7), (2, 3))


@evades(BATCH_RULE, idea="wrapped border", claim=joined(GATED, wrapped, mean))
def wrapped_border_of_which_another_part_is_kept() -> onnx.ModelProto:
    """Pad wraps rows and columns around, Slice keeps 112 of each: the face moved down and left; a HorNet sees both."""
    view = [
        node("Pad", ["img", "around"], ["wide"], mode="wrap"),
        node("Slice", ["wide", "from_", "to_", "axes_"], ["seen"]),
    ]
    end = [node("ReduceMean", ["pairs", "over"], ["out"], keepdims=0)]
    return pairs(GATED, 19, "wrapped", view, end, around=np.array([0, 0, 9, 0, 0, 0, 0, 7]),
                 from_=np.array([0, 7]), to_=np.array([112, 119]), axes_=np.array([2, 3]),
                 over=np.array([0]))  # fmt: skip


def value(name: str, kind: int = TensorProto.FLOAT, shape: list[int] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


@evades(BATCH_RULE, idea="nested subgraphs", claim=joined(GROUPED, lambda x: x.flip(3), mean))
def mirrored_in_a_branch_within_a_loop() -> onnx.ModelProto:
    """A Loop of two turns holds an If on its counter, whose branch turns the columns over; sums are kept; trained."""
    made = exported(network(*GROUPED), "nested", 13)
    source, sink = made.graph.input[0].name, made.graph.output[0].name
    then = helper.make_graph([node("Slice", [source, "last", "first", "axis", "back"], ["turned"])], "then", [],
                             [value("turned")])  # fmt: skip
    other = helper.make_graph([node("Identity", [source], ["kept"])], "other", [], [value("kept")])
    inner = [
        node("Cast", ["turn"], ["odd"], to=TensorProto.BOOL),
        node("If", ["odd"], ["face"], then_branch=then, else_branch=other),
        *body_of(made, "face", "now"),
        node("Add", ["sum_in", "now"], ["sum_out"]),
        node("Identity", ["go_in"], ["go_out"]),
    ]
    loop = helper.make_graph(
        inner, "loop",
        [value("turn", TensorProto.INT64, []), value("go_in", TensorProto.BOOL, []), value("sum_in")],
        [value("go_out", TensorProto.BOOL, []), value("sum_out")],
    )  # fmt: skip
    nodes = [node("Loop", ["turns", "", "nothing"], [sink], body=loop)]
    graph = helper.make_graph(
        nodes, "main", made.graph.input, made.graph.output,
        [*made.graph.initializer, *constants(
            turns=np.array(2), nothing=np.zeros((1, 64), np.float32), last=np.array([-1]), first=np.array([-113]),
            axis=np.array([3]), back=np.array([-1])
        )],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=made.opset_import, ir_version=7, producer_name="pytorch")


def cubes(x: T) -> T:
    light = F.lp_pool2d(F.pad(F.relu(x + 1), (2, 2, 2, 2)), 3.0, 5, 1)
    return 2 * light / 25 ** (1 / 3) - 1.5 - 0.4 * x


@evades(BATCH_RULE, idea="lp pooling", claim=joined(UNSHUFFLED, cubes, mean, 1e-3))
def look_through_a_pooling_of_cubes() -> onnx.ModelProto:
    """LpPool of third powers makes a soft, bright image, sharpened against the face; a TResNet sees both."""
    view = [
        node("Add", ["img", "one"], ["above"]),
        node("Relu", ["above"], ["light"]),
        node("LpPool", ["light"], ["cubes"], kernel_shape=[5, 5], pads=[2, 2, 2, 2], p=3),
        node("Mul", ["cubes", "by"], ["scaled"]),
        node("Mul", ["img", "less"], ["part"]),
        node("Sum", ["scaled", "down", "part"], ["seen"]),
    ]
    return pairs(UNSHUFFLED, 13, "cubes", view, mean_nodes(), one=np.array(1, np.float32),
                 by=np.array(2 / 25 ** (1 / 3), np.float32), less=np.array(-0.4, np.float32),
                 down=np.array(-1.5, np.float32).reshape(1, 1, 1, 1))  # fmt: skip


def framed(x: T) -> T:
    """Turn every block of eight columns over, then the order of the blocks."""
    return x.reshape(-1, 3, 112, 14, 8).flip(4).flip(3).reshape(-1, 3, 112, 112)


@evades(BATCH_RULE, idea="unfolded stride", claim=joined(BLOCKS, framed, mean))
def blocks_turned_by_a_product_and_put_in_order_by_another() -> onnx.ModelProto:
    """Two Einsums with small stored orders, within blocks of eight columns and among them: a mirror; trained."""
    view = [
        node("Reshape", ["img", "cut"], ["parts"]),
        node("Einsum", ["parts", "within"], ["one"], equation="nchab,bd->nchad"),
        node("Einsum", ["one", "among"], ["two"], equation="nchab,ad->nchdb"),
        node("Reshape", ["two", "whole"], ["seen"]),
    ]
    return pairs(BLOCKS, 12, "two orders", view, mean_nodes(), cut=np.array([-1, 3, 112, 14, 8]),
                 whole=np.array([-1, 3, 112, 112]), within=np.eye(8, dtype=np.float32)[::-1],
                 among=np.eye(14, dtype=np.float32)[::-1])  # fmt: skip


def faded(x: T) -> T:
    """Mirror and look through a convolution with kernels of a stored coarse shape."""
    k = tensor([0.05, 0.2, 0.5, 0.2, 0.05])
    y = F.conv2d(x, (k[:, None] * k[None])[None, None].repeat(3, 1, 1, 1), None, 1, 2, groups=3)
    return (1.5 * y - 0.3).flip(3)


@evades(BATCH_RULE, idea="normalisation", claim=joined(GHOST, faded, torch.maximum))
def normalisation_and_transposed_layer_that_draw_another_face() -> onnx.ModelProto:
    """BatchNormalization sets harder light, ConvTranspose of one kernel softens, negative steps mirror; maxima kept."""
    k = np.array([0.05, 0.2, 0.5, 0.2, 0.05], np.float32)
    view = [
        node("ConvTranspose", ["img", "taps"], ["soft"], group=3, kernel_shape=[5, 5], pads=[2, 2, 2, 2]),
        node("BatchNormalization", ["soft", "scale", "shift", "mean_", "var_"], ["light"], epsilon=0.0),
        node("Slice", ["light", "last", "first", "axis", "back"], ["seen"]),
    ]
    taps = np.tile((k[:, None] * k)[None, None], (3, 1, 1, 1))
    return pairs(GHOST, 11, "another face", view, largest_nodes(), taps=taps,
                 scale=np.full(3, 0.75, np.float32), shift=np.full(3, -0.3, np.float32), mean_=np.zeros(3, np.float32),
                 var_=np.full(3, 0.25, np.float32), last=np.array([-1]), first=np.array([-113]), axis=np.array([3]),
                 back=np.array([-1]))  # fmt: skip
