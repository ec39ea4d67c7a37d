"""Giving a network that begins by transposing NHWC to NCHW the layout that the server feeds."""

from __future__ import annotations

import onnx
from onnx import helper

#: What brings [N,H,W,C] to [N,C,H,W].
_TO_CHANNELS_FIRST = [0, 3, 1, 2]


def to_channels_first(model: onnx.ModelProto) -> str:
    """Take the Transpose behind the input away and declare the input [N,3,H,W]; say what was changed, "" for nothing.

    Only where nothing but such a Transpose reads the input: then every other node computes what it did before.
    """
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) != 1:
        return ""
    name, dims = inputs[0].name, inputs[0].type.tensor_type.shape.dim
    if len(dims) != 4 or dims[3].dim_value != 3 or dims[1].dim_value == 3:
        return ""
    first = [node for node in graph.node if name in read_by(node)]
    outputs = {value.name for value in graph.output}
    if not first or not all(_transposes(node) and not outputs.intersection(node.output) for node in first):
        return ""
    made = {node.output[0] for node in first}
    if any(made & (read_by(node) - set(node.input)) for node in graph.node):  # a body reads it by this name
        return ""
    kept = [node for node in graph.node if node not in first]
    for node in kept:
        renamed = [name if each in made else each for each in node.input]
        del node.input[:]
        node.input.extend(renamed)
    del graph.node[:]
    graph.node.extend(kept)
    moved = [dims[at].SerializeToString() for at in (0, 3, 1, 2)]
    for dim, data in zip(dims, moved, strict=True):
        dim.ParseFromString(data)
    return f"the input is [N,3,H,W]; {first[0].name or 'the Transpose'!r} behind it is gone"


def _transposes(node: onnx.NodeProto) -> bool:
    order = {each.name: helper.get_attribute_value(each) for each in node.attribute}.get("perm")
    return node.op_type == "Transpose" and not node.domain and order == _TO_CHANNELS_FIRST


def read_by(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node reads, its bodies' own included."""
    found = set(node.input)
    for attribute in node.attribute:
        for body in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
            found.update(*map(read_by, body.node), (value.name for value in body.output))
    return found
