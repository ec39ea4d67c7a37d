"""The way back from a sum to the products that it adds up, through operators that keep them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_facechallenge.analyses.flops.op_cost import CannotCountError, Work, extents, size
from pytest_facechallenge.analyses.flops.products import parse_einsum
from pytest_facechallenge.analyses.flops.provenance import (
    axes_before,
    one_origin,
    scaled_axes,
    varying_extents,
)
from pytest_facechallenge.onnx_graph.control_flow import bound
from pytest_facechallenge.onnx_graph.operators import Kind, Trait

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_facechallenge.onnx_graph.ir import Graph, Node
    from pytest_facechallenge.onnx_graph.known_shapes import Shapes

#: From this many products on, a written-out sum (Add of Add of Mul…) is a contraction and not a gate.
UNROLLED = 4
#: How many values behind one sum are looked at.
MOST = 5000


class Way(NamedTuple):
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
    shared
        Whether something else than the sum reads it, or a value between it and the sum: then the product may be a
        scaling of a map that is pooled as well.
    """

    graph: Graph
    shapes: Shapes
    name: str
    axes: frozenset[int]
    linear: bool = True
    spread: bool = False
    turns: int = 1
    shared: bool = False


class Found(NamedTuple):
    """A product behind a sum: its work, how many values each result adds up, and `Way.shared`."""

    work: Work
    length: int
    shared: bool


def products(ways: list[Way]) -> list[Found]:
    """Return the products that reach a sum by the given ways; each value is looked at once per way of summing it."""
    found: list[Found] = []
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
        elif shape is not None and not node.domain:
            more, onward = _step(way._replace(shared=way.shared or _read_elsewhere(way)), node, shape)
            found += more
            ways += onward
    return found


def _read_elsewhere(way: Way) -> bool:
    readers = [node for node in way.graph.consumers.get(way.name, []) if node.index in way.graph.used]
    return len(readers) > 1 or (way.name in way.graph.outputs and bool(readers))


def _step(way: Way, node: Node, shape: tuple[int, ...]) -> tuple[list[Found], list[Way]]:
    """Return the products that the node makes and where its other values come from."""
    if node.op == "If":
        return _dearer_branch(way, node), []
    if node.op in ("Loop", "Scan"):
        return [], _into_loop(way, node, shape)
    if node.op == "Where":
        # A choice by a mask is a product with 0 and 1; the mask goes with the bigger of the two choices.
        choice = max(node.inputs[1:3], key=lambda name: size(way.shapes.shape(name) or ()))
        return _pair(way, node, (node.inputs[0], choice), shape)
    if node.op in ("Sum", "Mean"):
        return [], _onward(way, node.inputs, shape, linear=way.linear)
    if node.operator.kind is Kind.PAIR:
        return _pair(way, node, (node.inputs[0], node.inputs[1]), shape)
    if node.op in ("Einsum", "MatMul"):
        return _outer_product(way, node, shape), []
    if node.op in ("Gather", "GatherElements", "GatherND") and way.shapes.depends_on_image(node.inputs[1]):
        if way.graph.constant(node.inputs[0]) is None:
            return [], _through(way, node, shape)
        return [_of(way, shape, f"{extents(shape)} looked up in a table, summed")], []
    if node.operator.has(Trait.SCALES):
        # The learned scale is a product with every value of its axis.
        scale = scaled_axes(way.graph, way.shapes, node)
        if way.linear and scale and (scale & way.axes or way.spread):
            return [_of(way, shape, f"{extents(shape)} {node.op}, its scale summed")], []
        return [], _through(way, node, shape) if node.operator.has(Trait.LINEAR) else []
    return [], _through(way, node, shape)


def _of(way: Way, shape: tuple[int, ...], text: str) -> Found:
    """Return one product for every place of the shape."""
    length = size(tuple(shape[axis] for axis in way.axes)) or 1
    work = Work(size(shape) * way.turns, size(shape) // length, "none", "matrix product", text=text)
    return Found(work, UNROLLED if way.spread else length * way.turns, way.shared)


def _through(way: Way, node: Node, shape: tuple[int, ...]) -> list[Way]:
    """Return where the value comes from when the node does not pair values."""
    linear = node.operator.has(Trait.LINEAR)
    if linear or node.operator.kind is Kind.UNARY:
        rank = len(way.shapes.shape(node.inputs[0]) or ())
        # Where a Gather changes the number of axes, any axis may be the summed one.
        axes = way.axes if rank == len(shape) else frozenset(range(rank))
        return [way._replace(name=node.inputs[0], axes=axes, linear=way.linear and linear)]
    if node.op == "Concat":
        joins = node.attributes.get("axis", 0) % max(1, len(shape)) in way.axes
        spread = way.spread or (joins and len(node.inputs) >= UNROLLED)
        return [way._replace(name=entry, spread=spread) for entry in node.inputs]
    before = way.shapes.shape(node.inputs[0]) if node.inputs else None
    earlier = None if before is None else axes_before(node, before, shape, way.axes)
    return [] if earlier is None else [way._replace(name=node.inputs[0], axes=earlier)]


def _pair(way: Way, node: Node, inputs: tuple[str, str], shape: tuple[int, ...]) -> tuple[list[Found], list[Way]]:
    """Return the products that an element-wise operation of two values makes, or where to look on."""
    left, right = (varying_extents(way.graph, way.shapes, name, len(shape)) for name in inputs)
    if left is None or right is None:
        return [], []
    product = node.operator.has(Trait.MULTIPLIES) and way.linear
    # A sum of sums falls apart into two sums of less, whatever is repeated in them.
    apart = node.op in ("Add", "Sub") and way.linear
    meet = _meet(way, left, right)
    if meet and ((_outer(left, right, shape) and not apart) or (product and not one_origin(way.graph, node))):
        return [_of(way, shape, f"{extents(left)} {node.op} {extents(right)}, summed")], []
    scaled = node.op in ("Mul", "Div", "Where") and not meet
    return [], _onward(way, inputs, shape, linear=way.linear and (apart or scaled))


def _onward(way: Way, inputs: Iterable[str], shape: tuple[int, ...], *, linear: bool) -> list[Way]:
    """Return the ways to what is combined place by place: each is summed along the axes along which it varies."""
    onward = []
    for name in inputs:
        side = varying_extents(way.graph, way.shapes, name, len(shape))
        if side is not None:
            gap = len(shape) - len(way.shapes.shape(name) or ())
            axes = frozenset(axis - gap for axis in way.axes if axis >= gap and side[axis] > 1)
            onward.append(way._replace(name=name, axes=axes, linear=linear))
    return onward


def _meet(way: Way, left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    """Whether both sides vary along a summed axis, so that the sum is not one side times a sum of the other."""
    shared = any(left[axis] > 1 and right[axis] > 1 for axis in way.axes)
    return shared or (way.spread and size(left) > 1 and size(right) > 1)


def _outer(left: tuple[int, ...], right: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether each side is repeated along an axis along which the other is not."""
    axes = range(len(shape))
    return any(left[axis] < right[axis] for axis in axes) and any(right[axis] < left[axis] for axis in axes)


def _outer_product(way: Way, node: Node, shape: tuple[int, ...]) -> list[Found]:
    """Return the products of an Einsum that sums nothing itself, and the additions behind a MatMul of depth 1."""
    shapes = [way.shapes.shape(name) for name in node.inputs]
    if len(shapes) != 2 or any(entry is None for entry in shapes):
        return []
    known = [entry for entry in shapes if entry is not None]
    if node.op == "MatMul":
        if not known[0] or known[0][-1] != 1 or not way.linear:
            return []
        return [
            found._replace(work=Work(0, 0, "none", "matrix product", extra=found.work.macs - found.work.sums))
            for found in [_of(way, shape, "")]
        ]
    terms, output = parse_einsum(node.attributes.get("equation", ""), known)
    if not way.linear or set(terms[0]) - set(output) or set(terms[1]) - set(output) or len(output) != len(shape):
        return []
    left, right = (tuple(shape[place] if label in term else 1 for place, label in enumerate(output)) for term in terms)
    text = f"{extents(left)} Einsum {extents(right)}, summed"
    return [_of(way, shape, text)] if _meet(way, left, right) and node.inputs[0] != node.inputs[1] else []


def _dearer_branch(way: Way, node: Node) -> list[Found]:
    branches = [
        products([way._replace(graph=body, shapes=way.shapes.body(node, name), name=inside)])
        for name, body in node.subgraphs.items()
        for inside, outside in bound(node, body).results
        if outside == way.name
    ]
    return max(branches, key=lambda found: sum(entry.work.macs for entry in found), default=[])


def _into_loop(way: Way, node: Node, shape: tuple[int, ...]) -> list[Way]:
    """Look into the body that makes the value: its last turn for a carried one, every turn for a stacked one."""
    body = node.subgraphs["body"]
    how = bound(node, body)
    made = {outside: inside for inside, outside in how.outputs()}[way.name]
    inside = way._replace(graph=body, shapes=way.shapes.body(node, "body"), name=made)
    stacked = next((each for each in how.stacked if each.whole == way.name), None)
    if stacked is None:
        return [inside]
    axis = stacked.axis % len(shape)
    spread = way.spread or (axis in way.axes and shape[axis] >= UNROLLED)
    rest = frozenset(other - (other > axis) for other in way.axes if other != axis)
    return [inside._replace(axes=rest, spread=spread, turns=way.turns * shape[axis])]
