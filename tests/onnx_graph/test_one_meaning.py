"""What programs may read differently in one model is found; what only looks like it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, inliner, numpy_helper

from pytest_facechallenge.onnx_graph.ir import GraphError, from_model
from pytest_facechallenge.onnx_graph.one_meaning import conflicts
from tests.security import contents
from tests.support.models import network

ONES = np.ones(64, np.float32)


def stored(name: str, value: float) -> TensorProto:
    return numpy_helper.from_array(np.full(64, value, np.float32), name)


def function(domain: str, name: str, op: str = "Neg", made: str = "y") -> onnx.FunctionProto:
    return helper.make_function(
        domain, name, ["x"], [made], [helper.make_node(op, ["x"], [made])], [helper.make_opsetid("", 11)]
    )


def with_functions(*functions: onnx.FunctionProto) -> onnx.ModelProto:
    model = network()
    model.functions.extend(functions)
    return model


def constant_and_initializer() -> onnx.ModelProto:
    model = network(constants={"k": ONES})
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=stored("k", 2)))
    return model


def dense_and_sparse() -> onnx.ModelProto:
    model = network(constants={"k": ONES})
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(numpy_helper.from_array(ONES[:1], "k"), indices, [64])
    )
    return model


def in_a_branch() -> onnx.ModelProto:
    one, other = (
        helper.make_graph(
            [helper.make_node("Mul", ["embedding", "k"], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
            [stored("k", 1), stored("k", 2)],
        )
        for name in ("one", "other")
    )
    node = helper.make_node("If", ["c"], ["row"], then_branch=one, else_branch=other)
    return network(tail=[node], output="row", constants={"c": np.array(True)})


def two_versions() -> onnx.ModelProto:
    model = network()
    model.opset_import.append(helper.make_opsetid("ai.onnx", model.opset_import[0].version + 1))
    return model


def two_fields() -> onnx.ModelProto:
    model = network()
    model.graph.initializer[0].float_data.append(1.0)
    return model


def inside_and_beside() -> onnx.ModelProto:
    model = network()
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    return model


def in_a_function(version: int) -> onnx.ModelProto:
    """Return the network in a function that imports this version of the operators; the model imports 11."""
    model = network()
    inputs = [model.graph.input[0].name, *(tensor.name for tensor in model.graph.initializer)]
    outputs = [model.graph.output[0].name]
    body = helper.make_function("d", "Net", inputs, outputs, list(model.graph.node), [helper.make_opsetid("", version)])
    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Net", inputs, outputs, domain="d"))
    model.functions.append(body)
    model.opset_import.append(helper.make_opsetid("d", 1))
    model.ir_version = 8
    return model


@pytest.mark.parametrize("version", [11, 12])
def test_nothing_hides_in_a_function_of_another_version(version: int) -> None:
    """onnx leaves a call of such a function where it is; its operators are the same in both versions."""
    model = in_a_function(version)
    assert list(conflicts(model)) == []
    assert [node.op for node in from_model(model, Path()).nodes][-2:] == ["Flatten", "Gemm"]
    assert model == in_a_function(version)


def test_a_function_whose_operators_are_others_is_not_read() -> None:
    model = in_a_function(10)
    assert "its function 'd.Net' imports another version of 'Gemm'" in " ".join(conflicts(model))
    with pytest.raises(GraphError, match="operators of another version"):
        from_model(model, Path())


def test_a_call_that_stays_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inliner, "inline_local_functions", lambda model: model)
    with pytest.raises(GraphError, match="cannot be replaced by its body"):
        from_model(in_a_function(11), Path())


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (contents.stored_twice, "the value 'w0' is stored twice"),
        (dense_and_sparse, "the value 'k' is stored twice"),
        (in_a_branch, "the value 'k' is stored twice"),
        (constant_and_initializer, "the value 'k' is made twice"),
        (two_versions, "the operators of 'ai.onnx' in the versions 11 and 12"),
        (two_fields, "keeps values in raw_data and in float_data"),
        (inside_and_beside, "keeps values in raw_data and in a side file"),
        (contents.overridden_operator, "its function 'Gemm' is called like an operator"),
        (lambda: with_functions(function("ai.onnx.ml", "Scaler")), "'ai.onnx.ml.Scaler' is called like an operator"),
        (lambda: with_functions(function("com.microsoft", "Gelu")), "'com.microsoft.Gelu' is called like"),
        (lambda: with_functions(function("d", "F"), function("d", "F", "Abs")), "two functions 'd.F'"),
        (lambda: with_functions(function("d", "F", made="x")), "the value 'x' is made twice"),
    ],
)
def test_two_meanings(build: Callable[[], onnx.ModelProto], said: str) -> None:
    assert said in " ".join(conflicts(build()))


def one_content_twice() -> onnx.ModelProto:
    model = network(constants={"k": ONES})
    model.graph.initializer.append(stored("k", 1))
    return model


def one_version_twice() -> onnx.ModelProto:
    model = network()
    model.opset_import.append(helper.make_opsetid("ai.onnx", model.opset_import[0].version))
    return model


@pytest.mark.parametrize(
    "build",
    [
        network,
        one_content_twice,
        one_version_twice,
        lambda: with_functions(function("d", "Relu"), function("", "OwnOperator"), function("e", "Relu")),
    ],
    ids=["plain", "one-content", "one-version", "functions"],
)
def test_one_meaning(build: Callable[[], onnx.ModelProto]) -> None:
    assert list(conflicts(build())) == []


def test_the_runtime_and_others_do_read_them_differently() -> None:
    """The reason for all of this: in both cases a reader that takes the other one sees another network."""

    def run(model: onnx.ModelProto) -> npt.NDArray[np.float32]:
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        images = np.ones((1, 3, 112, 112), np.float32)
        return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0])

    plain = run(network())
    twice = run(contents.stored_twice())
    # The first tensor is that of the plain network, the second has zeros alone; onnxruntime 1.20 takes the second.
    assert np.array_equal(twice, plain) or not twice.any(), "one of the two counts for nothing"
    assert np.array_equal(run(contents.overridden_operator()), plain), "the function counts for nothing here"
