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
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_facechallenge.flops.origins import LINEAR, PAIRS, SUMMING, UNARY, axes_before, one_origin
from pytest_facechallenge.flops.work import CannotCountError, Work, extents, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_facechallenge.graph.ir import Graph, Node
    from pytest_facechallenge.graph.shapes import Shapes

#: From this many products on, a written-out sum (Add of Add of Mul…) is a contraction and not a gate.
UNROLLED = 4
#: How many values behind one sum are looked at.
MOST = 5000


class _Way(NamedTuple):
    """A value on the way back from a sum.

    Attributes
    ----------
    graph, shapes, name
        The value.
    axes
        Along which it is summed.
    linear
        Whether only linear operators lie between, so that products stay products.
    spread
        Whether its pieces are summed in another way than along its own axes, so that any product in it counts.
    turns
        How often it is made for one sum.
    """

    graph: Graph
    shapes: Shapes
    name: str
    axes: frozenset[int]
    linear: bool = True
    spread: bool = False
    turns: int = 1


def find(
    graph: Graph, shapes: Shapes, used: set[int], carried: Mapping[str, str]
) -> Iterator[tuple[Node, list[Work] | str]]:
    """Yield the nodes of this graph (not of its subgraphs) that end a disguised contraction, with its cost.

    Parameters
    ----------
    used
        Indices of the nodes whose results reach an output: others neither cost nor count as readers.
    carried
        For the body of a loop: outputs that become inputs of the next turn, by output name. A sum over the turns is
        a sum like any other.

    Yields
    ------
    tuple
        The node, and its work or a sentence that says why it cannot be told.
    """
    for node in graph.nodes:
        if node.domain or not node.inputs or not node.outputs or node.index not in used:
            continue
        try:
            works = _of_node(graph, shapes, node, used, carried)
        except CannotCountError as error:
            yield node, str(error)
        except (IndexError, TypeError, ValueError, KeyError, AttributeError) as error:
            yield node, f"its inputs or attributes have no meaning for {node.op} ({type(error).__name__}: {error})"
        else:
            if works:
                yield node, works


def _of_node(graph: Graph, shapes: Shapes, node: Node, used: set[int], carried: Mapping[str, str]) -> list[Work]:
    if node.op in ("Add", "Sum"):
        return [] if _inside_sum(graph, node, used) else _written_out(graph, shapes, node, used, carried)
    source, axes, spread = _summed(node, shapes)
    if not axes:
        return []
    works = _products([_Way(graph, shapes, source, axes, spread=spread)])
    if not works:
        return []
    after = shapes.shape(node.outputs[0])
    macs, sums = sum(work.macs for work in works), sum(work.sums for work in works)
    # Products that come together in one sum save one first addition, however many parts they come in.
    return [works[0]._replace(macs=macs, sums=sums if after is None else min(sums, size(after)))]


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
    elif node.op in SUMMING:
        given = node.attributes.get("axes")
        if given is None and len(node.inputs) > 1 and node.inputs[1]:
            value = shapes.value(node.inputs[1])
            given = range(rank) if value is None else value.reshape(-1).tolist()
        if not given:
            given = [] if node.attributes.get("noop_with_empty_axes") else range(rank)
        axes = frozenset(int(axis) % rank for axis in given)
    elif node.op in ("GlobalAveragePool", "GlobalLpPool", "AveragePool", "LpPool"):
        window = node.attributes.get("kernel_shape") or [2] * (rank - 2)
        axes = frozenset(axis + 2 for axis, taps in enumerate(window) if taps > 1 and axis + 2 < rank)
    elif node.op == "CumSum":
        value = shapes.value(node.inputs[1])
        axes = frozenset(range(rank)) if value is None else frozenset({int(np.reshape(value, -1)[0]) % rank})
    elif node.op == "Einsum" and len(node.inputs) == 1:
        left, _, right = node.attributes.get("equation", "").replace(" ", "").partition("->")
        axes = frozenset(axis for axis, label in enumerate(left) if label not in right and "." not in left)
    return source, axes, adds_pieces or node.op == "Col2Im"


def _products(ways: list[_Way]) -> list[Work]:
    """Return the products that reach a sum by the given ways; each value is looked at once per way of summing it."""
    found: list[Work] = []
    seen: set[tuple[int, str, frozenset[int], bool, bool]] = set()
    while ways:
        way = ways.pop()
        key = (id(way.graph), way.name, way.axes, way.linear, way.spread)
        if key in seen or not (way.axes or way.spread):
            continue
        seen.add(key)
        if len(seen) > MOST:
            raise CannotCountError(f"what it sums is made by more than {MOST} nodes")
        node = way.graph.producers.get(way.name)
        shape = way.shapes.shape(way.name)
        if node is None:
            outer = way.shapes.outer
            if outer is not None and way.name not in way.graph.inputs:
                ways.append(way._replace(graph=outer.graph, shapes=outer))
        elif shape is None or node.domain:
            continue
        elif node.op == "If":
            found += _dearer_branch(way, node)
        elif node.op in ("Loop", "Scan"):
            ways += _into_loop(way, node, shape)
        elif node.op == "Where":
            # A choice by a mask is a product with 0 and 1; the mask goes with the bigger of the two choices.
            choice = max(node.inputs[1:3], key=lambda name: size(way.shapes.shape(name) or ()))
            works, onward = _pair(way, node, (node.inputs[0], choice), shape)
            found += works
            ways += onward
        elif node.op in PAIRS:
            works, onward = _pair(way, node, (node.inputs[0], node.inputs[1]), shape)
            found += works
            ways += onward
        else:
            ways += _through(way, node, shape)
    return found


def _through(way: _Way, node: Node, shape: tuple[int, ...]) -> list[_Way]:
    """Return where the value comes from when the node does not pair values."""
    if node.op in LINEAR or node.op in UNARY:
        rank = len(way.shapes.shape(node.inputs[0]) or ())
        # Where a Gather changes the number of axes, any axis may be the summed one.
        axes = way.axes if rank == len(shape) else frozenset(range(rank))
        return [way._replace(name=node.inputs[0], axes=axes, linear=way.linear and node.op in LINEAR)]
    if node.op == "Concat":
        joins = node.attributes.get("axis", 0) % max(1, len(shape)) in way.axes
        spread = way.spread or (joins and len(node.inputs) >= UNROLLED)
        return [way._replace(name=entry, spread=spread) for entry in node.inputs]
    before = way.shapes.shape(node.inputs[0]) if node.inputs else None
    earlier = None if before is None else axes_before(node, before, shape, way.axes)
    return [] if earlier is None else [way._replace(name=node.inputs[0], axes=earlier)]


def _pair(way: _Way, node: Node, inputs: tuple[str, str], shape: tuple[int, ...]) -> tuple[list[Work], list[_Way]]:
    """Return the products that an element-wise operation of two values makes, or where to look on."""
    sides = [_varying(way, name, len(shape)) for name in inputs]
    left, right = sides
    if left is None or right is None:
        return [], []
    shared = any(left[axis] > 1 and right[axis] > 1 for axis in way.axes)
    shared = shared or (way.spread and size(left) > 1 and size(right) > 1)
    outer = size(left) < size(shape) and size(right) < size(shape)
    product = node.op in ("Mul", "Div", "And", "Where") and way.linear
    if shared and (outer or (product and not one_origin(way.graph, node))):
        length = size(tuple(shape[axis] for axis in way.axes)) or 1
        text = f"{extents(left)} {node.op} {extents(right)}, summed"
        macs = size(shape) * way.turns
        return [Work(macs, size(shape) // length, "none", "matrix product", text=text)], []
    onward = []
    for name, side in zip(inputs, (left, right), strict=True):
        gap = len(shape) - len(way.shapes.shape(name) or ())
        axes = frozenset(axis - gap for axis in way.axes if axis >= gap and side[axis] > 1)
        linear = way.linear and node.op in ("Mul", "Div", "Add", "Sub", "Where")
        onward.append(way._replace(name=name, axes=axes, linear=linear))
    return [], onward


def _varying(way: _Way, name: str, rank: int) -> tuple[int, ...] | None:
    """Return the value's shape, padded to ``rank`` axes, with 1 where it is only repeated."""
    shape = way.shapes.shape(name)
    if shape is None:
        return None
    node = way.graph.producers.get(name)
    if node is not None and node.op in ("Expand", "Tile") and not node.domain:
        before = way.shapes.shape(node.inputs[0])
        if before is not None:
            before = (1,) * (len(shape) - len(before)) + before
            shape = tuple(1 if a == 1 else b for a, b in zip(before, shape, strict=True))
    return (1,) * (rank - len(shape)) + shape


def _dearer_branch(way: _Way, node: Node) -> list[Work]:
    place = node.outputs.index(way.name)
    branches = [
        _products([way._replace(graph=body, shapes=way.shapes.body(node, name), name=body.outputs[place])])
        for name, body in node.subgraphs.items()
    ]
    return max(branches, key=lambda works: sum(work.macs for work in works), default=[])


def _into_loop(way: _Way, node: Node, shape: tuple[int, ...]) -> list[_Way]:
    """Look into the body that makes the value: its last turn for a carried one, every turn for a stacked one."""
    body = node.subgraphs["body"]
    place = node.outputs.index(way.name) + (node.op == "Loop")
    scanned = int(node.attributes.get("num_scan_inputs", 0))
    carried = len(node.inputs) - (2 if node.op == "Loop" else scanned)
    inside = way._replace(graph=body, shapes=way.shapes.body(node, "body"), name=body.outputs[place])
    stacked = node.outputs.index(way.name) - carried
    if stacked < 0:
        return [inside]
    axes = node.attributes.get("scan_output_axes") or [0] * (stacked + 1)
    axis = axes[stacked] % len(shape)
    spread = way.spread or (axis in way.axes and shape[axis] >= UNROLLED)
    rest = frozenset(other - (other > axis) for other in way.axes if other != axis)
    return [inside._replace(axes=rest, spread=spread, turns=way.turns * shape[axis])]


def _readers(graph: Graph, name: str, used: set[int]) -> list[Node]:
    return [node for node in graph.consumers.get(name, []) if node.index in used]


def _inside_sum(graph: Graph, node: Node, used: set[int]) -> bool:
    readers = _readers(graph, node.outputs[0], used)
    return (
        len(readers) == 1
        and readers[0].op in ("Add", "Sum", "Identity")
        and not readers[0].domain
        and node.outputs[0] not in graph.outputs
    )


def _written_out(graph: Graph, shapes: Shapes, root: Node, used: set[int], carried: Mapping[str, str]) -> list[Work]:
    """Return the products that a written-out sum adds up; only values that nothing else reads belong to it."""
    works: list[Work] = []
    pending = list(root.inputs)
    ends: set[str] = set()
    while pending:
        name = pending.pop()
        node = graph.producers.get(name)
        if node is None or node.domain or len(_readers(graph, name, used)) != 1:
            ends.add(name)
        elif node.op in ("Add", "Sum", "Identity", "Neg", "Sub"):
            pending.extend(node.inputs)
        elif node.op in ("Mul", "Div"):
            shape = shapes.shape(name)
            if shape is not None and not _mixed(graph, node, shapes) and not one_origin(graph, node):
                works.append(Work(size(shape), 0, "none", "matrix product", text=f"{extents(shape)}, sum written out"))
    over_turns = carried.get(root.outputs[0]) in ends
    if not works or (len(works) < UNROLLED and not over_turns):
        return []
    # A sum over turns starts from what is carried in, so it saves no addition.
    return [works[0]._replace(macs=sum(work.macs for work in works), sums=0 if over_turns else works[0].macs)]


def _mixed(graph: Graph, node: Node, shapes: Shapes) -> bool:
    """Whether one side is a single computed number: a learned mix of whole branches, not a weight of a tap."""
    singles = [name for name in node.inputs if size(shapes.shape(name) or ()) == 1]
    return len(singles) == 1 and graph.constant(singles[0]) is None
