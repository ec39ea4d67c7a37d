"""Naming the normalising nodes, so that the organisers' checker feeds what the network expects.

It decides by the names of the first eight nodes alone; see `pytest_facechallenge.onnx_graph.server_feed`.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from pytest_facechallenge.core.facts.preprocessing import PreprocessingFacts, fits
from pytest_facechallenge.inference.batch_repair import label_of
from pytest_facechallenge.onnx_graph.server_feed import (
    NODES_READ,
    NORMALISED,
    RAW,
    SHIFTING,
    first_names,
    server_feed,
)

#: What normalises, and how the checker wants such a node's name to begin.
_KINDS = ({"Sub": "Sub", "Add": "Sub"}, {"Mul": "Mul", "Div": "Div"})


def name_normalisation(model: onnx.ModelProto, labels: Iterable[str], found: PreprocessingFacts) -> str:
    """Rename nodes where the server's choice by names is wrong and the other one is right; say what was renamed.

    Parameters
    ----------
    labels
        The label of every node of the main graph, as findings call it, in order.
    """
    mean, std, because = server_feed(first_names(model.graph))
    other = NORMALISED if because else RAW
    if found.obstacle or not found.layers or fits(found.layers, mean, std) or not fits(found.layers, *other):
        return ""
    first = list(zip(labels, model.graph.node, strict=True))[:NODES_READ]
    if because:
        renamed = [(node, f"node_{node.name}") for _, node in first if node.name.startswith(SHIFTING)]
        right = "(pixel - 127.5) / 127.5"
    else:
        through = {label for layer in found.layers for label in layer.through}
        passed = [node for label, node in first if label in through]
        chosen = [
            next(((node, kinds[node.op_type]) for node in passed if node.op_type in kinds), None) for kinds in _KINDS
        ]
        renamed = [(pair[0], f"{pair[1]}_{pair[0].name.strip('/')}") for pair in chosen if pair is not None]
        if len(renamed) != len(_KINDS):
            return ""
        right = "pixels of 0..255"
    said = []
    for node, name in renamed:
        old = node.name
        node.name = _free(model, name)
        said.append(f"{old!r} is now {node.name!r}")
    return f"{', '.join(said)}: the organisers' checker feeds {right}" if said else ""


def labels_of(model: onnx.ModelProto) -> list[str]:
    """Return how findings call every node of the main graph."""
    return [label_of(node, index) for index, node in enumerate(model.graph.node)]


def _free(model: onnx.ModelProto, name: str) -> str:
    taken = {node.name for node in model.graph.node}
    while name in taken:
        name += "_"
    return name
