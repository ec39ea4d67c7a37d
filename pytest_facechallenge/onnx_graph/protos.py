"""Small questions to ONNX messages that several readers of files ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterable


def count(extents: Iterable[int]) -> int:
    """Return the number of elements of a tensor with these extents."""
    product = 1
    for extent in extents:
        product *= extent
    return product


def graphs_of(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    """Return the graphs that an attribute holds: one, several, none."""
    return [attribute.g] if attribute.HasField("g") else list(attribute.graphs)


def bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the graphs inside a node."""
    return [body for attribute in node.attribute for body in graphs_of(attribute)]


def constant_tensor(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """Return what a Constant node holds, None for a form that is no dense tensor (sparse, malformed)."""
    if len(node.output) != 1 or len(node.attribute) != 1:
        return None
    attribute, name = node.attribute[0], node.output[0]
    one = not attribute.name.endswith("s")
    held: onnx.TensorProto
    match attribute.name:
        case "value" if attribute.HasField("t"):
            held = attribute.t
            return held
        case "value_float" | "value_floats":
            values = np.float32(attribute.f) if one else np.array(attribute.floats, np.float32)
            return numpy_helper.from_array(np.asarray(values), name)
        case "value_int" | "value_ints":
            # Kept as the list that the file holds: how many bytes it takes depends on its values.
            numbers = [attribute.i] if one else list(attribute.ints)
            dims = [] if one else [len(numbers)]
            return onnx.TensorProto(name=name, data_type=onnx.TensorProto.INT64, dims=dims, int64_data=numbers)
        case "value_string" | "value_strings":
            texts = [attribute.s] if one else list(attribute.strings)
            dims = [] if one else [len(texts)]
            return onnx.TensorProto(name=name, data_type=onnx.TensorProto.STRING, dims=dims, string_data=texts)
    return None
