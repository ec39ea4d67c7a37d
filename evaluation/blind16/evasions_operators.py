"""Evasions: the second look is made by operators for other ends: identities, tables, optionals, scales of sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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
from evaluation.blind16.evasions_nets import (
    Parts,
    View,
    conditioned,
    counts,
    fire,
    grouped,
    partial,
    separable,
    tensor,
)
from evaluation.builder import Array
from evaluation.case import BATCH_RULE
from evaluation.runtime import session

PARTIAL: Parts = (partial, "operators of the sixteenth set", 0)
FIRE: Parts = (fire, "operators of the sixteenth set", 6)
SEPARABLE: Parts = (separable, "operators of the sixteenth set", 0)
GROUPED: Parts = (grouped, "operators of the sixteenth set", 6)
CONDITIONED: Parts = (conditioned, "operators of the sixteenth set", 0)

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


def finished(
    made: onnx.ModelProto, nodes: Sequence[NodeProto], more: Sequence[tuple[str, int]] = (), **stored: object
) -> onnx.ModelProto:
    """Return a model with the same input, output and weights, and other nodes."""
    graph = helper.make_graph(
        list(nodes), "main", made.graph.input, made.graph.output, [*made.graph.initializer, *constants(**stored)]
    )
    opsets = [*made.opset_import, *(helper.make_opsetid(*item) for item in more)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="pytorch")


def pairs(
    parts: Parts,
    opset: int,
    name: str,
    view: Sequence[NodeProto],
    end: Sequence[NodeProto],
    more: Sequence[tuple[str, int]] = (),
    **stored: object,
) -> onnx.ModelProto:
    """Run a network once over the image and ``seen``, as a batch of twice the size, and put ``pairs`` together.

    The input of ``view`` is called ``img``; ``end`` makes ``out`` of ``pairs`` [2, N, D].
    """
    made = exported(network(*parts), name, opset)
    nodes = [
        node("Identity", [made.graph.input[0].name], ["img"]),
        *view,
        node("Concat", ["img", "seen"], ["both"], axis=0),
        *body_of(made, "both", "rows"),
        node("Reshape", ["rows", "by_pairs"], ["pairs"]),
        *end,
        node("Identity", ["out"], [made.graph.output[0].name]),
    ]
    return finished(made, nodes, more, by_pairs=np.array([2, -1, 64]), **stored)


def reduced(kind: str) -> list[NodeProto]:
    return [node(kind, ["pairs"], ["out"], axes=[0], keepdims=0)]


def beside(x: T) -> T:
    """Move the face by nine pixels right and twelve down; what comes in is grey."""
    return F.pad(x, (9, 0, 12, 0))[:, :, :112, :112]


@evades(BATCH_RULE, idea="identity beside its diagonal", claim=joined(PARTIAL, beside, mean))
def ones_beside_the_diagonal_of_an_identity() -> onnx.ModelProto:
    """EyeLike with ones off the diagonal makes two matrices, which move the face; a FasterNet sees both places."""
    view = [
        node("EyeLike", ["square"], ["right"], k=9),
        node("EyeLike", ["square"], ["down"], k=-12),
        node("MatMul", ["img", "right"], ["aside"]),
        node("MatMul", ["down", "aside"], ["seen"]),
    ]
    return pairs(PARTIAL, 12, "beside", view, reduced("ReduceMean"), square=np.zeros((112, 112), np.float32))


@evades(BATCH_RULE, idea="linear classifier", claim=joined(FIRE, lambda x: 0.85 * x.flip(3) - 0.1, mean))
def rows_of_pixels_scored_by_a_linear_classifier() -> onnx.ModelProto:
    """A classifier for tables scores rows of pixels for 112 classes, from the right; a trained SqueezeNet sees both."""
    weights = (0.85 * np.eye(112, dtype=np.float32)[::-1]).flatten().tolist()
    view = [
        node("Reshape", ["img", "flat"], ["lines"]),
        node("LinearClassifier", ["lines"], ["label", "scores"], domain="ai.onnx.ml", coefficients=weights,
             intercepts=[-0.1] * 112, classlabels_ints=list(range(112)), multi_class=0, post_transform="NONE"),
        node("Reshape", ["scores", "whole"], ["seen"]),
    ]  # fmt: skip
    return pairs(FIRE, 12, "scores", view, reduced("ReduceMean"), [("ai.onnx.ml", 1)], flat=np.array([-1, 112]),
                 whole=np.array([-1, 3, 112, 112]))  # fmt: skip


def smaller_mouth(x: T) -> T:
    """Read rows ever closer together towards the chin, and columns from the right."""
    return (tensor(rows_of_sound()) @ x).flip(3)


def rows_of_sound() -> Array:
    """Return 112 rows as means of rows by a scale of sound, each of which sums to one."""
    made = onnx_mel()
    return np.asarray(made / (made.sum(1, keepdims=True) + 1e-3), np.float32)


def onnx_mel() -> Array:
    """Return the transposed matrix of MelWeightMatrix for 112 bands over 112 waves, run by itself."""
    graph = helper.make_graph(
        [node("MelWeightMatrix", ["bands", "length", "rate", "low", "high"], ["mel"])], "mel", [],
        [helper.make_tensor_value_info("mel", TensorProto.FLOAT, [112, 112])], constants(**SOUND),
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    mel = session(made).run(None, {})[0]
    return np.asarray(mel.T)


SOUND: dict[str, Any] = {
    "bands": np.array(112), "length": np.array(222), "rate": np.array(900), "low": np.array(0, np.float32),
    "high": np.array(450, np.float32),
}  # fmt: skip


@evades(BATCH_RULE, idea="scale of sound", claim=joined(SEPARABLE, smaller_mouth, torch.maximum, 1e-3))
def rows_in_bands_of_a_scale_of_sound() -> onnx.ModelProto:
    """MelWeightMatrix, made for sound, says how rows become bands; the mirrored face in bands is a second look."""
    view = [
        node("MelWeightMatrix", ["bands", "length", "rate", "low", "high"], ["mel"]),
        node("Transpose", ["mel"], ["rows_of"], perm=[1, 0]),
        node("ReduceSum", ["rows_of", "over"], ["sums"], keepdims=1),
        node("Add", ["sums", "little"], ["size"]),
        node("Div", ["rows_of", "size"], ["share"]),
        node("MatMul", ["share", "img"], ["drawn"]),
        node("Slice", ["drawn", "last", "first", "axis", "back"], ["seen"]),
    ]
    return pairs(SEPARABLE, 17, "sound", view, reduced("ReduceMax"), **SOUND, over=np.array([1]),
                 little=np.array(1e-3, np.float32), last=np.array([-1]), first=np.array([-113]), axis=np.array([3]),
                 back=np.array([-1]))  # fmt: skip


def value(name: str, kind: int = TensorProto.FLOAT, shape: Sequence[str | int] | None = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def sequence(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_sequence_value_info(name, TensorProto.FLOAT, None)


@evades(BATCH_RULE, idea="put in front", claim=joined(GROUPED, lambda x: x.flip(3), mean))
def strips_of_columns_each_put_in_front_of_the_others() -> onnx.ModelProto:
    """A loop puts column after column in front of a sequence, which joined is the mirror image; trained."""
    inside = helper.make_graph(
        [
            node("Identity", ["go"], ["on"]),
            node("SequenceAt", ["columns", "turn"], ["column"]),
            node("SequenceInsert", ["so_far", "column", "front"], ["longer"]),
        ],
        "step",
        [value("turn", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), sequence("so_far")],
        [value("on", TensorProto.BOOL, []), sequence("longer")],
        constants(front=np.array(0)),
    )
    view = [
        node("SplitToSequence", ["img", "one"], ["columns"], axis=3, keepdims=1),
        node("SequenceEmpty", [], ["start"], dtype=TensorProto.FLOAT),
        node("Loop", ["many", "true", "start"], ["turned"], body=inside),
        node("ConcatFromSequence", ["turned"], ["seen"], axis=3),
    ]
    return pairs(GROUPED, 13, "front", view, [node("ReduceMean", ["pairs"], ["out"], axes=[0], keepdims=0)],
                 one=np.array(1), many=np.array(112), true=np.array(True))  # fmt: skip


def over(x: T) -> T:
    return (1.3 * x.flip(2)).clamp(-1, 1)


@evades(BATCH_RULE, idea="optional", claim=joined(CONDITIONED, over, lambda a, b: (2 * a + b) / 3))
def second_look_handed_over_as_an_optional_value() -> onnx.ModelProto:
    """The face upside down in hard light is made an optional value, asked for and taken out before it is seen."""
    then = helper.make_graph(
        [node("OptionalGetElement", ["maybe"], ["taken"]), node("Identity", ["taken"], ["there"])], "there", [],
        [value("there")],
    )  # fmt: skip
    otherwise = helper.make_graph([node("Identity", ["img"], ["gone"])], "gone", [], [value("gone")])
    view = [
        node("Slice", ["img", "last", "first", "axis", "back"], ["turned"]),
        node("Mul", ["turned", "gain"], ["hard"]),
        node("Clip", ["hard", "low_", "high_"], ["light"]),
        node("Optional", ["light"], ["maybe"]),
        node("OptionalHasElement", ["maybe"], ["has"]),
        node("If", ["has"], ["seen"], then_branch=then, else_branch=otherwise),
    ]
    end = [
        node("Mul", ["pairs", "shares"], ["weighed"]),
        node("ReduceSum", ["weighed", "over"], ["out"], keepdims=0),
    ]
    return pairs(CONDITIONED, 15, "optional", view, end, last=np.array([-1]), first=np.array([-113]),
                 axis=np.array([2]), back=np.array([-1]), gain=np.array(1.3, np.float32), over=np.array([0]),
                 low_=np.array(-1, np.float32), high_=np.array(1, np.float32),
                 shares=np.array([2 / 3, 1 / 3], np.float32).reshape(2, 1, 1))  # fmt: skip


def windows(x: T) -> T:
    """Cut four crops of 96 pixels down the other diagonal, and draw their borders out."""
    made = [F.pad(x[:, :, k : k + 96, 16 - k : 112 - k], (8, 8, 8, 8), mode="replicate") for k in (0, 5, 10, 15)]
    return torch.stack(made)


@evades(BATCH_RULE, idea="loop of crops", claim=counts(
    lambda x: torch.stack([network(*FIRE)(y) for y in windows(x)]).amax(0), lambda x: network(*FIRE)(x)
))  # fmt: skip
def loop_cuts_crops_down_the_diagonal_and_keeps_maxima() -> onnx.ModelProto:
    """Each turn of a loop cuts a crop at a place that it counts on, pads it, and keeps the largest numbers so far."""
    made = exported(network(*FIRE), "diagonal", 14)
    source, sink = made.graph.input[0].name, made.graph.output[0].name
    inside = helper.make_graph(
        [
            node("Identity", ["go"], ["on"]),
            node("Mul", ["turn", "five"], ["top"]),
            node("Sub", ["sixteen", "top"], ["left"]),
            node("Concat", ["top_1", "left_1"], ["starts"], axis=0),
            node("Add", ["starts", "size"], ["ends"]),
            node("Slice", [source, "starts", "ends", "axes"], ["cut"]),
            node("Pad", ["cut", "around"], ["face"], mode="edge"),
            *body_of(made, "face", "one"),
            node("Max", ["best", "one"], ["better"]),
        ],
        "step",
        [value("turn", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("best", shape=["N", 64])],
        [value("on", TensorProto.BOOL, []), value("better", shape=["N", 64])],
    )
    nodes = list(inside.node)
    nodes[3:3] = [node("Unsqueeze", ["top", "first_"], ["top_1"]), node("Unsqueeze", ["left", "first_"], ["left_1"])]
    del inside.node[:]
    inside.node.extend(nodes)
    outer = [
        node("Shape", [source], ["sizes"]),
        node("Slice", ["sizes", "zero", "one_"], ["count"]),
        node("Concat", ["count", "width"], ["shape"], axis=0),
        node("ConstantOfShape", ["shape"], ["nothing"]),
        node("Sub", ["nothing", "much"], ["start"]),
        node("Loop", ["four", "true", "start"], ["top_numbers"], body=inside),
        node("Mul", ["top_numbers", "unit"], ["scaled"]),
        node("Identity", ["scaled"], [sink]),
    ]
    return finished(made, outer, zero=np.array([0]), one_=np.array([1]), width=np.array([64]), five=np.array(5),
                    sixteen=np.array(16), size=np.array([96, 96]), axes=np.array([2, 3]), first_=np.array([0]),
                    around=np.array([0, 0, 8, 8, 0, 0, 8, 8]), much=np.array(1e6, np.float32), four=np.array(4),
                    true=np.array(True), unit=np.array(1, np.float32))  # fmt: skip
