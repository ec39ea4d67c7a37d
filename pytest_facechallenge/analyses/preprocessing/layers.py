"""Which nodes are layers: what sums over channels or places with more weights than a filter or a mix of colours has."""

from __future__ import annotations

from pytest_facechallenge.analyses.preprocessing.follow import FEW
from pytest_facechallenge.onnx_graph.ir import Graph, Node
from pytest_facechallenge.onnx_graph.operators import Kind


def first_layers(graph: Graph) -> list[tuple[Node, str]]:
    """Return the first layers with weights behind the input, each with the name of what it works on.

    A constant of few values scales or mixes colours, and a kernel for each channel filters: neither is a layer yet.
    """
    reached, found = {graph.inputs[0]}, []
    for node in graph.nodes:
        given = [name for name in node.inputs if name in reached]
        if not given or node.operator.kind is Kind.ABOUT_SHAPE:
            continue
        if is_layer(graph, node):
            found.append((node, given[0]))
        else:
            reached.update(name for name in node.outputs if name)
    return found


def is_layer(graph: Graph, node: Node) -> bool:
    """Return whether a node sums over channels or places with more than a few weights."""
    if node.operator.kind not in (Kind.CONVOLUTION, Kind.PRODUCT, Kind.RECURRENT):
        return False
    sizes = [
        tensor for name in node.inputs[1:] if (tensor := graph.constant(name)) is not None and len(tensor.shape) > 1
    ]
    if not sizes or max(tensor.size for tensor in sizes) <= FEW:
        return False
    return not (
        node.operator.kind is Kind.CONVOLUTION and sizes[0].shape[1] == 1 and node.attributes.get("group", 1) > 1
    )
