"""Networks whose work depends on the image, and honest ones that only look as if."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from evaluation.cases import get, load
from pytest_facechallenge.analyses.latency.launches import facts_of
from pytest_facechallenge.core.facts.latency import LaunchFacts
from pytest_facechallenge.latency_estimate.estimate import launch_count
from pytest_facechallenge.onnx_graph.ir import from_model
from tests.support.models import network

THRESHOLD: dict[str, np.ndarray] = {"threshold": np.array(0.5, np.float32)}


def observed(*tail: onnx.NodeProto, **constants: np.ndarray) -> LaunchFacts:
    model = network(tail=tail, output="out", constants=THRESHOLD | constants, opset=13, ir_version=7)
    return facts_of(from_model(model, Path()))


def branch(name: str, *operators: str) -> onnx.GraphProto:
    """A body that sends "embedding" through the operators."""
    values = ["embedding", *(f"{name}{number}" for number in range(len(operators)))]
    nodes = [helper.make_node(op, [values[i]], [values[i + 1]]) for i, op in enumerate(operators)]
    return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(values[-1], TensorProto.FLOAT, None)])


def gate(condition: str) -> onnx.NodeProto:
    cheap, dear = branch("cheap", "Relu"), branch("dear", "Exp", "Tanh", "Sigmoid")
    return helper.make_node("If", [condition], ["out"], "gate", then_branch=cheap, else_branch=dear)


def test_a_short_cut_for_some_images_is_named() -> None:
    found = observed(
        helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
        helper.make_node("Less", ["mean", "threshold"], ["dark"]),
        gate("dark"),
    )
    assert found.varying == ("gate (If)",)
    assert "gate" in found.problems[0]


@pytest.mark.parametrize(("batch", "launched"), [(1, 1), (2, 3)])
def test_a_branch_chosen_by_a_size_is_counted_and_varies_with_no_image(batch: int, launched: int) -> None:
    plain = launch_count(facts_of(from_model(network(opset=13, ir_version=7), Path())).groups)
    found = observed(
        helper.make_node("Shape", ["input"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["count"]),
        helper.make_node("Equal", ["count", "wanted"], ["single"]),
        gate("single"),
        first=np.array(0, np.int64),
        wanted=np.array(batch, np.int64),
    )
    assert (found.varying, found.problems) == ((), ())
    assert launch_count(found.groups) == plain + launched


def test_sizes_taken_from_pixels_are_named() -> None:
    where = observed(
        helper.make_node("NonZero", ["input"], ["places"], "bright"),
        helper.make_node("ReduceSum", ["places"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["sum"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["embedding", "number"], ["out"]),
    )
    assert where.varying == ("bright (NonZero)",)
    best = observed(helper.make_node("TopK", ["embedding", "k"], ["out", "where"], "best"), k=np.array([3], np.int64))
    assert best.varying == ()


@pytest.mark.parametrize(("stops", "expected"), [(True, ("turns (Loop)",)), (False, ())])
def test_a_loop_that_the_image_may_stop_is_named(stops: bool, expected: tuple[str, ...]) -> None:
    nodes = [helper.make_node("Relu", ["state"], ["next"])]
    if stops:
        nodes += [
            helper.make_node("ReduceMax", ["next"], ["largest"], keepdims=0),
            helper.make_node("Greater", ["largest", "threshold"], ["again"]),
        ]
    else:
        nodes += [helper.make_node("Identity", ["going"], ["again"])]
    body = helper.make_graph(
        nodes,
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, ["N", 64]),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["N", 64]),
        ],
    )
    found = observed(
        helper.make_node("Loop", ["three", "yes", "embedding"], ["out"], "turns", body=body),
        three=np.array(3, np.int64),
        yes=np.array(True),
    )
    assert found.varying == expected
    assert "turns" in found.problems[0]


def test_a_size_that_a_sequence_hides_is_named() -> None:
    found = observed(
        helper.make_node("Split", ["embedding", "parts"], ["small", "large"], axis=1),
        helper.make_node("SequenceConstruct", ["small", "large"], ["both"]),
        helper.make_node("ArgMax", ["embedding"], ["best"], axis=1, keepdims=0),
        helper.make_node("Squeeze", ["best"], ["one"]),
        helper.make_node("Mod", ["one", "two"], ["place"]),
        helper.make_node("SequenceErase", ["both", "place"], ["left"], "one_out"),
        helper.make_node("ConcatFromSequence", ["left"], ["out"], "joined", axis=1),
        parts=np.array([1, 63], np.int64),
        two=np.array(2, np.int64),
    )
    assert found.varying == ("one_out (SequenceErase)", "joined (ConcatFromSequence)")
    assert "depends on what is in the image" in found.problems[0] or "not known" in found.problems[0]


def test_an_operator_that_nobody_knows_is_a_problem_and_no_cheap_launch() -> None:
    found = observed(helper.make_node("WholeNetwork", ["embedding"], ["out"], "secret", domain="my.company"))
    assert "secret" in found.problems[0]
    assert "my.company" in found.problems[0]
    assert found.varying == ("secret (WholeNetwork)",)


def test_no_honest_architecture_is_suspected_and_those_that_choose_by_the_image_are() -> None:
    suspected = {case.name: of_case(case.build()).varying for case in load("development", kind="passed")}
    assert {name: found for name, found in suspected.items() if found} == {}
    assert of_case(get("if_natural").build()).varying
    assert of_case(get("loop_trip_count").build()).varying


def of_case(model: onnx.ModelProto) -> LaunchFacts:
    return facts_of(from_model(model, Path()))
