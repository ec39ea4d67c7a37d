"""Sums of products written out term by term, as Add of Add of Mul…, or turn by turn in a loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_facechallenge.analyses.flops.backtrace import UNROLLED, Way, products
from pytest_facechallenge.analyses.flops.op_cost import Work, extents, size
from pytest_facechallenge.analyses.flops.provenance import one_origin
from pytest_facechallenge.onnx_graph.operators import Trait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_facechallenge.onnx_graph.ir import Graph, Node
    from pytest_facechallenge.onnx_graph.known_shapes import Shapes


def written_out(graph: Graph, shapes: Shapes, root: Node, carried: Mapping[str, str]) -> list[Work]:
    """Return the products that a written-out sum adds up; only values that nothing else reads belong to it.

    Parameters
    ----------
    root
        Any node; there is work when it is the last addition of a sum.
    carried
        As in `elementwise_contractions.find`.
    """
    if not _adds(root) or _goes_into_a_sum(graph, root):
        return []
    works: list[Work] = []
    ends: set[str] = set()
    pending = list(root.inputs)
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        node = graph.producers.get(name)
        if node is None or node.domain or len(_readers(graph, name)) != 1:
            ends.add(name)
        elif _adds(node) or _passes(node) or _by_a_number(graph, node):
            pending += [entry for entry in node.inputs if entry and not _is_number(graph, entry)]
        else:
            works += _term(graph, shapes, node)
            if node.op in ("Mul", "Div"):  # (((a * u + b) * v + c) * w: a learned factor with a sum inside
                weights = [entry for entry in node.inputs if graph.constant(entry) is not None]
                pending += [entry for entry in node.inputs if weights and entry not in weights]
    over_turns = _next_turn(graph, carried).get(root.outputs[0]) in ends
    if not works or (len(works) < UNROLLED and not over_turns):
        return []
    # A sum over turns starts from what is carried in, so it saves no addition.
    return [works[0]._replace(macs=sum(work.macs for work in works), sums=0 if over_turns else works[0].macs)]


def _term(graph: Graph, shapes: Shapes, node: Node) -> list[Work]:
    """Return the products in one term of the sum."""
    shape = shapes.shape(node.outputs[0])
    if shape is None:
        return []
    text = f"{extents(shape)}, sum written out"
    if node.operator.has(Trait.MULTIPLIES) and not _mixed(graph, node, shapes):
        sides = (node.inputs[0], node.inputs[1])
        if node.op == "Where":  # the mask and the choice that is not a plain number
            sides = (node.inputs[0], next((x for x in node.inputs[1:] if not _is_number(graph, x)), node.inputs[1]))
        if not one_origin(graph, node) and all(size(shapes.shape(side) or ()) > 1 for side in sides):
            return [Work(size(shape), 0, "none", "matrix product", text=text)]
    if node.op in ("Mul", "Pow", "Abs", "Exp"):
        # A square of a sum, or the like: the products are in it when both sides are repeated along each other.
        way = Way(graph, shapes, node.outputs[0], frozenset(), linear=False, spread=True)
        macs = sum(found.work.macs for found in products([way]))
        return [Work(macs, 0, "none", "matrix product", text=text)] if macs else []
    return []


def _adds(node: Node) -> bool:
    return node.operator.has(Trait.ADDS)


def _passes(node: Node) -> bool:
    """Whether the values stay what they are but for their sign."""
    return node.operator.has(Trait.SAME) or node.op == "Neg"


def _readers(graph: Graph, name: str) -> list[Node]:
    return [node for node in graph.consumers.get(name, []) if node.index in graph.used]


def _goes_into_a_sum(graph: Graph, node: Node) -> bool:
    """Whether the node's only reader adds it to something, at once or behind a factor: then it is not the last."""
    name = node.outputs[0]
    while name not in graph.outputs:
        readers = _readers(graph, name)
        if len(readers) != 1 or readers[0].domain or not readers[0].outputs:
            return False
        if _adds(readers[0]):
            return True
        weighted = readers[0].op in ("Mul", "Div") and any(graph.constant(x) is not None for x in readers[0].inputs)
        if not _passes(readers[0]) and not weighted:
            return False
        name = readers[0].outputs[0]
    return False


def _is_number(graph: Graph, name: str) -> bool:
    constant = graph.constant(name)
    return constant is not None and constant.size == 1


def _by_a_number(graph: Graph, node: Node) -> bool:
    return node.op in ("Mul", "Div") and any(_is_number(graph, name) for name in node.inputs)


def _mixed(graph: Graph, node: Node, shapes: Shapes) -> bool:
    """Whether one side is a single computed number: a learned mix of whole branches, not a weight of a tap."""
    singles = [name for name in node.inputs if size(shapes.shape(name) or ()) == 1]
    return node.op in ("Mul", "Div") and len(singles) == 1 and graph.constant(singles[0]) is None


def _next_turn(graph: Graph, carried: Mapping[str, str]) -> dict[str, str]:
    """Return ``carried`` by the values that reach those outputs unchanged but for their sign."""
    found = {}
    for name, into in carried.items():
        node = graph.producers.get(name)
        while node is not None and _passes(node):
            name = node.inputs[0]
            node = graph.producers.get(name)
        found[name] = into
    return found
