"""Where a value comes from, through operators that cost nothing: what tells a product from an activation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.onnx_graph.operators import Kind, Trait

if TYPE_CHECKING:
    from pytest_facechallenge.onnx_graph.ir import Graph, Node
    from pytest_facechallenge.onnx_graph.known_shapes import Shapes

#: How far an origin is followed; factors with longer ways are taken as independent, which counts rather than hides.
DEPTH = 24
MOST = 2000


def one_origin(graph: Graph, node: Node) -> bool:
    """Return whether both inputs come from one value by free operators: an activation, a square, a norm.

    That value may be any that both go through, as long as each side needs nothing else than it and single numbers.
    """
    left, right = node.inputs[:2]
    above_right = set(_above(graph, right))
    common = [name for name in _above(graph, left) if name in above_right]
    return any(_only_from(graph, left, name) and _only_from(graph, right, name) for name in common[:DEPTH])


def _above(graph: Graph, name: str) -> list[str]:
    """Return the value and those that it is made from by free operators, nearest first."""
    steps = {name: 0}
    pending = [name]
    for entry in pending:
        if steps[entry] < DEPTH:
            for before in _makers(graph, entry):
                if before not in steps:
                    steps[before] = steps[entry] + 1
                    pending.append(before)
    return pending


def _only_from(graph: Graph, name: str, origin: str) -> bool:
    """Return whether the value is made from ``origin`` and single numbers alone, by free operators."""
    pending = [name]
    seen = {name}
    while pending:
        entry = pending.pop()
        constant = graph.constant(entry)
        if entry == origin or (constant is not None and constant.size == 1):
            continue
        makers = _makers(graph, entry)
        if not makers or len(seen) > MOST:
            return False
        pending.extend(before for before in makers if before not in seen)
        seen |= set(makers)
    return True


def _makers(graph: Graph, name: str) -> tuple[str, ...]:
    """Return the values that a free operator makes this one from; none where the trail ends."""
    node = graph.producers.get(name)
    if node is None or node.domain or not node.operator.has(Trait.DERIVES):
        return ()
    single = node.operator.kind in (Kind.POOLING, Kind.LAYOUT) or node.op in ("Dropout", "CastLike")
    return tuple(before for before in (node.inputs[:1] if single else node.inputs) if before)


def axes_before(
    node: Node, before: tuple[int, ...], after: tuple[int, ...], axes: frozenset[int]
) -> frozenset[int] | None:
    """Return the axes of the input that become ``axes`` of the output; None when the node changes more than the layout.

    Where a Reshape joins or cuts axes, every input axis of the run counts as one of ``axes``.
    """
    if node.op == "Transpose":
        order = node.attributes.get("perm") or list(range(len(before)))[::-1]
        return frozenset(order[axis] for axis in axes)
    if node.op in ("DepthToSpace", "SpaceToDepth"):
        return frozenset(range(1, len(before)))
    if node.op not in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
        return None
    found: set[int] = set()
    i = j = 0
    while i < len(before) or j < len(after):
        left, right = {i}, {j}
        a = before[i] if i < len(before) else 1
        b = after[j] if j < len(after) else 1
        i, j = i + 1, j + 1
        while a != b and (i < len(before) or j < len(after)):
            if (a < b and i < len(before)) or j >= len(after):
                a *= before[i]
                left.add(i)
                i += 1
            else:
                b *= after[j]
                right.add(j)
                j += 1
        if right & axes:
            found |= left
    return frozenset(axis for axis in found if axis < len(before))


def scaled_axes(graph: Graph, shapes: Shapes, node: Node) -> frozenset[int]:
    """Return the axes of the output along which the learned scale of a normalising operator varies."""
    shape, scale = shapes.shape(node.outputs[0]), shapes.shape(node.inputs[1])
    if shape is None or scale is None or max(scale, default=1) == 1:
        return frozenset()
    constant = graph.constant(node.inputs[1])
    if constant is not None and np.ptp(constant.array().astype(np.float64)) == 0:
        return frozenset()  # one and the same number everywhere scales the sum
    if node.op in ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"):
        return frozenset(range(len(shape) - len(scale), len(shape)))
    return frozenset({node.attributes.get("axis", 1) % len(shape) if node.op == "DequantizeLinear" else 1})


def varying_extents(graph: Graph, shapes: Shapes, name: str, rank: int) -> tuple[int, ...] | None:
    """Return the value's shape, padded to ``rank`` axes, with what it had before it was only repeated.

    Repeated by Expand, Tile, Resize, a Concat of one value with itself, or a Gather of the same places again, at once
    or behind operators that work on each value alone.
    """
    shape = shapes.shape(name)
    if shape is None:
        return None
    full = (1,) * (rank - len(shape)) + shape
    for _ in range(DEPTH):
        node = graph.producers.get(name)
        if node is None or node.domain or not node.inputs:
            break
        before = shapes.shape(node.inputs[0])
        if before is None:
            break
        padded = (1,) * (rank - len(before)) + before
        joined = node.op == "Concat" and len(node.inputs) > 1 and len(set(node.inputs)) == 1
        if joined or node.op in ("Expand", "Tile", "Resize", "Upsample"):
            full = tuple(map(min, full, padded))
        elif node.op == "Gather" and len(before) == len(shape):
            places = shapes.value(node.inputs[1])
            axis = node.attributes.get("axis", 0) % len(before) + rank - len(before)
            distinct = full[axis] if places is None else len(np.unique(places))
            full = (*full[:axis], min(full[axis], distinct), *full[axis + 1 :])
        elif node.operator.kind is not Kind.UNARY:
            break
        name = node.inputs[0]
    return full


def only_centres(graph: Graph, node: Node, source: str) -> bool:
    """Whether the node is the mean that a normalisation written out takes off, and nothing else comes of it.

    That is: every reader subtracts it from what it is the mean of, and what remains is squared for the variance, and
    divided by a number that comes from it alone.
    """
    if node.op != "ReduceMean":
        return False
    centred = _readers(graph, node.outputs[0])
    if not centred or any(n.op != "Sub" or n.domain or n.inputs != (source, node.outputs[0]) for n in centred):
        return False
    for entry in centred:
        rest = entry.outputs[0]
        for reader in _readers(graph, rest):
            squared = reader.op == "Pow" or (reader.op == "Mul" and set(reader.inputs) == {rest})
            scaled = reader.op in ("Div", "Mul") and reader.inputs[0] == rest
            if reader.domain or not (squared or (scaled and _is_spread(graph, reader.inputs[1], rest))):
                return False
    return True


def _is_spread(graph: Graph, name: str, centred: str) -> bool:
    return graph.constant(name) is None and _only_from(graph, name, centred)


def _readers(graph: Graph, name: str) -> list[Node]:
    return [node for node in graph.consumers.get(name, []) if node.index in graph.used]
