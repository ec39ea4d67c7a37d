"""Copies of graphs without the bytes of big weights, so that looking at a 250 MB model costs little."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import numpy_helper
from onnx.checker import ValidationError

from pytest_facechallenge.onnx_graph.protos import count

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_facechallenge.onnx_graph.ir import Graph

#: Tensors with more elements than this lose their bytes; shape calculations use far smaller ones.
KEEP = 1024


def is_big(tensor: onnx.TensorProto) -> bool:
    """Return whether a stripped copy leaves this tensor's bytes out."""
    return count(tensor.dims) > KEEP


def is_hollow(tensor: onnx.TensorProto) -> bool:
    """Return whether the bytes of this tensor of a stripped copy were left out."""
    return tensor.data_location == onnx.TensorProto.EXTERNAL


def stripped_tensor(tensor: onnx.TensorProto, folder: Path) -> onnx.TensorProto:
    """Return the tensor; a big one as a hollow shell with name, type and shape, marked as stored elsewhere.

    A small one that really is stored elsewhere is read from ``folder``, or becomes hollow when it cannot be.
    """
    if not is_big(tensor):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            return tensor
        try:
            return numpy_helper.from_array(numpy_helper.to_array(tensor, base_dir=str(folder)), tensor.name)
        except (OSError, ValueError, TypeError, KeyError, ValidationError):
            pass  # whoever needs the content reports that it is missing; here only shapes count
    return onnx.TensorProto(
        name=tensor.name,
        data_type=tensor.data_type,
        dims=tensor.dims,
        data_location=onnx.TensorProto.EXTERNAL,
        external_data=[onnx.StringStringEntryProto(key="location", value="left-out")],
    )


def stripped_graph(graph: onnx.GraphProto, folder: Path) -> onnx.GraphProto:
    """Return a copy with hollow big tensors and without declared shapes of intermediates, subgraphs included."""
    copy = onnx.GraphProto(name=graph.name or "graph", input=graph.input, output=graph.output)
    for entry in copy.output:
        if entry.type.HasField("tensor_type"):
            entry.type.tensor_type.ClearField("shape")
    copy.sparse_initializer.extend(graph.sparse_initializer)
    copy.initializer.extend(stripped_tensor(tensor, folder) for tensor in graph.initializer)
    for node in graph.node:
        plain = all(not (a.HasField("t") or a.HasField("g") or a.graphs or a.tensors) for a in node.attribute)
        copy.node.append(node if plain else stripped_node(node, folder))
    return copy


def stripped_in_order(graph: Graph) -> onnx.GraphProto:
    """Return the stripped copy with its nodes in the order of ``graph.nodes``, Constant nodes first.

    A file may hold its nodes in any order; shape inference wants each after those that it reads from.
    """
    copy = stripped_graph(graph.proto, graph.folder)
    nodes = list(copy.node)
    listed = [node.index for node in graph.nodes]
    others = sorted(set(range(len(nodes))) - set(listed))
    del copy.node[:]
    copy.node.extend(nodes[index] for index in (*others, *listed))
    return copy


def stripped_node(node: onnx.NodeProto, folder: Path) -> onnx.NodeProto:
    """Return a copy of the node with hollow big tensors in its attributes and subgraphs."""
    copy = onnx.NodeProto(
        input=node.input, output=node.output, name=node.name, op_type=node.op_type, domain=node.domain
    )
    for attribute in node.attribute:
        if attribute.HasField("t"):
            copy.attribute.add(name=attribute.name, type=attribute.type, t=stripped_tensor(attribute.t, folder))
        elif attribute.HasField("g"):
            copy.attribute.add(name=attribute.name, type=attribute.type, g=stripped_graph(attribute.g, folder))
        elif attribute.graphs:
            graphs = [stripped_graph(graph, folder) for graph in attribute.graphs]
            copy.attribute.add(name=attribute.name, type=attribute.type, graphs=graphs)
        elif attribute.tensors:
            tensors = [stripped_tensor(tensor, folder) for tensor in attribute.tensors]
            copy.attribute.add(name=attribute.name, type=attribute.type, tensors=tensors)
        else:
            copy.attribute.append(attribute)
    return copy
