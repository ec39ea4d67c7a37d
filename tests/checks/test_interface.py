"""Input, output and embedding length: at the limit and one beyond, declared and measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from pytest_facechallenge.core.outcome import Status
from tests.support.gathering import judge
from tests.support.models import network


def test_the_input_that_the_rule_wants(tmp_path: Path) -> None:
    assert judge(network(), "input", tmp_path).status is Status.PASSED


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((3, 112, 96), "[N,3,112,96]"),
        ((1, 112, 112), "[N,1,112,112]"),
        ((112, 112, 3), "[N,112,112,3]"),
        ((3, "H", "W"), "[N,3,H,W]"),
    ],
)
def test_other_shapes(tmp_path: Path, shape: tuple[int | str, ...], found: str) -> None:
    outcome = judge(network(shape=shape), "input", tmp_path)
    assert outcome.status is Status.FAILED
    assert found in outcome.message


def test_other_type(tmp_path: Path) -> None:
    outcome = judge(network(dtype=TensorProto.UINT8), "input", tmp_path)
    assert outcome.status is Status.FAILED
    assert "uint8" in outcome.message


def test_second_input(tmp_path: Path) -> None:
    extra = [helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, ["N", 10])]
    outcome = judge(network(extra_inputs=extra), "input", tmp_path)
    assert outcome.status is Status.FAILED
    assert "landmarks" in outcome.message


def test_initializers_listed_as_inputs_are_no_inputs(tmp_path: Path) -> None:
    model = network(ir_version=3)
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    assert judge(model, "input", tmp_path).status is Status.PASSED


@pytest.mark.parametrize(("track", "limit"), [("mfr21/A", 512), ("mfr21/B", 1024), ("lfr19/iqiyi-light", 512)])
def test_embedding_at_the_limit_and_one_beyond(tmp_path: Path, track: str, limit: int) -> None:
    assert judge(network(dim=limit), "embedding-dim", tmp_path, track).status is Status.PASSED
    outcome = judge(network(dim=limit + 1), "embedding-dim", tmp_path, track)
    assert outcome.status is Status.FAILED
    assert f"{limit + 1} values" in outcome.measured


def test_embedding_is_measured_not_believed(tmp_path: Path) -> None:
    model = network(dim=600, declared_output=["N", "D"])
    outcome = judge(model, "embedding-dim", tmp_path)
    assert outcome.status is Status.FAILED
    assert "600" in outcome.message


def test_embedding_of_more_axes_is_counted_whole(tmp_path: Path) -> None:
    tail = [helper.make_node("Reshape", ["embedding", "to"], ["wide"])]
    model = network(
        dim=640, tail=tail, output="wide", declared_output=["N", 64, 10], constants={"to": np.array([-1, 64, 10])}
    )
    assert judge(model, "embedding-dim", tmp_path).status is Status.FAILED
    assert judge(model, "output", tmp_path).status is Status.FAILED


def test_output_as_declared(tmp_path: Path) -> None:
    assert judge(network(), "output", tmp_path).status is Status.PASSED


def test_second_output(tmp_path: Path) -> None:
    extra = [helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["N", 784])]
    outcome = judge(network(extra_outputs=extra), "output", tmp_path)
    assert outcome.status is Status.FAILED
    assert "found 2" in outcome.message


def test_double_output(tmp_path: Path) -> None:
    tail = [helper.make_node("Cast", ["embedding"], ["wide"], to=TensorProto.DOUBLE)]
    model = network(tail=tail, output="wide", output_dtype=TensorProto.DOUBLE)
    outcome = judge(model, "output", tmp_path)
    assert outcome.status is Status.PASSED
    assert "float64" in outcome.notes[0]


def test_output_that_gives_another_width_than_it_declares(tmp_path: Path) -> None:
    model = network(dim=64, declared_output=["N", 64])
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 32
    # The runtime itself refuses or warns; either way the rule must not pass.
    assert judge(model, "output", tmp_path).status is not Status.PASSED
