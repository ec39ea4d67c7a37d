"""Models of somebody who means harm, as bytes. Sizes are those at which the kind of attack shows, not the largest."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.security.archives import zip_bytes
from tests.support.models import network

#: What a terminal, an XML file or a reader must never get, as far as a protobuf string or a file name can hold it:
#: escape, bell, C1, bidi marks, ends of lines, and a line of a report.
NASTY_NAME = "\x1b[2J\x07\x9b31m\u202egnp.\u2066\u200f\nCOMPLIANT  1 passed\n\u2028end"


#: More characters than a file name may have bytes; what a name in a model has no limit for.
LONG = 60_000_000


def model_bytes(seed: int = 0, dim: int = 64) -> bytes:
    """Return an honest model's bytes."""
    return bytes(network(seed=seed, dim=dim).SerializeToString())


def bad_model() -> bytes:
    """Return a model that breaks a rule that can be seen without running it: float16 weights."""
    return bytes(network(constants={"half": np.ones(64, np.float16)}).SerializeToString())


def field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    out = b""
    while True:
        out += bytes([value & 0x7F | (0x80 if value > 0x7F else 0)])
        value >>= 7
        if not value:
            return out


def model_with_archive_inside() -> bytes:
    """Return a valid model whose last, unknown field is a zip of another model."""
    return bad_model() + field(2_000, zip_bytes({"model.onnx": model_bytes()}))


def nasty_texts(name: str = NASTY_NAME) -> bytes:
    """Return a model that says ``name`` wherever a model has a text."""
    model = network()
    graph = model.graph
    model.producer_name = model.producer_version = model.doc_string = model.domain = graph.name = name
    for number, node in enumerate(graph.node):
        node.name = f"{name}{number}"
        node.doc_string = name
    for tensor in graph.initializer:
        old, tensor.name = tensor.name, f"{tensor.name}{name}"
        for node in graph.node:
            node.input[:] = [tensor.name if value == old else value for value in node.input]
    for value in (graph.input[0], graph.output[0]):
        old, value.name = value.name, f"{value.name}{name}"
        value.type.tensor_type.shape.dim[0].dim_param = name
        for node in graph.node:
            node.input[:] = [value.name if each == old else each for each in node.input]
            node.output[:] = [value.name if each == old else each for each in node.output]
    entry = model.metadata_props.add()
    entry.key, entry.value = name, name
    return bytes(model.SerializeToString())


def unknown_operator(name: str = NASTY_NAME) -> bytes:
    """Return a model with an operator that no runtime has; the runtime's error repeats its name."""
    tail = [helper.make_node(name, ["embedding"], ["row"], domain=name)]
    model = network(tail=tail, output="row")
    model.opset_import.append(helper.make_opsetid(name, 1))
    return bytes(model.SerializeToString())


def long_name(characters: int = LONG) -> bytes:
    """Return a model with a node whose name is very long."""
    model = network()
    model.graph.node[0].name = "x" * characters
    return bytes(model.SerializeToString())


def many_names(count: int = 20_000, length: int = 300) -> bytes:
    """Return a model with many inputs of long names."""
    model = network()
    for number in range(count):
        name = f"{number}{'n' * length}"
        model.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]))
    return bytes(model.SerializeToString())


def nested_graphs(depth: int = 3_000) -> bytes:
    """Return a model whose If nodes lie in each other, built from bytes: the library refuses to build it."""
    graph = b""
    for _ in range(depth):
        graph = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, graph)))
    return b"\x08\x06" + field(7, graph) + field(8, b"\x10\x0b")


def bomb(mebibytes: int = 160) -> bytes:
    """Return an archive of zeros that unpacks to a thousand times its size."""
    return zip_bytes({"model.onnx": bytes(mebibytes << 20)})


def endless() -> onnx.ModelProto:
    """Return a model with a loop that does not end."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["value", "value"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["", "yes", "embedding"], ["row"], "endless", body=body)
    return network(tail=[loop], output="row", constants={"yes": np.array(True)})


def memory_eater() -> onnx.ModelProto:
    """Return a model that asks for 32 GiB when it runs."""
    tail = [
        helper.make_node("ConstantOfShape", ["huge"], ["ones"]),
        helper.make_node("ReduceSum", ["ones"], ["sum"], keepdims=0),
        helper.make_node("Add", ["embedding", "sum"], ["row"]),
    ]
    return network(tail=tail, output="row", constants={"huge": np.array([1 << 33])})


def huge_tensor() -> onnx.ModelProto:
    """Return a model whose first weights are declared to be larger than any memory."""
    model = network()
    model.graph.initializer[0].dims[:] = [1 << 40, 3, 3, 3]
    return model


def circle() -> onnx.ModelProto:
    """Return a model whose first node needs the result of the last."""
    model = network()
    model.graph.node[0].input[0] = "embedding"
    return model


def overridden_operator() -> onnx.ModelProto:
    """Return a model with a function that is called like an operator: some runtimes run the one, some the other."""
    model = network()
    opset = helper.make_opsetid("", model.opset_import[0].version)
    same = [helper.make_node("Identity", ["a"], ["y"])]
    model.functions.append(helper.make_function("", "Gemm", ["a", "b", "c"], ["y"], same, [opset]))
    model.ir_version = 8
    return model


def stored_twice() -> onnx.ModelProto:
    """Return a model with two tensors of one name: onnxruntime takes the first, other programs the last."""
    model = network()
    first = model.graph.initializer[0]
    model.graph.initializer.append(numpy_helper.from_array(0 * numpy_helper.to_array(first), first.name))
    return model
