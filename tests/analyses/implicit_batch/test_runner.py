"""The runner: weights handed over in memory give what the whole file gives, and no file is lost by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_facechallenge.analyses.implicit_batch.runner import Held, RunError, Runner, evaluate

Array = npt.NDArray[Any]

X = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 64)


def weights(kind: Any = np.float32, name: str = "w") -> onnx.TensorProto:
    return numpy_helper.from_array(np.random.default_rng(3).uniform(0, 9, (64, 64)).astype(kind), name)


def model(
    nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], outputs: tuple[str, ...] = ("y",), ir: int = 8
) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])]
    if ir < 4:  # such files list every initializer among the inputs
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in constants]
    ends = [helper.make_empty_tensor_value_info(name) for name in outputs]
    graph = helper.make_graph(nodes, "net", inputs, ends, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=ir)


def whole(made: onnx.ModelProto) -> Array:
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y"], {"x": X})[0])


@pytest.mark.parametrize("ir", [3, 8])
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, np.int64, np.int32, np.int8, np.uint8])
def test_a_weight_of_any_type_gives_what_the_whole_file_gives(kind: Any, ir: int) -> None:
    nodes = [
        helper.make_node("Cast", ["w"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "f"], ["y"]),
    ]
    made = model(nodes, [weights(kind)], ir=ir)
    before = made.SerializeToString()
    runner = Runner(made, ["y", "f"])
    assert runner._weights, "a weight of 4 kB and more is handed over"
    np.testing.assert_allclose(runner({"x": X})["y"], whole(made), rtol=1e-5, atol=1e-3)
    assert made.SerializeToString() == before


def test_weights_that_no_node_reads_do_not_stop_it() -> None:
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [weights(), weights(name="left over")])
    np.testing.assert_allclose(Runner(made, ["y"])({"x": X})["y"], whole(made), rtol=1e-5, atol=1e-3)


def test_a_weight_read_under_its_name_by_a_subgraphs_own_value_only_is_no_reason_to_fail() -> None:
    own = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["out"])],
        "branch",
        [],
        [helper.make_empty_tensor_value_info("out")],
        [numpy_helper.from_array(np.ones((1, 64), np.float32), "w")],
    )
    nodes = [
        helper.make_node("Identity", ["true"], ["c"]),
        helper.make_node("If", ["c"], ["part"], then_branch=own, else_branch=own),
        helper.make_node("Add", ["x", "part"], ["y"]),
    ]
    made = model(nodes, [weights(), numpy_helper.from_array(np.array(True), "true")])
    assert np.array_equal(Runner(made, ["y"])({"x": X})["y"], X + 1)


def test_a_weight_read_inside_a_subgraph_is_found_there() -> None:
    inner = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["out"])], "branch", [], [helper.make_empty_tensor_value_info("out")]
    )
    nodes = [helper.make_node("If", ["true"], ["y"], then_branch=inner, else_branch=inner)]
    made = model(nodes, [weights(), numpy_helper.from_array(np.array(True), "true")])
    runner = Runner(made, ["y"], optimised=True)
    assert runner._weights
    np.testing.assert_allclose(runner({"x": X})["y"], whole(made), rtol=1e-5, atol=1e-3)


def test_a_weight_with_too_few_bytes_is_the_runtimes_to_complain_of() -> None:
    short = weights()
    short.raw_data = short.raw_data[:-4]
    with pytest.raises(RunError, match="does not load"):
        Runner(model([helper.make_node("MatMul", ["x", "w"], ["y"])], [short]), ["y"])


def test_a_survey_holds_every_tensor_and_leaves_sequences_out() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("SequenceConstruct", ["product", "x"], ["list"]),
        helper.make_node("Shape", ["product"], ["shape"]),
        helper.make_node("ConcatFromSequence", ["list"], ["y"], axis=0),
    ]
    made = model(nodes, [weights()])
    names = ["product", "list", "shape", "y"]
    seen, values = Runner(made, names).survey({"x": X}), Runner(made, names)({"x": X})
    assert {name: held.shape for name, held in seen.items()} == {"product": (1, 64), "shape": (2,), "y": (2, 64)}
    for name, held in seen.items():
        assert np.array_equal(held.array(), values[name])


def test_a_run_that_fails_says_so() -> None:
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [weights()])
    with pytest.raises(RunError, match="does not run"):
        Runner(made, ["y"]).survey({"x": X[:, :5]})
    with pytest.raises(RunError, match="does not run"):
        Runner(made, ["y"])({"x": X[:, :5]})


def test_a_value_that_numpy_has_no_type_for_is_an_error_only_when_it_is_read() -> None:
    made = model([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.BFLOAT16)], [])
    held = Runner(made, ["y"]).survey({"x": X})["y"]
    assert held.shape == (1, 64)
    with pytest.raises(RunError, match="cannot be read"):
        held.array()


def test_early_values_need_only_the_nodes_before_them() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["early"]),
        helper.make_node("NoSuchOperator", ["early"], ["y"]),
    ]
    made = model(nodes, [weights()])
    assert np.allclose(
        evaluate(made, ["early"], {"x": X})["early"], X @ numpy_helper.to_array(made.graph.initializer[0]), atol=1e-4
    )
    assert np.array_equal(Held.of(X).array(), X)
