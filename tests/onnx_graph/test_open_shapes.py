from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper, parser

from pytest_facechallenge.onnx_graph import ir
from pytest_facechallenge.onnx_graph.open_shapes import ElementCounts, infer_open

MODEL = """
<ir_version: 8, opset_import: ["": 17]>
net (float[N, 3, 8, 8] x, bool c) => (y) {
    a = Conv <kernel_shape = [3, 3]> (x, w)
    t = Transpose <perm = [1, 0, 2, 3]> (w)
    y = If (c) <then_branch = one () => (p) { p = GlobalAveragePool(a) }, else_branch = two () => (q) { q = Neg(a) }>
}
"""


def graph() -> ir.Graph:
    model = parser.parse_model(MODEL)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((16, 3, 3, 3), np.float32), "w"))
    shape = model.graph.value_info.add(name="a").type.tensor_type
    shape.elem_type = 1
    shape.shape.dim.add(dim_value=7)  # what a file says of its own values is not believed
    return ir.from_model(model, Path())


def test_what_the_file_leaves_open_stays_open() -> None:
    shapes = infer_open(graph())
    assert shapes["a"] == (None, 16, 6, 6)
    assert shapes["t"] == (3, 16, 3, 3)
    assert shapes["p"] == (None, 16, 1, 1)  # inside a branch


def test_counts_are_those_that_hold_for_every_batch() -> None:
    counts = ElementCounts(graph())
    assert (counts["t"], counts["w"], counts["a"], counts["nothing"]) == (432, 432, None, None)


def test_a_graph_without_inference_is_told_from_one_without_shapes() -> None:
    main = graph()
    main.opsets = {}  # no operator has a meaning then
    with pytest.raises(ir.GraphError, match=r"shapes of its values cannot be inferred: .*opset"):
        infer_open(main)
    with pytest.raises(ir.GraphError):
        ElementCounts(main)["a"]
