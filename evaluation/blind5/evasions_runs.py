"""Evasions: one exported network run several times by ONNX's own loops, sequences and rarer operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from evaluation.blind4.chains import patch_chain
from evaluation.blind4.claims import mirror
from evaluation.blind4.evasions_batch import mobile
from evaluation.blind4.evasions_packed import of_views, same
from evaluation.blind4.export import exported, network
from evaluation.blind4.register import evades
from evaluation.builder import Array
from evaluation.case import BATCH_RULE

PATCH = (patch_chain, "run in a loop", 12)
MOBILE = (mobile, "run in a scan", 10)
END = 2**63 - 1
LENGTHS = {"least": np.float32(1e-6), "eight": np.float32(8)}


def model(parts: tuple[object, str, int], name: str) -> onnx.ModelProto:
    return exported(network(*parts), name, 12)


def constants(**values: object) -> list[TensorProto]:
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]


def rebuilt(made: onnx.ModelProto, nodes: Sequence[NodeProto], stored: Sequence[TensorProto]) -> onnx.ModelProto:
    """Return a model with the same input, output and weights, and other nodes."""
    sink = made.graph.output[0]
    sink.type.tensor_type.shape.dim[0].dim_param = "N"
    graph = helper.make_graph(list(nodes), "main", list(made.graph.input), [sink], [*made.graph.initializer, *stored])
    out = helper.make_model(graph, opset_imports=list(made.opset_import), ir_version=7, producer_name="pytorch")
    onnx.checker.check_model(out)
    return out


def of_unit_length(raw: str, out: str) -> list[NodeProto]:
    """Divide rows by their length, which is at least a little."""
    return [
        helper.make_node("ReduceL2", [raw], ["length"], axes=[1], keepdims=1),
        helper.make_node("Max", ["length", "least"], ["divisor"]),
        helper.make_node("Div", [raw, "divisor"], ["unit"]),
        helper.make_node("Mul", ["unit", "eight"], ["scaled"]),
        helper.make_node("Clip", ["scaled"], [out]),
    ]


def floats(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def turn() -> list[onnx.ValueInfoProto]:
    """What a Loop gives to its body first: the count of turns and whether it goes on."""
    return [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
    ]


def body_of(made: onnx.ModelProto, view: str, embedding: str, extra: Sequence[NodeProto] = ()) -> list[NodeProto]:
    """The nodes of a network, reading ``view`` and writing ``embedding``."""
    source, sink = made.graph.input[0].name, made.graph.output[0].name
    kept = []
    for node in made.graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [view if name == source else name for name in node.input]
        copy.output[:] = [embedding if name == sink else name for name in node.output]
        kept.append(copy)
    return [*extra, *kept]


@evades(BATCH_RULE, idea="scan", claim=of_views(MOBILE, same, mirror))
def scan_over_two_views() -> onnx.ModelProto:
    """Scan runs a small MobileFaceNet over the image and its mirror image, stacked on an axis of their own."""
    made = model(MOBILE, "scan over two views")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    body = helper.make_graph(body_of(made, "view", "one"), "step", [floats("view")], [floats("one")])
    nodes = [
        helper.make_node("Slice", [x, "minus", "end", "three", "minus"], ["back"]),
        helper.make_node("Unsqueeze", [x], ["a"], axes=[0]),
        helper.make_node("Unsqueeze", ["back"], ["b"], axes=[0]),
        helper.make_node("Concat", ["a", "b"], ["views"], axis=0),
        helper.make_node("Scan", ["views"], ["each"], body=body, num_scan_inputs=1),
        helper.make_node("ReduceMean", ["each"], ["mean"], axes=[0], keepdims=0),
        *of_unit_length("mean", out),
    ]
    return rebuilt(made, nodes, constants(minus=np.array([-1]), end=np.array([-END]), three=np.array([3]), **LENGTHS))


def left(x: Array, by: int) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (0, 0), (0, by)))[..., by:]


@evades(BATCH_RULE, idea="loop", claim=of_views(
    PATCH, same, lambda x: left(x, 2), lambda x: left(x, 4)
))  # fmt: skip
def loop_that_moves_the_image() -> onnx.ModelProto:
    """Loop runs three times: each time the image is cut two pixels further to the right, and the embedding added."""
    made = model(PATCH, "loop that moves the image")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    head = [
        helper.make_node("Mul", ["i", "two"], ["start"]),
        helper.make_node("Add", ["start", "side"], ["stop"]),
        helper.make_node("Slice", ["wide", "start", "stop", "three"], ["view"]),
    ]
    end = [helper.make_node("Add", ["sum_in", "one"], ["sum_out"]), helper.make_node("Identity", ["go"], ["go_out"])]
    body = helper.make_graph(
        [*body_of(made, "view", "one", head), *end], "step",
        [*turn(), floats("sum_in")],
        [helper.make_tensor_value_info("go_out", TensorProto.BOOL, []), floats("sum_out")],
    )  # fmt: skip
    nodes = [
        helper.make_node("Pad", [x, "pads"], ["wide"]),
        helper.make_node("Loop", ["trips", "yes", "nothing"], ["total"], body=body),
        helper.make_node("Div", ["total", "share"], ["mean"]),
        *of_unit_length("mean", out),
    ]
    stored = constants(
        pads=np.array([0, 0, 0, 0, 0, 0, 0, 4]), trips=np.array(3), yes=np.array(True), two=np.array([2]),
        side=np.array([112]), three=np.array([3]), nothing=np.zeros((1, 48), np.float32), share=np.float32(3),
        **LENGTHS,
    )  # fmt: skip
    return rebuilt(made, nodes, stored)


@evades(BATCH_RULE, idea="mirrored by an operator", claim=of_views(PATCH, same, mirror))
def reverse_sequence_over_columns() -> onnx.ModelProto:
    """Columns are a sequence, which ReverseSequence turns over; both ways go through one network in one batch."""
    made = model(PATCH, "reverse sequence over columns")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        helper.make_node("Transpose", [x], ["columns"], perm=[3, 0, 1, 2]),
        helper.make_node("Shape", ["columns"], ["sizes"]),
        helper.make_node("Slice", ["sizes", "one", "two"], ["count"]),
        helper.make_node(
            "ConstantOfShape", ["count"], ["lengths"], value=numpy_helper.from_array(np.array([112]), "v")
        ),
        helper.make_node("ReverseSequence", ["columns", "lengths"], ["turned"], time_axis=0, batch_axis=1),
        helper.make_node("Transpose", ["turned"], ["back"], perm=[1, 2, 3, 0]),
        helper.make_node("Concat", [x, "back"], ["both"], axis=0),
        *body_of(made, "both", "rows"),
        helper.make_node("Reshape", ["rows", "pairs"], ["each"]),
        helper.make_node("ReduceMean", ["each"], [out], axes=[0], keepdims=0),
    ]
    return rebuilt(made, nodes, constants(one=np.array([1]), two=np.array([2]), pairs=np.array([2, -1, 48])))


@evades(BATCH_RULE, idea="sequence", claim=of_views(MOBILE, same, lambda x: x[:, :, ::-1], mirror))
def views_in_a_sequence() -> onnx.ModelProto:
    """A sequence of tensors holds the image, it upside down and mirrored; a Loop takes out one after the other."""
    made = model(MOBILE, "views in a sequence")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    body = helper.make_graph(
        [*body_of(made, "view", "one", [helper.make_node("SequenceAt", ["views", "i"], ["view"])]),
         helper.make_node("Identity", ["go"], ["go_out"])], "step",
        turn(),
        [helper.make_tensor_value_info("go_out", TensorProto.BOOL, []), floats("one")],
    )  # fmt: skip
    nodes = [
        helper.make_node("Slice", [x, "minus", "end", "two", "minus"], ["down"]),
        helper.make_node("Slice", [x, "minus", "end", "three", "minus"], ["back"]),
        helper.make_node("SequenceConstruct", [x, "down", "back"], ["views"]),
        helper.make_node("SequenceLength", ["views"], ["trips"]),
        helper.make_node("Loop", ["trips", "yes"], ["each"], body=body),
        helper.make_node("ReduceMean", ["each"], ["mean"], axes=[0], keepdims=0),
        *of_unit_length("mean", out),
    ]
    stored = constants(
        minus=np.array([-1]),
        end=np.array([-END]),
        two=np.array([2]),
        three=np.array([3]),
        yes=np.array(True),
        **LENGTHS,
    )
    return rebuilt(made, nodes, stored)


@evades(BATCH_RULE, idea="mirrored by an operator", claim=of_views(PATCH, same, mirror))
def columns_written_backwards() -> onnx.ModelProto:
    """ScatterElements writes every pixel to the column at the other end, as places that Range and Sub compute."""
    made = model(PATCH, "columns written backwards")
    x, out = made.graph.input[0].name, made.graph.output[0].name
    nodes = [
        helper.make_node("Shape", [x], ["sizes"]),
        helper.make_node("Range", ["zero", "side", "step"], ["at"]),
        helper.make_node("Sub", ["last", "at"], ["to"]),
        helper.make_node("Expand", ["to", "sizes"], ["places"]),
        helper.make_node("ScatterElements", [x, "places", x], ["back"], axis=3),
        *body_of(made, x, "a"),
    ]
    second = model(PATCH, "columns written backwards")
    again = body_of(second, "back", "b")
    for node in again:
        node.name = f"second/{node.name}"
        node.input[:] = [f"{n}_1" if n in {o for k in second.graph.node for o in k.output} else n for n in node.input]
        node.output[:] = [o if o == "b" else f"{o}_1" for o in node.output]
    end = [helper.make_node("Sum", ["a", "b"], ["sum"]), helper.make_node("Mul", ["sum", "half"], [out])]
    stored = constants(zero=np.array(0), side=np.array(112), step=np.array(1), last=np.array(111), half=np.float32(0.5))
    return rebuilt(made, [*nodes, *again, *end], stored)
