"""Writing an older opset: only where every operator of the file has the same meaning there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import onnx
from onnx import defs

#: Operators whose newer definitions added element types or the attributes named, and nothing else; the attributes with
#: the value that means what the older definition does. Checked against the changes of onnx's operator list.
SAME: Mapping[str, Mapping[str, int]] = {
    "Add": {}, "Sub": {}, "Mul": {}, "Div": {}, "Pow": {}, "Relu": {}, "PRelu": {}, "LeakyRelu": {}, "Sigmoid": {},
    "Identity": {}, "Flatten": {}, "Transpose": {}, "Concat": {}, "Gemm": {}, "MatMul": {}, "Conv": {},
    "GlobalAveragePool": {}, "MaxPool": {}, "Constant": {}, "Sqrt": {}, "Exp": {}, "Abs": {}, "Clip": {},
    "BatchNormalization": {"training_mode": 0}, "Reshape": {"allowzero": 0}, "Dropout": {}, "Unsqueeze": {},
    "Squeeze": {},
}  # fmt: skip


def lower_opset(model: onnx.ModelProto, newest: int) -> str:
    """Write opset ``newest`` in place where all means the same; return what was changed, "" when nothing was."""
    entries = [entry for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(entries) != 1 or entries[0].version <= newest or model.functions:
        return ""
    old = entries[0].version
    if not all(_means_the_same(node, old, newest) for node in model.graph.node):
        return ""
    for node in model.graph.node:
        dropped = SAME.get(node.op_type, {})
        kept = [attribute for attribute in node.attribute if attribute.name not in dropped]
        if len(kept) != len(node.attribute):
            del node.attribute[:]
            node.attribute.extend(kept)
    entries[0].version = newest
    return f"opset {newest} in place of {old}"


def _means_the_same(node: onnx.NodeProto, old: int, newest: int) -> bool:
    if node.domain not in ("", "ai.onnx") or any(each.HasField("g") or each.graphs for each in node.attribute):
        return False
    versions = _versions().get(node.op_type, ())
    current = max((version for version in versions if version <= old), default=0)
    if not current:
        return False
    if current <= newest:
        return True
    usual = SAME.get(node.op_type)
    if usual is None or min(versions) > newest:
        return False
    return all(each.i == usual[each.name] for each in node.attribute if each.name in usual)


@cache
def _versions() -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for schema in defs.get_all_schemas_with_history():
        if not schema.domain:
            found.setdefault(schema.name, set()).add(schema.since_version)
    return {name: tuple(sorted(versions)) for name, versions in found.items()}
