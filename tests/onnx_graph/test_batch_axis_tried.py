"""What a graph is said to show of its images, against what the runtime does with single operators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_facechallenge.onnx_graph.batch_axis import follow
from pytest_facechallenge.onnx_graph.ir import from_model

Array = npt.NDArray[Any]
IMAGES = 4
SHAPE = (4, 2, 4)
ROWS = np.linspace(1, 2, 4, dtype=np.float32).reshape(4, 1, 1, 1)
AXES: tuple[dict[str, Any], ...] = tuple({"axes": axes} for axes in ([0], [1], [2, 3], [-1], [-4], [0, 2, 3]))
AXIS: tuple[dict[str, Any], ...] = tuple({"axis": axis} for axis in (0, 1, -1, -4))
EQUATIONS: tuple[dict[str, Any], ...] = tuple(
    {"equation": equation} for equation in ("nchw,nchw->nchw", "nchw,mchw->nchw", "nchw,mchw->mchw", "nchw,kchw->nk")
)

#: Operator, the settings that are tried, and what is given beside the image ("" for the images once more).
OPERATORS: list[tuple[str, tuple[dict[str, Any], ...], tuple[Array | str, ...]]] = [
    *((op, ({},), (ROWS,)) for op in ("Add", "Mul", "Div", "Pow", "PRelu", "Max", "Greater")),
    *((op, ({},), (ROWS[:1],)) for op in ("Add", "PRelu", "Sub")),
    *((op, EQUATIONS, (other,)) for op in ("Einsum",) for other in (ROWS * np.ones((4, *SHAPE), np.float32), "")),
    *((op, AXES, ()) for op in ("MeanVarianceNormalization", "ReduceMean", "ReduceMax", "ReduceL2")),
    *((op, AXIS, ()) for op in ("Softmax", "Hardmax", "LpNormalization", "ArgMax")),
    *((op, tuple(one for one in AXIS if one["axis"] >= 0), ()) for op in ("Flatten",)),
    ("Concat", AXIS, ("",)),
    ("CumSum", ({},), (np.array(0),)),
    ("CumSum", ({},), (np.array(2),)),
    ("Gather", AXIS, (np.array([0]),)),
    ("MatMul", ({},), (np.ones((4, 3), np.float32),)),
    ("Pad", ({},), (np.array([1, 0, 0, 0, 0, 0, 0, 0]),)),
    ("Reshape", ({},), (np.array([-1, 32]),)),
    ("Reshape", ({},), (np.array([1, -1]),)),
    ("Reshape", ({},), (np.array([-1, 8]),)),
    ("ReduceSum", ({}, {"keepdims": 0}), ()),
    ("Slice", ({},), (np.array([1]), np.array([9]), np.array([0]))),
    ("Slice", ({},), (np.array([1]), np.array([9]), np.array([1]))),
    ("Squeeze", ({},), ()),
    ("Tile", ({},), (np.array([2, 1, 1, 1]),)),
    ("Tile", ({},), (np.array([1, 1, 2, 1]),)),
    ("Transpose", ({}, {"perm": [1, 0, 2, 3]}, {"perm": [0, 3, 1, 2]}), ()),
    ("Unsqueeze", ({},), (np.array([0]),)),
    ("Relu", ({},), ()),
    ("GlobalAveragePool", ({},), ()),
]
TRIED = [(op, how, others) for op, ways, others in OPERATORS for how in ways]


def model(op: str, how: dict[str, Any], others: tuple[Array | str, ...]) -> Any:
    names = ["images" if isinstance(other, str) else f"stored{at}" for at, other in enumerate(others)]
    stored = [
        numpy_helper.from_array(other, name)
        for name, other in zip(names, others, strict=True)
        if not isinstance(other, str)
    ]
    node = helper.make_node(op, ["images", *names], ["result"], "node", **how)
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", *SHAPE])
    graph = helper.make_graph([node], "one", [given], [helper.make_empty_tensor_value_info("result")], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def keeps_apart(session: onnxruntime.InferenceSession) -> bool:
    """Return whether images give a row each, which depends on no other one and not on how many there are."""
    random = np.random.default_rng(0)
    images = random.standard_normal((IMAGES, *SHAPE)).astype(np.float32)
    others = np.concatenate([images[:1], 3 * random.standard_normal((IMAGES - 1, *SHAPE)).astype(np.float32)])
    try:
        one, both, again = (session.run(None, {"images": each})[0] for each in (images[:1], images, others))
    except Exception:  # it does not run at every size: the runtime's own types
        return False
    if one.ndim == 0 or both.ndim == 0 or both.shape != (IMAGES, *one.shape[1:]) or len(one) != 1:
        return False
    return bool(np.allclose(one, both[:1], atol=1e-5) and np.allclose(both[:1], again[:1], atol=1e-5))


@pytest.mark.parametrize(("op", "how", "others"), TRIED, ids=[f"{op}-{at}" for at, (op, *_) in enumerate(TRIED)])
def test_what_is_said_to_keep_images_apart_does(op: str, how: dict[str, Any], others: tuple[Array | str, ...]) -> None:
    made = model(op, how, others)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    if follow(from_model(made, Path())).apart:
        assert keeps_apart(session)


def test_most_of_what_keeps_images_apart_is_said_to() -> None:
    """Or the test above could not fail."""
    kept = [follow(from_model(model(*each), Path())).apart for each in TRIED]
    assert sum(kept) >= len(TRIED) // 4
    assert not all(kept)
