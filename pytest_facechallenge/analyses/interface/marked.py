"""Nodes that keep a batch from being a batch of single images: baked sizes, statistics over rows, random numbers."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_facechallenge.core.facts.interface import BakedReshape, MarkedNode
from pytest_facechallenge.core.text import clean
from pytest_facechallenge.onnx_graph.ir import Graph, GraphError, Node
from pytest_facechallenge.onnx_graph.open_shapes import infer_open

#: More nodes of a kind are not listed.
MOST = 50
_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
#: Opsets since which BatchNormalization and Dropout say by an attribute or an input that they are being trained.
_BATCH_NORM_ATTRIBUTE, _OLD_MODE, _DROPOUT_INPUT = 14, 7, 12


def mixing(graph: Graph) -> tuple[MarkedNode, ...]:
    """Return the nodes that compute with statistics of the whole batch."""
    return tuple(each for each in map(_mixes, graph.walk()) if each is not None)[:MOST]


def random(graph: Graph) -> tuple[MarkedNode, ...]:
    """Return the nodes that draw random numbers."""
    return tuple(each for each in map(_draws, graph.walk()) if each is not None)[:MOST]


def _mixes(node: Node) -> MarkedNode | None:
    if node.domain:
        return None
    if node.op == "DynamicQuantizeLinear":
        return MarkedNode(node=node.label, op=node.op, why="takes its scale from all rows of the batch")
    if node.op == "BatchNormalization" and _is_trained(node):
        return MarkedNode(
            node=node.label,
            op=node.op,
            why="is in training mode and normalises by the statistics of the batch",
            depends_on_runtime=_OLD_MODE <= node.opset < _BATCH_NORM_ATTRIBUTE,
        )
    return None


def _is_trained(node: Node) -> bool:
    if node.opset >= _BATCH_NORM_ATTRIBUTE:
        return bool(node.attributes.get("training_mode", 0))
    if node.opset < _OLD_MODE:
        return not node.attributes.get("is_test", 0)
    return sum(1 for name in node.outputs if name) > 1


def _draws(node: Node) -> MarkedNode | None:
    if node.domain:
        return None
    if node.op in _RANDOM:
        return MarkedNode(node=node.label, op=node.op, why="draws random numbers")
    if node.op != "Dropout":
        return None
    if node.opset >= _DROPOUT_INPUT:
        mode = node.constant(2)
        trained = mode is not None and bool(mode.any())
    else:
        trained = node.opset < _OLD_MODE and not node.attributes.get("is_test", 0)
    if not trained:
        return None
    return MarkedNode(node=node.label, op=node.op, why="is in training mode and drops values at random")


def baked(graph: Graph, batch: int) -> tuple[BakedReshape, ...]:
    """Return the Reshape nodes of the main graph whose constant holds a batch.

    Parameters
    ----------
    batch
        The fixed batch of the input; 0 when it is symbolic.
    """
    return tuple(_baked(graph, batch))[:MOST]


def _baked(graph: Graph, batch: int) -> Iterator[BakedReshape]:
    found = [node for node in graph.nodes if node.op == "Reshape" and not node.domain and len(node.inputs) == 2]
    seen = _from_image(graph) if found else frozenset()
    shapes: dict[str, tuple[int | None, ...]] | None = None
    for node in found:
        tensor = graph.constant(node.inputs[1])
        if tensor is None or node.inputs[0] not in seen or tensor.external:
            continue
        extents = [int(extent) for extent in tensor.array().ravel()]
        if not extents or extents[0] not in {1, batch} - {0}:
            continue
        shapes = _shapes(graph) if shapes is None else shapes
        shape = shapes.get(node.inputs[0])
        if shape and shape[0] not in (None, 1, batch):
            continue
        yield BakedReshape(
            node=node.label,
            constant=tensor.where,
            extents=tuple(extents),
            input=None if shape is None else tuple(-1 if extent is None else extent for extent in shape),
            source=_source(node),
        )


def _shapes(graph: Graph) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes that hold for every batch; none where they cannot be inferred: the nodes are told without."""
    try:
        return infer_open(graph)
    except GraphError:
        return {}


def _source(node: Node) -> str:
    """Return the last line of code that torch's exporters noted beside the node, cut to a line."""
    noted = [entry.value for entry in node.proto.metadata_props if entry.key.endswith("stack_trace")]
    lines = [line.strip() for text in (*noted, node.proto.doc_string) for line in text.splitlines() if line.strip()]
    places = [at for at, line in enumerate(lines) if line.startswith("File ") or ".py(" in line]
    if not places:
        return ""
    return clean(" ".join(lines[places[-1] : places[-1] + 2]), 200)


def _from_image(graph: Graph) -> frozenset[str]:
    """Return the values of the main graph that are computed from its inputs, sizes alone excepted."""
    seen = set(graph.inputs)
    for node in graph.nodes:
        if node.op not in ("Shape", "Size") and seen.intersection(node.inputs):
            seen.update(node.outputs)
    return frozenset(seen)
