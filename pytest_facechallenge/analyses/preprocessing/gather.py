"""The step ``preprocessing``."""

from __future__ import annotations

import numpy as np
import onnx

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.preprocessing.follow import FEW, Image, follow
from pytest_facechallenge.analyses.preprocessing.layers import is_layer, of_the_image
from pytest_facechallenge.core.facts.preprocessing import SELF_SCALING, Channel, FirstLayer, PreprocessingFacts
from pytest_facechallenge.onnx_graph.ir import Graph, Node
from pytest_facechallenge.onnx_graph.operators import Along, Kind
from pytest_facechallenge.onnx_graph.server_feed import first_names, server_feed

#: So many first layers are listed; a graph with more takes the image in in parts.
MAX_LAYERS = 8


def gather(context: Context) -> PreprocessingFacts:
    """Follow the pixels, and say what the server will feed.

    Raises
    ------
    GraphError
        The model cannot be read as a graph.
    """
    names = first_names(context.model.graph)
    mean, std, because = server_feed(names)
    graph = context.graph
    layers: list[FirstLayer] = []
    obstacle, not_affine, unsure = "", False, ""
    axis = _channel_axis(graph)
    if isinstance(axis, str):
        obstacle = axis
    else:
        found = follow(graph, graph.inputs[0], axis)
        varying = of_the_image(graph)
        layers = [_layer(node, image) for node, image in found[:MAX_LAYERS]]
        unclear = [node for node, _ in found if _unreadable(node)]
        if not found:
            obstacle = f"no node takes the input {graph.inputs[0]!r} in as a layer"
        elif unclear:
            not_affine = True
            obstacle = f"{unclear[0].op} (node {unclear[0].label!r}) changes the pixels in a way that is not affine"
        elif mixing := [node for node, seen in found if _mixes_colours(graph, node, seen.axis)]:
            not_affine = True
            obstacle = f"{mixing[0].op} (node {mixing[0].label!r}) mixes the colours of each pixel"
        elif early := [node for node, _ in found if not (is_layer(graph, node, varying) or node.op in SELF_SCALING)]:
            unsure = f"{early[0].op} (node {early[0].label!r}) is no layer with weights yet"
    return PreprocessingFacts(
        first_names=names,
        server_mean=mean,
        server_std=std,
        server_because=because,
        layers=tuple(layers),
        normalises=any((c.gain, c.offset) != (1.0, 0.0) for layer in layers for c in layer.channels),
        obstacle=obstacle,
        not_affine=not_affine,
        unsure=unsure,
    )


def _unreadable(node: Node) -> bool:
    """Return whether the node is no first layer and yet no map of the image's channels.

    Behind one of these the scale of the pixels is another, but unknown.
    """
    pointwise = node.operator.kind in (Kind.UNARY, Kind.PAIR) or node.op == "BatchNormalization"
    return pointwise or node.operator.kind is Kind.CONTROL or bool(node.domain)


def _mixes_colours(graph: Graph, node: Node, axis: int) -> bool:
    """Return whether the node makes colours of colours: behind a colour matrix pixels are pixels, of another scale.

    So does a luma, a weighted sum over the axis of the channels.
    """
    if node.operator.along is Along.REDUCED:
        stated = node.constant(1) if len(node.inputs) > 1 else node.attributes.get("axes")
        axes = {int(each) % 4 for each in np.ravel(stated)} if stated is not None else set()
        return not axes or axis in axes  # without axes it is all of them
    if node.operator.kind not in (Kind.CONVOLUTION, Kind.PRODUCT):
        return False
    stored = (graph.constant(name) for name in node.inputs[1:])
    weights = next((tensor for tensor in stored if tensor is not None), None)
    return weights is not None and len(weights.shape) > 1 and weights.size <= FEW


def _layer(node: Node, image: Image) -> FirstLayer:
    channels = zip(image.source, image.gain.tolist(), image.offset.tolist(), strict=True)
    return FirstLayer(
        node=node.label,
        op=node.op,
        channels=tuple(Channel(source=source, gain=gain, offset=offset) for source, gain, offset in channels),
        through=image.through,
    )


def _channel_axis(graph: Graph) -> int | str:
    """Return which axis of the only input has three channels, or why that is not known."""
    if len(graph.inputs) != 1:
        return f"one input is expected, the model has {len(graph.inputs)}"
    declared: onnx.ValueInfoProto = next(value for value in graph.proto.input if value.name == graph.inputs[0])
    dims = [dim.dim_value for dim in declared.type.tensor_type.shape.dim]
    if len(dims) != 4:
        return f"the input {declared.name!r} has {len(dims)} axes; a batch of images has four"
    if dims[1] == 3 or 3 not in dims:
        return 1
    return dims.index(3)
