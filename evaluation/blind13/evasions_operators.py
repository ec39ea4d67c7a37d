"""Evasions: the second look is made by operators that are known for tables, labels, sorting and quantisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import torch
from onnx import NodeProto, helper

from evaluation.blind4.claims import Claim
from evaluation.blind4.export import exported, network
from evaluation.blind4.layers import T
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_runs import body_of, constants
from evaluation.blind13.evasions_nets import Parts, counts, dual, faster, selective, separable, tensor, tree
from evaluation.case import BATCH_RULE

FASTER: Parts = (faster, "operators of the thirteenth set", 0)
SELECTIVE: Parts = (selective, "operators of the thirteenth set", 6)
DUAL: Parts = (dual, "operators of the thirteenth set", 0)
SEPARABLE: Parts = (separable, "operators of the thirteenth set", 6)
TREE: Parts = (tree, "operators of the thirteenth set", 0)

node = helper.make_node
Join = Callable[[T, T], T]


def joined(parts: Parts, view: Callable[[T], T], join: Join, near: float = 1e-4) -> Claim:
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
    return helper.make_model(graph, opset_imports=imports, ir_version=7, producer_name="pytorch")


def mean_nodes() -> list[NodeProto]:
    return [node("ReduceMean", ["pairs"], ["out"], axes=[0], keepdims=0)]


@evades(BATCH_RULE, idea="hard maximum", claim=joined(FASTER, lambda x: x.flip(3), mean))
def order_of_columns_by_a_hard_maximum() -> onnx.ModelProto:
    """Hardmax of a stored product of places is the matrix that mirrors columns; a FasterNet sees both, mean kept."""
    at = np.arange(112, dtype=np.float32)
    left = np.stack([2 * at, np.ones(112)], 1).astype(np.float32)
    right = np.stack([at[::-1], -(at[::-1] ** 2)]).astype(np.float32)
    view = [
        node("MatMul", ["left", "right"], ["score"]),
        node("Hardmax", ["score"], ["order"], axis=1),
        node("MatMul", ["img", "order"], ["seen"]),
    ]
    return pairs(FASTER, 13, "hard maximum", view, mean_nodes(), left=left, right=right)


def wider(x: T) -> T:
    keep = [i for i in range(112) if i % 8 != 3]
    return torch.nn.functional.pad(x[:, :, keep][..., keep], (7, 7, 7, 7), mode="replicate")


@evades(BATCH_RULE, idea="compress", claim=joined(SELECTIVE, wider, torch.maximum))
def every_eighth_line_taken_out_by_compress() -> onnx.ModelProto:
    """Compress leaves out every eighth row and column, Pad draws the border out; a trained SKNet sees both, maxima."""
    keep = np.arange(112) % 8 != 3
    view = [
        node("Compress", ["img", "keep"], ["short"], axis=2),
        node("Compress", ["short", "keep"], ["small"], axis=3),
        node("Pad", ["small", "border"], ["seen"], mode="edge"),
    ]
    end = [node("ReduceMax", ["pairs"], ["out"], axes=[0], keepdims=0)]
    return pairs(SELECTIVE, 14, "compress", view, end, keep=keep, border=np.array([0, 0, 7, 7, 0, 0, 7, 7]))


def scaled(x: T) -> T:
    return (x - tensor([-0.5, -0.2, 0.1]).reshape(1, 3, 1, 1)) * tensor([0.5, 0.75, 1.1]).reshape(1, 3, 1, 1)


@evades(BATCH_RULE, idea="scaler", claim=joined(DUAL, scaled, mean))
def colours_through_a_scaler_for_tables() -> onnx.ModelProto:
    """Scaler, made for columns of tables, gives each colour another offset and factor: a look in another light."""
    view = [
        node("Transpose", ["img"], ["last"], perm=[0, 2, 3, 1]),
        node("Reshape", ["last", "table"], ["flat"]),
        node("Scaler", ["flat"], ["other"], domain="ai.onnx.ml", offset=[-0.5, -0.2, 0.1], scale=[0.5, 0.75, 1.1]),
        node("Reshape", ["other", "image"], ["back"]),
        node("Transpose", ["back"], ["seen"], perm=[0, 3, 1, 2]),
    ]
    stored = {"table": np.array([-1, 3]), "image": np.array([-1, 112, 112, 3])}
    return pairs(DUAL, 11, "scaler", view, mean_nodes(), **stored)


def quantised(x: T) -> T:
    return (torch.round(x.flip(2) / 0.4) * 0.4 + 0.4).clamp(-1.2, 1.2)


@evades(BATCH_RULE, idea="false quantisation", claim=joined(SEPARABLE, quantised, lambda a, b: 0.55 * a + 0.45 * b))
def quantised_activations_that_are_a_second_look() -> onnx.ModelProto:
    """As if the input were quantised: coarse steps, dequantised with another zero, upside down; a trained Xception."""
    view = [
        node("Slice", ["img", "last", "past", "two", "back"], ["turned"]),
        node("QuantizeLinear", ["turned", "step", "zero"], ["codes"]),
        node("Clip", ["codes", "least", "most"], ["kept"]),
        node("DequantizeLinear", ["kept", "step", "other"], ["seen"]),
    ]
    end = [
        node("Mul", ["pairs", "shares"], ["weighed"]),
        node("ReduceSum", ["weighed", "first"], ["out"], keepdims=0),
    ]
    return pairs(
        SEPARABLE, 13, "false quantisation", view, end,
        last=np.array([-1]), past=np.array([-(2**31)]), two=np.array([2]), back=np.array([-1]),
        step=np.float32(0.4), zero=np.uint8(8), other=np.uint8(7), least=np.uint8(4), most=np.uint8(10),
        shares=np.array([0.55, 0.45], np.float32).reshape(2, 1, 1), first=np.array([0]),
    )  # fmt: skip


@evades(BATCH_RULE, idea="labels", claim=joined(TREE, lambda x: x.roll((9, -8), (2, 3)), mean))
def rows_and_columns_by_one_hot_labels() -> onnx.ModelProto:
    """OneHot turns stored labels of rows and columns into matrices that move the face around its border; a DLA."""
    rows = (np.arange(112) - 9) % 112
    columns = (np.arange(112) + 8) % 112
    view = [
        node("OneHot", ["rows_at", "count", "values"], ["down"], axis=-1),
        node("OneHot", ["columns_at", "count", "values"], ["right"], axis=0),
        node("MatMul", ["down", "img"], ["lower"]),
        node("MatMul", ["lower", "right"], ["seen"]),
    ]
    stored = {"rows_at": rows, "columns_at": columns, "count": np.array(112), "values": np.array([0, 1], np.float32)}
    return pairs(TREE, 12, "one hot labels", view, mean_nodes(), **stored)


@evades(BATCH_RULE, idea="log of sums", claim=joined(
    SELECTIVE, lambda x: 2 * x.clamp(-0.5, 0.6).flip(3) - 0.2, lambda a, b: torch.log((a.exp() + (3 * b).exp()) / 2)
))  # fmt: skip
def clipped_colours_of_columns_by_gather_nd() -> onnx.ModelProto:
    """GatherND takes columns from the last one on, Clip and a factor harden the light; exponentials are added."""
    view = [
        node("Transpose", ["img"], ["first"], perm=[3, 0, 1, 2]),
        node("GatherND", ["first", "places"], ["turned"]),
        node("Transpose", ["turned"], ["other"], perm=[1, 2, 3, 0]),
        node("Clip", ["other", "least", "most"], ["clipped"]),
        node("Mul", ["clipped", "factor"], ["harder"]),
        node("Sub", ["harder", "offset"], ["seen"]),
    ]
    end = [
        node("Mul", ["pairs", "sharp"], ["scaled"]),
        node("ReduceLogSumExp", ["scaled"], ["sum"], axes=[0], keepdims=0),
        node("Sub", ["sum", "half"], ["out"]),
    ]
    return pairs(
        SELECTIVE, 15, "gather nd", view, end, places=np.arange(111, -1, -1).reshape(112, 1),
        least=np.float32(-0.5), most=np.float32(0.6), factor=np.float32(2), offset=np.float32(0.2),
        sharp=np.array([1, 3], np.float32).reshape(2, 1, 1), half=np.float32(np.log(2)),
    )  # fmt: skip
