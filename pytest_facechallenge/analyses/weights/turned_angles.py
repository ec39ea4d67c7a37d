"""Cosines and sines of stored angles that turn features in place, as rotary positions do.

Both together are one number for each angle, a complex one of size 1: what they meet is multiplied by them place by
place, and the two products are added. As matrices, or one behind the other, they are two tables.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytest_facechallenge.analyses.weights.flows import Event, Sink
from pytest_facechallenge.onnx_graph.ir import Graph

#: Operators that bring a table to the layout of the features.
LAYOUT = frozenset({"Unsqueeze", "Squeeze", "Reshape", "Transpose", "Expand", "Identity", "Cast", "Concat", "Slice"})


def turning(graph: Graph, events: Iterable[Event], sinks: Iterable[Sink]) -> list[Event]:
    """Return an event for each table of angles where cosine and sine of each turn features in place; else none."""
    tables: dict[str, dict[str, set[int]]] = {}
    cosines: dict[str, Event] = {}
    for event in events:
        node = graph.producers.get(event.value)
        if event.kind != "packed" or node is None or node.op not in ("Cos", "Sin"):
            return []
        sums = _sums(graph, event.value)
        if not sums:
            return []
        tables.setdefault(node.inputs[0], {}).setdefault(node.op, set()).update(sums)
        if node.op == "Cos":
            cosines.setdefault(node.inputs[0], event)
    in_place = all(sink.op == "Mul" and not sink.learned for sink in sinks)
    pairs = all(by.get("Cos") == by.get("Sin") for by in tables.values())
    return list(cosines.values()) if in_place and pairs else []


def _sums(graph: Graph, name: str) -> set[int]:
    """Return the sums and differences that take up the products with a table; none where a product goes elsewhere."""
    found: set[int] = set()
    pending = [name]
    while pending:
        for node in graph.consumers.get(pending.pop(), ()):
            if node.op in LAYOUT:
                pending += [output for output in node.outputs if output]
                continue
            behind = list(graph.consumers.get(node.outputs[0], ())) if node.op == "Mul" else []
            if not behind or any(each.op not in ("Add", "Sub") for each in behind):
                return set()
            found.update(each.index for each in behind)
    return found
