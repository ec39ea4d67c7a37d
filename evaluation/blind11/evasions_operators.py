"""Evasions: the second look is made by an operator that is not known for turning anything over."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from evaluation.blind4.claims import Claim, computes
from evaluation.blind4.export import exported, network
from evaluation.blind4.register import evades
from evaluation.blind5.evasions_runs import body_of, constants
from evaluation.blind11.evasions_nets import Parts, highway, inception, of, poly, reg, smooth, vov
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

INCEPTION: Parts = (inception, "operators of the eleventh set", 0)
VOV: Parts = (vov, "operators of the eleventh set", 6)
HIGHWAY: Parts = (highway, "operators of the eleventh set", 0)
REG: Parts = (reg, "operators of the eleventh set", 0)
SMOOTH: Parts = (smooth, "operators of the eleventh set", 6)
POLY: Parts = (poly, "operators of the eleventh set", 0)

node = helper.make_node


def joined(parts: Parts, view: Callable[[Array], Array], join: Callable[[Array, Array], Array]) -> Claim:
    """Claim what ``join`` makes of a plain network's embeddings of the image and of a view of it."""
    f = of(parts)
    return computes(lambda x: join(f(x), f(np.ascontiguousarray(view(x)))), lambda x: join(f(x), f(x)))


def mean(a: Array, b: Array) -> Array:
    return np.asarray((a + b) / 2)


def both_ways(
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


MEAN = [node("ReduceMean", ["pairs"], ["out"], axes=[0], keepdims=0)]


@evades(BATCH_RULE, idea="transformed twice", claim=joined(
    SMOOTH, lambda x: np.roll(x[..., ::-1], 1, 3), lambda a, b: np.sqrt((a**2 + b**2) / 2 + 1e-3)
))  # fmt: skip
def fourier_transform_applied_twice() -> onnx.ModelProto:
    """DFT is applied twice, never inverted, which turns each row over; a trained network sees both, roots are kept."""
    view = [
        node("Unsqueeze", ["img", "last"], ["real"]),
        node("DFT", ["real"], ["once"], axis=3),
        node("DFT", ["once"], ["twice"], axis=3),
        node("Gather", ["twice", "zero"], ["large"], axis=4),
        node("Div", ["large", "side"], ["seen"]),
    ]
    end = [
        node("Mul", ["pairs", "pairs"], ["squares"]),
        node("ReduceMean", ["squares"], ["square"], axes=[0], keepdims=0),
        node("Add", ["square", "little"], ["more"]),
        node("Sqrt", ["more"], ["out"]),
    ]
    return both_ways(
        SMOOTH, 17, "transform twice", view, end, last=np.array([4]), zero=np.array(0), side=np.float32(112),
        little=np.float32(1e-3),
    )  # fmt: skip


@evades(BATCH_RULE, idea="image as a kernel", claim=joined(VOV, lambda x: x[..., ::-1], mean))
def rows_of_pixels_are_kernels_over_one_bright_point() -> onnx.ModelProto:
    """Every row of pixels is a kernel that runs over one bright point, which draws the row turned over; trained."""
    point = np.zeros((1, 1, 1, 223), np.float32)
    point[..., 111] = 1
    view = [
        node("Reshape", ["img", "kernels"], ["w"]),
        node("Conv", ["point", "w"], ["drawn"]),
        node("Reshape", ["drawn", "image"], ["seen"]),
    ]
    return both_ways(
        VOV, 12, "rows as kernels", view, MEAN, kernels=np.array([-1, 1, 1, 112]), point=point,
        image=np.array([-1, 3, 112, 112]),
    )  # fmt: skip


@evades(BATCH_RULE, idea="long strides", claim=joined(
    HIGHWAY, lambda x: np.roll(x[:, :, ::-1], 1, 2), lambda a, b: a - 0.5 * b
))  # fmt: skip
def every_hundred_and_eleventh_row_of_many_copies() -> onnx.ModelProto:
    """The image is tiled 111 times downwards, and a pooling of one pixel keeps every 111th row: it is upside down."""
    view = [
        node("Tile", ["img", "copies"], ["tall"]),
        node("MaxPool", ["tall"], ["seen"], kernel_shape=[1, 1], strides=[111, 1]),
    ]
    end = [
        node("Mul", ["pairs", "weights"], ["weighted"]),
        node("ReduceSum", ["weighted", "first"], ["out"], keepdims=0),
    ]
    return both_ways(
        HIGHWAY, 13, "long strides", view, end, copies=np.array([1, 1, 111, 1]), first=np.array([0]),
        weights=np.array([1, -0.5], np.float32).reshape(2, 1, 1),
    )  # fmt: skip


def strips_turned(x: Array) -> Array:
    return np.asarray(x.reshape(-1, 3, 14, 8, 112)[:, :, ::-1].reshape(-1, 3, 112, 112))


@evades(BATCH_RULE, idea="sequence", claim=joined(REG, strips_turned, lambda a, b: np.concatenate([a, a + b], 1)))
def strips_laid_on_top_of_each_other_by_a_loop() -> onnx.ModelProto:
    """A Loop puts strips of the image into a sequence, each before the others: the last strip comes to the top."""
    strip = helper.make_tensor_sequence_value_info("laid", TensorProto.FLOAT, None)
    laid = helper.make_tensor_sequence_value_info("laid_out", TensorProto.FLOAT, None)
    body = helper.make_graph(
        [
            node("SequenceAt", ["strips", "i"], ["strip"]),
            node("SequenceInsert", ["laid", "strip", "front"], ["laid_out"]),
            node("Identity", ["go"], ["go_out"]),
        ],
        "lay",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, []), strip],
        [helper.make_tensor_value_info("go_out", TensorProto.BOOL, []), laid],
    )  # fmt: skip
    view = [
        node("SplitToSequence", ["img", "height"], ["strips"], axis=2),
        node("SequenceLength", ["strips"], ["trips"]),
        node("SequenceEmpty", [], ["none"]),
        node("Loop", ["trips", "yes", "none"], ["pile"], body=body),
        node("ConcatFromSequence", ["pile"], ["seen"], axis=2),
    ]
    end = [
        node("Slice", ["pairs", "zero", "one", "zero"], ["first_look"]),
        node("ReduceSum", ["pairs", "zero"], ["sum"], keepdims=0),
        node("Squeeze", ["first_look", "zero"], ["plain"]),
        node("Concat", ["plain", "sum"], ["out"], axis=1),
    ]
    made = both_ways(
        REG, 14, "strips on top", view, end, height=np.array(8), yes=np.array(True), front=np.array(0),
        zero=np.array([0]), one=np.array([1]),
    )  # fmt: skip
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 128
    return made


@evades(BATCH_RULE, idea="extracted features", claim=joined(
    INCEPTION, lambda x: x.reshape(-1, 3, 112, 4, 28)[..., ::-1].reshape(-1, 3, 112, 112), mean
))  # fmt: skip
def columns_as_extracted_features_of_a_table() -> onnx.ModelProto:
    """ArrayFeatureExtractor, made for tables, takes the columns in an order that turns each quarter over."""
    view = [
        node("Reshape", ["img", "table"], ["t"]),
        node("ArrayFeatureExtractor", ["t", "order"], ["u"], domain="ai.onnx.ml"),
        node("Reshape", ["u", "image"], ["seen"]),
    ]
    order = np.arange(112).reshape(4, 28)[:, ::-1].reshape(1, 112)
    return both_ways(
        INCEPTION, 11, "extracted features", view, MEAN, table=np.array([-1, 112]), order=np.ascontiguousarray(order),
        image=np.array([-1, 3, 112, 112]),
    )  # fmt: skip


@evades(BATCH_RULE, idea="counted places", claim=joined(POLY, lambda x: x[:, :, ::-1], np.maximum))
def rows_fetched_at_places_counted_from_the_end() -> onnx.ModelProto:
    """A running sum of ones from the end counts the places at which Gather fetches the rows; maxima are kept."""
    view = [
        node("CumSum", ["ones", "axis"], ["places"], reverse=1, exclusive=1),
        node("Gather", ["img", "places"], ["seen"], axis=2),
    ]
    end = [node("ReduceMax", ["pairs"], ["out"], axes=[0], keepdims=0)]
    return both_ways(POLY, 15, "counted places", view, end, ones=np.ones(112, np.int64), axis=np.array(0))


@evades(BATCH_RULE, idea="bits of places", claim=joined(
    VOV, lambda x: x.reshape(-1, 3, 7, 16, 7, 16)[:, :, :, ::-1, :, ::-1].reshape(-1, 3, 112, 112), mean
))  # fmt: skip
def places_whose_lowest_bits_are_flipped() -> onnx.ModelProto:
    """BitwiseXor flips the four lowest bits of each place's number: blocks of 16 pixels are half turned; trained."""
    view = [
        node("BitwiseXor", ["count", "bits"], ["places"]),
        node("Gather", ["img", "places"], ["over"], axis=2),
        node("Gather", ["over", "places"], ["seen"], axis=3),
    ]
    end = [node("ReduceMean", ["pairs", "first"], ["out"], keepdims=0)]
    return both_ways(VOV, 18, "bits of places", view, end, count=np.arange(112), bits=np.array(15), first=np.array([0]))
