"""Writing an older opset: only where every operator of the file has the same meaning there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import defs, helper, numpy_helper


@dataclass(frozen=True)
class Same:
    """An operator whose newer definitions added element types or the attributes named, and nothing else.

    Attributes
    ----------
    since
        The oldest opset whose definition means the same.
    neutral
        Attributes that were added, each with the value that means what the older definition does (None: none does); a
        list stands for a list of any length of that one value.
    most_inputs
        Inputs that the older definition has; 0 where newer ones added none.
    """

    since: int
    neutral: Mapping[str, Any] = field(default_factory=dict)
    most_inputs: int = 0


#: Read off the history of onnx's operator list, https://github.com/onnx/onnx/blob/main/docs/Changelog.md.
SAME: Mapping[str, Same] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "PRelu", "Pow"), Same(7)),
    **dict.fromkeys(("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Sqrt", "Exp", "Log", "Abs", "Neg", "Elu"), Same(6)),
    **dict.fromkeys(("Softplus", "Softsign", "Selu", "HardSigmoid", "Reciprocal", "Floor", "Ceil"), Same(6)),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "Transpose", "Identity"), Same(1)),
    **dict.fromkeys(("MatMul", "Where", "Expand", "ConstantOfShape", "Tile", "Erf"), Same(9)),
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "Concat", "Flatten", "Clip", "Gather", "Equal"), Same(11)),
    **dict.fromkeys(("Squeeze", "Unsqueeze", "Slice", "Softmax", "LogSoftmax", "ReduceSum"), Same(13)),
    "BatchNormalization": Same(9, {"training_mode": 0}),
    "InstanceNormalization": Same(6),
    "MaxPool": Same(11),
    "AveragePool": Same(11, {"dilations": [1]}),
    "Reshape": Same(5, {"allowzero": 0}),
    "Constant": Same(12),
    "Dropout": Same(12),
    "Cast": Same(9, {"saturate": 1}),
    "Shape": Same(1, {"start": 0, "end": None}),
    "Split": Same(13, {"num_outputs": None}),
    "Pad": Same(11, most_inputs=3),
}

#: Reductions that take their axes as an input since opset 18, and as an attribute before.
_REDUCTIONS = frozenset({
    "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp",
})  # fmt: skip
_AXES_AS_INPUT, _REDUCTIONS_SINCE = 18, 11


def lower_opset(model: onnx.ModelProto, newest: int) -> str:
    """Write opset ``newest`` in place where all means the same; return what was changed, "" when nothing was."""
    entries = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(entries) != 1 or entries[0].version <= newest or model.functions:
        return ""
    old = entries[0].version
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    if not all(_means_the_same(node, old, newest, stored) for node in model.graph.node):
        return ""
    for node in model.graph.node:
        _write_older(node, old, newest, stored)
    entries[0].version = newest
    return f"opset {newest} in place of {old}"


def _means_the_same(node: onnx.NodeProto, old: int, newest: int, stored: Mapping[str, onnx.TensorProto]) -> bool:
    if node.domain not in ("", "ai.onnx") or any(each.HasField("g") or each.graphs for each in node.attribute):
        return False
    current = max((version for version in _versions().get(node.op_type, ()) if version <= old), default=0)
    if not current:
        return False
    if current <= newest:
        return True
    if _axes_move(node, old, newest):
        return _axes(node, stored) is not None and newest >= _REDUCTIONS_SINCE
    usual = SAME.get(node.op_type)
    if usual is None or usual.since > newest:
        return False
    if usual.most_inputs and len(node.input) > usual.most_inputs:
        return False
    given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if given.get("mode") == b"wrap":  # of Pad, since opset 19
        return False
    return all(_is_neutral(given[name], value) for name, value in usual.neutral.items() if name in given)


def _is_neutral(given: Any, value: Any) -> bool:
    return all(each == value[0] for each in given) if isinstance(value, list) else bool(given == value)


def _axes_move(node: onnx.NodeProto, old: int, newest: int) -> bool:
    return node.op_type in _REDUCTIONS and old >= _AXES_AS_INPUT > newest


def _axes(node: onnx.NodeProto, stored: Mapping[str, onnx.TensorProto]) -> list[int] | None:
    """Return the axes of a reduction, none for all of them; None where a node computes them or none means no axis."""
    if len(node.input) < 2 or not node.input[1]:
        return None if any(each.name == "noop_with_empty_axes" and each.i for each in node.attribute) else []
    tensor = stored.get(node.input[1])
    if tensor is None:
        return None
    return [int(axis) for axis in np.atleast_1d(numpy_helper.to_array(tensor))] or None


def _write_older(node: onnx.NodeProto, old: int, newest: int, stored: Mapping[str, onnx.TensorProto]) -> None:
    dropped = set(SAME[node.op_type].neutral) if node.op_type in SAME else set()
    if _axes_move(node, old, newest):
        axes = _axes(node, stored)
        dropped = {"noop_with_empty_axes"}
        del node.input[1:]
        if axes:
            node.attribute.append(helper.make_attribute("axes", axes))
    kept = [attribute for attribute in node.attribute if attribute.name not in dropped]
    if len(kept) != len(node.attribute):
        del node.attribute[:]
        node.attribute.extend(kept)


@cache
def _versions() -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for schema in defs.get_all_schemas_with_history():
        if not schema.domain:
            found.setdefault(schema.name, set()).add(schema.since_version)
    return {name: tuple(sorted(versions)) for name, versions in found.items()}
