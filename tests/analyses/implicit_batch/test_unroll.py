"""Control flow is taken out without changing what the model computes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, parser

from pytest_facechallenge.analyses.implicit_batch.runner import Runner
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.implicit_batch.unroll import UnrollError, unroll

X = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)

LOOP = """
<ir_version: 8, opset_import: ["": 17]>
net (float[N,3,2,2] x) => (float[N,3,2,2] y, float[M,N,3,2,2] all)
<int64 n = {3}, bool go = {1}, float two = {2.0}>
{
  y, all = Loop <body = step (int64 i, bool c, float[N,3,2,2] a) => (bool c2, float[N,3,2,2] b, float[N,3,2,2] s) {
    c2 = Identity (c)
    k = Cast <to = 1> (i)
    b0 = Mul (a, two)
    b = Add (b0, k)
    s = Neg (b)
  }> (n, go, x)
}
"""

SCAN = """
<ir_version: 8, opset_import: ["": 17]>
net (float[N,3,2,2] x) => (float[N,2,2] last, float[N,2,2,3] sums)
<float zero = {0.0}>
{
  first = ReduceMin <axes = [1], keepdims = 0> (x)
  start = Mul (first, zero)
  last, sums = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [3], scan_input_directions = [1],
    body = step (float[N,2,2] a, float[N,2,2] v) => (float[N,2,2] b, float[N,2,2] s) {
      b = Add (a, v)
      s = Identity (b)
    }> (start, x)
}
"""

IF = """
<ir_version: 8, opset_import: ["": 17]>
net (float[N,3,2,2] x) => (float[N,3,2,2] y)
<float half = {0.5}>
{
  mean = ReduceMean <keepdims = 0> (x)
  bright = Greater (mean, half)
  y = If (bright) <
    then_branch = yes () => (float[N,3,2,2] a) { a = Neg (x) },
    else_branch = no () => (float[N,3,2,2] b) { b = Identity (x) }>
}
"""


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    names = [value.name for value in model.graph.output]
    values = Runner(model, names)({"x": X})
    return [np.asarray(values[name]) for name in names]


@pytest.mark.parametrize("text", [LOOP, SCAN], ids=["loop", "scan"])
def test_unrolled_model_computes_the_same(text: str) -> None:
    model = parser.parse_model(text)
    expected = run(model)
    flat = unroll(model, {"x": X}, limits=DEFAULTS).model
    assert not {"Loop", "Scan", "If"} & {node.op_type for node in flat.graph.node}
    for one, other in zip(expected, run(flat), strict=True):
        np.testing.assert_array_equal(one, other)


def test_loop_gives_one_node_per_iteration() -> None:
    flat = unroll(parser.parse_model(LOOP), {"x": X}, limits=DEFAULTS).model
    names = [node.name for node in flat.graph.node if node.op_type == "Mul"]
    assert len(names) == 3
    assert len(set(names)) == 3


def test_condition_on_the_image_is_a_choice() -> None:
    model = parser.parse_model(IF)
    flat = unroll(model, {"x": X}, limits=DEFAULTS)
    assert len(flat.conditions) == 1
    taken = unroll(model, {"x": X}, {flat.conditions[0]: False}, limits=DEFAULTS)
    np.testing.assert_array_equal(run(flat.model)[0], -X)
    np.testing.assert_array_equal(run(taken.model)[0], X)


def test_a_loop_without_end_is_refused() -> None:
    text = LOOP.replace("int64 n = {3}", "int64 n = {100000}")
    with pytest.raises(UnrollError, match="more than 256 times"):
        unroll(parser.parse_model(text), {"x": X}, limits=DEFAULTS)


def test_sequence_map_is_unrolled() -> None:
    body = helper.make_graph(
        [helper.make_node("Neg", ["item"], ["out"])],
        "body",
        [helper.make_tensor_value_info("item", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )
    graph = helper.make_graph(
        [
            helper.make_node("SequenceConstruct", ["x", "x"], ["pair"]),
            helper.make_node("SequenceMap", ["pair"], ["mapped"], body=body),
            helper.make_node("ConcatFromSequence", ["mapped"], ["y"], axis=0),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    flat = unroll(model, {"x": X}, limits=DEFAULTS).model
    assert [node.op_type for node in flat.graph.node].count("Neg") == 2
    np.testing.assert_array_equal(run(flat)[0], -np.concatenate([X, X]))
