"""Weights that are taken out of a parsed model and shared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_facechallenge.onnx_graph.held_weights import held_values, put_back, take_out
from pytest_facechallenge.onnx_graph.ir import from_model

LARGE = np.arange(2048, dtype=np.float32).reshape(32, 64)
SMALL = np.arange(8, dtype=np.float32)


def model() -> onnx.ModelProto:
    nodes = [helper.make_node("MatMul", ["x", "large"], ["y"]), helper.make_node("Add", ["y", "small"], ["z"])]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 32])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    weights = [numpy_helper.from_array(LARGE, "large"), numpy_helper.from_array(SMALL, "small")]
    malformed = TensorProto(name="short", data_type=TensorProto.FLOAT, dims=[4096], raw_data=b"123")
    graph = helper.make_graph(nodes, "net", [x], [z], [*weights, malformed], doc_string="about it")
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests")
    made.metadata_props.add(key="a", value="b")
    return made


def test_large_weights_leave_the_model_and_nothing_else_does() -> None:
    lean, held = take_out(model())
    assert [len(held.arrays), lean.ByteSize() < 1000] == [1, True]
    whole = onnx.ModelProto()
    whole.CopyFrom(lean)
    del whole.graph.initializer[:]
    whole.graph.initializer.extend(put_back(tensor) for tensor in lean.graph.initializer)
    assert whole.SerializeToString() == model().SerializeToString()


def test_a_graph_reads_what_was_taken_out() -> None:
    lean, held = take_out(model())
    large = from_model(lean, Path()).constants["large"].array()
    assert np.array_equal(large, LARGE)
    assert np.shares_memory(large, next(iter(held.arrays.values())))
    assert not large.flags.writeable


def test_copies_of_the_model_share_its_weights() -> None:
    lean, held = take_out(model())
    copied = onnx.ModelProto()
    copied.CopyFrom(lean)
    again, more = take_out(copied)
    assert np.shares_memory(next(iter(more.arrays.values())), next(iter(held.arrays.values())))
    values = held_values(again.graph.initializer[0])
    assert values is not None
    assert np.array_equal(values, LARGE)


def test_weights_live_as_long_as_who_holds_them() -> None:
    lean, held = take_out(model())
    del held
    with pytest.raises(LookupError, match="'large' were let go of"):
        held_values(lean.graph.initializer[0])


def test_a_file_cannot_name_weights_in_memory() -> None:
    _lean, held = take_out(model())
    drawn = next(iter(held.arrays)).split()[2]
    stranger = TensorProto(name="large", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    stranger.external_data.add(key="location", value=next(iter(held.arrays)).replace(drawn, "0" * len(drawn)))
    assert held_values(stranger) is None
