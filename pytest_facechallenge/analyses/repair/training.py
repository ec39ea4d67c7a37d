"""Setting nodes that are in training mode to inference."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: Opsets since which an attribute of BatchNormalization, and an input of Dropout, say that they are being trained;
#: before opset 7 both have the attribute is_test.
_BATCH_NORM_ATTRIBUTE, _DROPOUT_INPUT, _WITHOUT_IS_TEST = 14, 12, 7


def set_to_inference(model: onnx.ModelProto) -> list[int]:
    """Set BatchNormalization and Dropout of the main graph to inference, in place; return which nodes were changed."""
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    stored |= {
        node.output[0]: attribute.t
        for node in model.graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    changed = []
    for index, node in enumerate(model.graph.node):
        if node.domain not in ("", "ai.onnx") or not _is_trained(node, opset, stored):
            continue
        kept = [each for each in node.attribute if each.name not in ("training_mode", "is_test")]
        del node.attribute[:]
        node.attribute.extend(kept)
        if opset < _WITHOUT_IS_TEST:
            node.attribute.append(helper.make_attribute("is_test", 1))
        del node.output[1:]
        if node.op_type == "Dropout":
            del node.input[2:]
        changed.append(index)
    return changed


def _is_trained(node: onnx.NodeProto, opset: int, stored: dict[str, onnx.TensorProto]) -> bool:
    numbers = {each.name: each.i for each in node.attribute}
    if node.op_type not in ("BatchNormalization", "Dropout"):
        return False
    if opset < _WITHOUT_IS_TEST:
        return not numbers.get("is_test", 0)
    if node.op_type == "BatchNormalization":
        if opset >= _BATCH_NORM_ATTRIBUTE:
            return bool(numbers.get("training_mode", 0))
        return sum(1 for name in node.output if name) > 1
    mode = stored.get(node.input[2]) if opset >= _DROPOUT_INPUT and len(node.input) > 2 else None
    return mode is not None and bool(np.any(numpy_helper.to_array(mode)))
