"""The timed runs embed different images, and a network that does less for a single one is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from pytest_facechallenge.analyses.latency.input_cycling import UNLIKE, InputCycle, row_difference
from pytest_facechallenge.inference.session import Session
from tests.support.models import network, save

IMAGES = np.random.default_rng(0).random((3, 3, 112, 112), np.float32)


def cycle(path: Path, *tail: onnx.NodeProto, **constants: np.ndarray) -> InputCycle:
    model = network(tail=tail, output="out" if tail else "embedding", constants=constants, opset=13, ir_version=7)
    return InputCycle(Session(save(model, path / "m.onnx"), "cpu", 1), IMAGES)


def test_images_take_turns_and_an_honest_network_embeds_them_as_in_a_batch(tmp_path: Path) -> None:
    turns = cycle(tmp_path)
    for _ in range(4):
        turns()
    first, second, third = (row for row in turns.rows if row is not None)
    assert not np.allclose(first, second)
    assert not np.allclose(second, third)
    assert 0 <= turns.difference() < 1e-5


def test_a_network_that_does_less_for_a_single_image_is_seen(tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info("v", TensorProto.FLOAT, None)]
    branches = {
        "then_branch": helper.make_graph([helper.make_node("Relu", ["embedding"], ["v"])], "alone", [], values),
        "else_branch": helper.make_graph([helper.make_node("Identity", ["embedding"], ["v"])], "many", [], values),
    }
    turns = cycle(
        tmp_path,
        helper.make_node("Shape", ["input"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["count"]),
        helper.make_node("Equal", ["count", "one"], ["single"]),
        helper.make_node("If", ["single"], ["out"], "gate", **branches),
        first=np.array(0, np.int64),
        one=np.array(1, np.int64),
    )
    for _ in IMAGES:
        turns()
    assert turns.difference() > 0.1


def test_differences_of_rows() -> None:
    batch = np.array([[1.0, 2.0], [4.0, -8.0]])
    assert row_difference([batch[:1], batch[1:]], batch) == 0.0
    assert row_difference([batch[:1], np.array([[4.0, -6.0]])], batch) == 0.25
    assert row_difference([None, batch[1:]], batch) == 0.0
    assert row_difference([batch[:1], np.array([[np.nan, 0.0]])], batch) == UNLIKE
    assert row_difference([batch[:1], batch[1:]], np.ones((1, 2))) == -1.0
    assert row_difference([None, None], batch) == -1.0


def test_a_model_that_takes_no_batch_is_not_compared(tmp_path: Path) -> None:
    turns = cycle(tmp_path, helper.make_node("Reshape", ["embedding", "one"], ["out"]), one=np.array([1, 64]))
    turns()
    assert turns.difference() == -1.0
