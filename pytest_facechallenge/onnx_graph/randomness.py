"""Nodes that draw random numbers, and whether those are part of an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_facechallenge.onnx_graph.control_flow import bound
from pytest_facechallenge.onnx_graph.operators import Along, Trait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_facechallenge.onnx_graph.ir import Graph, Node

#: Opsets since which Dropout does nothing unless told to, and since which it is told by an input.
_DROPOUT_AT_REST, _DROPOUT_INPUT = 7, 12


class Drawn(NamedTuple):
    """A node that draws random numbers, and whether they become part of an output of the model."""

    node: Node
    reaches: bool


def draws(node: Node) -> bool:
    """Return whether a node draws random numbers, seeded or not.

    Dropout does where it is in training mode, or where the graph computes whether it is.
    """
    if node.op != "Dropout" or node.domain:
        return node.operator.has(Trait.RANDOM)
    if node.opset < _DROPOUT_INPUT:
        return node.opset < _DROPOUT_AT_REST and not node.attributes.get("is_test", 0)
    if len(node.inputs) < 3 or not node.inputs[2]:
        return False
    mode, ratio = node.constant(2), node.constant(1)
    return (mode is None or bool(mode.any())) and (ratio is None or bool(ratio.any()))


def drawn(graph: Graph) -> list[Drawn]:
    """Return every node of a main graph and its subgraphs that draws random numbers."""
    found = [node for node in graph.walk() if draws(node)]
    reaching = set(_reaching(graph, set(graph.outputs))) if found else set()
    return [Drawn(node, id(node) in reaching) for node in found]


def _reaching(graph: Graph, wanted: set[str]) -> Iterator[int]:
    """Yield the nodes (by id) whose values become part of those wanted of a graph; bodies are looked into."""
    for node in reversed(graph.nodes):
        if not wanted & set(node.outputs):
            continue
        yield id(node)
        wanted |= set(_read(node))
        for body in node.subgraphs.values():
            how = bound(node, body)
            inside = {name for name, outside in how.outputs() if outside in wanted}
            inside |= {how.next_condition} | {each.made for each in how.carried}
            yield from _reaching(body, inside)
            wanted |= inside  # those of them that are values from outside


def _read(node: Node) -> tuple[str, ...]:
    """Return the inputs whose content becomes part of what a node makes, or decides it."""
    if node.operator.along in (Along.SIZES, Along.NOTHING):
        return node.inputs if node.operator.sizes else ()
    if node.op == "Mul" and not node.domain:
        for at in range(len(node.inputs)):
            factor = node.constant(at)
            if factor is not None and not np.any(factor):
                return ()
    return node.inputs
