"""Contractions written as element-wise products and sums: a 1x1 convolution as Mul and ReduceSum, for instance.

Element-wise work and reductions are free in the challenge's arithmetic; together they can do what a matrix product
does. A reduction counts as one when what it sums are products of two independent values that both vary along a
summed axis. So these stay free, as they should:

- scaling a channel and pooling it (the scale is the same at every place that is summed);
- squares and norms, activations such as x * sigmoid(x), normalisation: both sides come from one value by free
  operators;
- element-wise gates: sums of fewer than `UNROLLED` products written out.

An element-wise operation of any kind (a difference, say) between two values of which each is repeated along axes of
the other, followed by a sum, is counted too: distances and quarter-squares do a matrix product's work.

Where the product is used for something else than the sum as well (a map scaled by an attention, then pooled over its
channels), or where a reduction adds up only a few (a choice between two branches), it may be either. Then it is in the
high count only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.analyses.flops.backtrace import UNROLLED, Found, Way, products
from pytest_facechallenge.analyses.flops.op_cost import CannotCountError, Work, size
from pytest_facechallenge.analyses.flops.provenance import only_centres
from pytest_facechallenge.analyses.flops.unrolled_sums import written_out
from pytest_facechallenge.onnx_graph.operators import Trait

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_facechallenge.onnx_graph.ir import Graph, Node
    from pytest_facechallenge.onnx_graph.known_shapes import Shapes


def find(graph: Graph, shapes: Shapes, carried: Mapping[str, str]) -> Iterator[tuple[Node, list[Work] | str]]:
    """Yield the nodes of this graph (not of its subgraphs) that end a contraction of element-wise ones, and its cost.

    Nodes whose results reach no output neither cost nor count as readers.

    Parameters
    ----------
    carried
        For the body of a loop: outputs that become inputs of the next turn, by output name. A sum over the turns is
        a sum like any other.

    Yields
    ------
    tuple
        The node, and its work or a sentence that says why it cannot be told.
    """
    for node in graph.nodes:
        if node.domain or not node.inputs or not node.outputs or node.index not in graph.used:
            continue
        try:
            works = _of_node(graph, shapes, node) or written_out(graph, shapes, node, carried)
        except CannotCountError as error:
            yield node, str(error)
        except (IndexError, TypeError, ValueError, KeyError, AttributeError) as error:
            yield node, f"its inputs or attributes have no meaning for {node.op} ({type(error).__name__}: {error})"
        else:
            if works:
                yield node, works


def _of_node(graph: Graph, shapes: Shapes, node: Node) -> list[Work]:
    source, axes, spread = _summed(node, shapes)
    if not axes or only_centres(graph, node, source):
        return []
    found = products(
        [Way(graph, shapes, source, axes, linear=not node.operator.has(Trait.SUMS_CHANGED), spread=spread)]
    )
    after = shapes.shape(node.outputs[0])
    clear = [entry for entry in found if not _uncertain(entry)]
    works = [_together(clear, after)] if clear else []
    doubtful = [entry for entry in found if _uncertain(entry)]
    if doubtful:
        whole = _together(doubtful, after)
        text = f"{whole.text}: a scaling or a product"
        works.append(Work(0, 0, "none", "scaled and summed", ceiling=whole.high, text=text))
    return works


def _uncertain(found: Found) -> bool:
    return found.shared or found.length < UNROLLED


def _together(found: list[Found], after: tuple[int, ...] | None) -> Work:
    """Return the work of products that come together in one sum, which saves one first addition."""
    works = [entry.work for entry in found]
    macs, sums, extra = (sum(getattr(work, name) for work in works) for name in ("macs", "sums", "extra"))
    return works[0]._replace(macs=macs, extra=extra, sums=sums if after is None else min(sums, size(after)))


def _summed(node: Node, shapes: Shapes) -> tuple[str, frozenset[int], bool]:
    """Return what the node adds up, along which axes (none: it adds nothing), and whether pieces overlap."""
    adds_pieces = node.op in ("ScatterND", "ScatterElements") and node.attributes.get("reduction") == "add"
    source = node.inputs[2] if adds_pieces else node.inputs[0]
    shape = shapes.shape(source)
    if shape is None or not shape:
        return source, frozenset(), False
    rank = len(shape)
    axes: frozenset[int] = frozenset()
    if adds_pieces or node.op == "Col2Im":
        axes = frozenset(range(rank))
    elif node.operator.has(Trait.SUMS):
        axes = _reduced(node, shapes, rank)
    elif node.op in ("GlobalAveragePool", "GlobalLpPool", "AveragePool", "LpPool"):
        window = node.attributes.get("kernel_shape") or [2] * (rank - 2)
        axes = frozenset(axis + 2 for axis, taps in enumerate(window) if taps > 1 and axis + 2 < rank)
    elif node.op == "LpNormalization":
        axes = frozenset({node.attributes.get("axis", -1) % rank})
    elif node.op == "LayerNormalization" and any(node.outputs[1:]):  # it gives the mean away as well
        axes = frozenset(range(node.attributes.get("axis", -1) % rank, rank))
    elif node.op == "CumSum":
        value = shapes.value(node.inputs[1])
        axes = frozenset(range(rank)) if value is None else frozenset({int(np.reshape(value, -1)[0]) % rank})
    elif node.op == "Einsum" and len(node.inputs) == 1:
        left, _, right = node.attributes.get("equation", "").replace(" ", "").partition("->")
        axes = frozenset(axis for axis, label in enumerate(left) if label not in right and "." not in left)
    return source, axes, adds_pieces or node.op == "Col2Im"


def _reduced(node: Node, shapes: Shapes, rank: int) -> frozenset[int]:
    given = node.attributes.get("axes")
    if given is None and len(node.inputs) > 1 and node.inputs[1]:
        value = shapes.value(node.inputs[1])
        given = range(rank) if value is None else value.reshape(-1).tolist()
    if not given:
        given = [] if node.attributes.get("noop_with_empty_axes") else range(rank)
    return frozenset(int(axis) % rank for axis in given)
