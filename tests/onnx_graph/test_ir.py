"""Reading a model as plain objects: order, scopes, functions, constants, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_facechallenge.onnx_graph import ir
from tests.support.models import network

HERE = Path()


def test_constant_nodes_become_constants() -> None:
    model = network()
    values = {
        "value": helper.make_node("Constant", [], ["a"], value=numpy_helper.from_array(np.ones(2, np.float32))),
        "value_float": helper.make_node("Constant", [], ["b"], value_float=1.5),
        "value_ints": helper.make_node("Constant", [], ["c"], value_ints=[1, 2]),
        "value_strings": helper.make_node("Constant", [], ["d"], value_strings=["x", "y"]),
    }
    model.graph.node.extend(values.values())
    graph = ir.from_model(model, HERE)
    assert not any(node.op == "Constant" for node in graph.nodes)
    assert graph.constants["a"].array().tolist() == [1, 1]
    assert graph.constants["b"].array().item() == 1.5
    assert graph.constants["c"].array().tolist() == [1, 2]
    assert graph.constants["d"].dtype == "string"


def test_unsorted_nodes_are_sorted() -> None:
    model = network()
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])
    graph = ir.from_model(model, HERE)
    assert [node.op for node in graph.nodes] == [node.op_type for node in nodes]


def test_circle_is_an_error() -> None:
    model = network()
    model.graph.node[0].input[0] = "embedding"
    with pytest.raises(ir.GraphError, match="circle"):
        ir.from_model(model, HERE)


def test_nodes_that_are_ready_keep_the_order_of_the_file() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]>
        net (float[N] x) => (float[N] y) { d = Add(c, a)  a = Relu(x)  b = Neg(x)  c = Abs(x)  y = Sum(b, d) }
    """)
    assert [node.outputs[0] for node in ir.from_model(model, HERE).nodes] == ["a", "b", "c", "d", "y"]


def test_a_function_called_with_too_much_is_an_error_of_ours() -> None:
    model = network()
    model.functions.append(_function("half", []))
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.graph.node.append(helper.make_node("half", ["embedding", "embedding"], ["more"], domain="local"))
    with pytest.raises(ir.GraphError, match="cannot be inlined"):
        ir.from_model(model, HERE)


def _function(name: str, calls: list[str]) -> onnx.FunctionProto:
    nodes = [helper.make_node(call, ["x"], ["y"], domain="local") for call in calls] or [
        helper.make_node("Relu", ["x"], ["y"])
    ]
    for index, node in enumerate(nodes):
        node.input[0] = "x" if index == 0 else f"v{index - 1}"
        node.output[0] = "y" if index == len(nodes) - 1 else f"v{index}"
    return helper.make_function(
        "local", name, ["x"], ["y"], nodes, [helper.make_opsetid("", 11), helper.make_opsetid("local", 1)]
    )


def _with_functions(*functions: onnx.FunctionProto, call: str) -> onnx.ModelProto:
    tail = [helper.make_node(call, ["embedding"], ["row"], domain="local")]
    model = network(tail=tail, output="row", ir_version=8)
    model.opset_import.append(helper.make_opsetid("local", 1))
    model.functions.extend(functions)
    return model


def test_functions_are_inlined() -> None:
    graph = ir.from_model(_with_functions(_function("f", []), call="f"), HERE)
    assert graph.nodes[-1].op == "Relu"


def test_functions_that_call_each_other_in_a_circle() -> None:
    model = _with_functions(_function("f", ["g"]), _function("g", ["f"]), call="f")
    with pytest.raises(ir.GraphError, match="circle"):
        ir.from_model(model, HERE)


def test_functions_that_double_at_every_level_are_refused_before_they_are_expanded() -> None:
    functions = [_function("f0", [])] + [_function(f"f{i}", [f"f{i - 1}"] * 2) for i in range(1, 40)]
    with pytest.raises(ir.GraphError, match="expand to"):
        ir.from_model(_with_functions(*functions, call="f39"), HERE)


def _conditional() -> onnx.ModelProto:
    def branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
        return helper.make_graph(
            [node], name, [], [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)]
        )

    tail = [
        helper.make_node(
            "If",
            ["flag"],
            ["row"],
            "choice",
            then_branch=branch("t", helper.make_node("Mul", ["embedding", "factor"], ["a"], "scale")),
            else_branch=branch("e", helper.make_node("Relu", ["embedding"], ["b"], "clip")),
        )
    ]
    constants = {"flag": np.array(True), "factor": np.array([2.0], np.float32)}
    return network(tail=tail, output="row", constants=constants)


def test_subgraphs_see_the_graph_around_them() -> None:
    graph = ir.from_model(_conditional(), HERE)
    choice = graph.nodes[-1]
    assert set(choice.subgraphs) == {"then_branch", "else_branch"}
    scale = choice.subgraphs["then_branch"].nodes[0]
    assert scale.label == "choice.then_branch/scale"
    values = scale.constant(1)
    assert values is not None
    assert values.tolist() == [2.0]
    assert ir.outer_reads(choice) >= {"embedding", "factor"}
    assert choice in graph.consumers["embedding"]
    assert {node.label for node in graph.walk()} >= {"choice.then_branch/scale", "choice.else_branch/clip"}


def test_tensor_without_its_data_says_where_it_is() -> None:
    model = network()
    model.graph.initializer[0].ClearField("raw_data")
    tensor = ir.from_model(model, HERE).constants["w0"]
    with pytest.raises(ir.GraphError, match="initializer 'w0'"):
        tensor.array()
