"""Which nodes are layers: what sums over channels or places with more weights than a filter or a mix of colours has."""

from __future__ import annotations

from math import prod

from pytest_facechallenge.analyses.preprocessing.follow import FEW, constant_value
from pytest_facechallenge.onnx_graph.ir import Graph, Node
from pytest_facechallenge.onnx_graph.operators import Kind


def first_layers(graph: Graph) -> list[tuple[Node, str]]:
    """Return the first layers with weights behind the input, each with the name of what it works on.

    A constant of few values scales or mixes colours, and a kernel for each channel filters: neither is a layer yet.
    """
    reached, found = {graph.inputs[0]}, []
    varying = of_the_image(graph)
    for node in graph.nodes:
        given = [name for name in node.inputs if name in reached]
        if not given or node.operator.kind is Kind.ABOUT_SHAPE:
            continue
        if is_layer(graph, node, varying):
            found.append((node, given[0]))
        else:
            reached.update(name for name in node.outputs if name)
    return found


def of_the_image(graph: Graph) -> set[str]:
    """Return the names of all values that depend on what is in the image."""
    varying = {graph.inputs[0]}
    for node in graph.nodes:
        if varying.intersection(node.inputs) and node.operator.kind is not Kind.ABOUT_SHAPE:
            varying.update(name for name in node.outputs if name)
    return varying


def is_layer(graph: Graph, node: Node, varying: set[str]) -> bool:
    """Return whether a node sums over channels or places with more than a few weights, stored or computed of stored.

    Parameters
    ----------
    varying
        See `of_the_image`.
    """
    if node.operator.kind not in (Kind.CONVOLUTION, Kind.PRODUCT, Kind.RECURRENT):
        return False
    shapes = [_shape(graph, name) for name in node.inputs if name and name not in varying]
    shapes = [shape for shape in shapes if shape is None or len(shape) > 1]
    if not shapes or all(shape is not None and prod(shape) <= FEW for shape in shapes):
        return False
    first = shapes[0]
    for_each_channel = first is not None and first[1] == 1 and node.attributes.get("group", 1) > 1
    return not (node.operator.kind is Kind.CONVOLUTION and for_each_channel)


def _shape(graph: Graph, name: str) -> tuple[int, ...] | None:
    """Return the shape of a weight; None for one that is computed and cannot be worked out here."""
    tensor = graph.constant(name)
    if tensor is not None:
        return tuple(tensor.shape)
    values = constant_value(graph, name)
    return None if values is None else values.shape
