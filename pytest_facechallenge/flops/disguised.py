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

from pytest_facechallenge.flops.free import names
from pytest_facechallenge.flops.work import Work, extents, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_facechallenge.graph.ir import Graph, Node
    from pytest_facechallenge.graph.shapes import Shapes

#: From this many products on, a written-out sum (Add of Add of Mul…) is a contraction and not a gate.
UNROLLED = 4

LINEAR = frozenset({"Identity", "Cast", "CastLike", "Neg", "Dropout", "Slice", "Pad", "Expand"})
UNARY = names("""
    Abs Relu Exp Log Sqrt Sigmoid Tanh Clip LeakyRelu Elu Selu Softplus Softsign Reciprocal Erf Gelu HardSigmoid
    HardSwish Sin Cos Sign Floor Ceil Round
""")
PAIRS = frozenset({"Mul", "Div", "Add", "Sub", "Pow", "Min", "Max", "PRelu", "Mod"})
SUMMING = frozenset(
    {"ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ReduceLogSum"}
)
#: Operators through which a value's origin is followed to tell an activation or a normalisation from a product.
ORIGIN = (
    UNARY
    | LINEAR
    | SUMMING
    | PAIRS
    | frozenset({"Softmax", "Unsqueeze", "Squeeze", "ReduceMax", "Where", "Greater", "Less"})
)
#: How far the origin of a factor is followed; deeper chains are taken as independent, which counts rather than hides.
DEPTH = 24
#: How many values behind one sum are looked at.
STEPS = 2000


class _Path(NamedTuple):
    """How the value at hand reaches the sum."""

    axes: frozenset[int]
    linear: bool = True
    spread: bool = False


def find(graph: Graph, shapes: Shapes) -> Iterator[tuple[Node, list[Work]]]:
    """Yield the nodes of this graph (not of its subgraphs) that end a disguised contraction, with its cost."""
    for node in graph.nodes:
        if node.domain:
            continue
        summed = _summed_axes(node, shapes)
        if summed:
            works = _Search(graph, shapes).products(node.inputs[0], _Path(summed))
            if works:
                macs, sums = sum(work.macs for work in works), sum(work.sums for work in works)
                # Products that come together in one sum save one first addition, however many parts they come in.
                yield node, [works[0]._replace(macs=macs, sums=min(sums, _outputs(node, shapes) or sums))]
        elif node.op in ("Add", "Sum") and not _inside_sum(graph, node):
            works = _unrolled(graph, shapes, node)
            if len(works) >= UNROLLED:
                macs = sum(work.macs for work in works)
                yield node, [works[0]._replace(macs=macs, sums=works[0].macs)]


def _outputs(node: Node, shapes: Shapes) -> int:
    shape = shapes.shape(node.outputs[0])
    return 0 if shape is None else size(shape)


def _summed_axes(node: Node, shapes: Shapes) -> frozenset[int]:
    """Return the axes of input 0 along which the node adds up; empty for nodes that do not."""
    shape = shapes.shape(node.inputs[0]) if node.inputs else None
    if shape is None:
        return frozenset()
    rank = len(shape)
    if node.op in SUMMING:
        given = node.attributes.get("axes")
        if given is None and len(node.inputs) > 1 and node.inputs[1]:
            value = shapes.value(node.inputs[1])
            # Unknown axes: what came out smaller was summed.
            given = range(rank) if value is None else value.reshape(-1).tolist()
        if not given:
            given = [] if node.attributes.get("noop_with_empty_axes") else range(rank)
        return frozenset(int(axis) % rank for axis in given) if rank else frozenset()
    if node.op in ("GlobalAveragePool", "GlobalLpPool", "AveragePool", "LpPool"):
        window = node.attributes.get("kernel_shape") or [2] * (rank - 2)
        return frozenset(axis + 2 for axis, taps in enumerate(window) if taps > 1 and axis + 2 < rank)
    if node.op == "CumSum":
        value = shapes.value(node.inputs[1])
        return frozenset() if value is None or not rank else frozenset({int(np.reshape(value, -1)[0]) % rank})
    if node.op == "Einsum" and len(node.inputs) == 1:
        left, _, right = node.attributes.get("equation", "").replace(" ", "").partition("->")
        return frozenset(axis for axis, label in enumerate(left) if label not in right and "." not in left)
    return frozenset()


class _Search:
    """Follows a summed value back to the products in it; each value is looked at once per way of summing it."""

    def __init__(self, graph: Graph, shapes: Shapes) -> None:
        self.graph = graph
        self.shapes = shapes
        self.seen: set[tuple[str, _Path]] = set()

    def products(self, name: str, path: _Path) -> list[Work]:
        """Return the products that reach the sum through the value ``name``, whose summed axes are ``path.axes``."""
        node = self.graph.producers.get(name)
        shape = self.shapes.shape(name)
        if node is None or shape is None or node.domain or not (path.axes or path.spread):
            return []
        if (name, path) in self.seen or len(self.seen) > STEPS:
            return []
        self.seen.add((name, path))
        if node.op in LINEAR or node.op in UNARY:
            return self.products(node.inputs[0], path._replace(linear=path.linear and node.op in LINEAR))
        if node.op == "Concat":
            joins = node.attributes.get("axis", 0) % max(1, len(shape)) in path.axes
            onward = path._replace(spread=path.spread or (joins and len(node.inputs) >= UNROLLED))
            return [work for entry in node.inputs for work in self.products(entry, onward)]
        if node.op in PAIRS:
            return self._pair(node, path, shape)
        axes = _before_layout(node, self.shapes, path.axes, shape)
        return [] if axes is None else self.products(node.inputs[0], path._replace(axes=axes))

    def _pair(self, node: Node, path: _Path, shape: tuple[int, ...]) -> list[Work]:
        sides = [self.shapes.shape(entry) for entry in node.inputs[:2]]
        if len(sides) < 2 or sides[0] is None or sides[1] is None:
            return []
        padded = [(1,) * (len(shape) - len(side)) + side for side in sides if side is not None]
        shared = any(padded[0][axis] > 1 and padded[1][axis] > 1 for axis in path.axes)
        shared = shared or (path.spread and all(size(side) > 1 for side in padded))
        outer = all(size(side) < size(shape) for side in padded)
        product = node.op in ("Mul", "Div") and path.linear
        if shared and (outer or (product and not _one_origin(self.graph, node))):
            length = size(tuple(shape[axis] for axis in path.axes)) or 1
            text = f"{extents(sides[0])} {node.op} {extents(sides[1])}, summed"
            return [Work(size(shape), size(shape) // length, "none", "matrix product", text=text)]
        found: list[Work] = []
        for entry, side in zip(node.inputs[:2], padded, strict=True):
            gap = len(shape) - len(self.shapes.shape(entry) or ())
            axes = frozenset(axis - gap for axis in path.axes if axis >= gap and side[axis] > 1)
            linear = path.linear and node.op in ("Mul", "Div", "Add", "Sub")
            found += self.products(entry, _Path(axes, linear, path.spread))
        return found


def _before_layout(node: Node, shapes: Shapes, axes: frozenset[int], shape: tuple[int, ...]) -> frozenset[int] | None:
    """Return the axes of the input that become ``axes`` of the output; None when the node is no layout change."""
    before = shapes.shape(node.inputs[0]) if node.inputs else None
    if before is None:
        return None
    if node.op == "Transpose":
        order = node.attributes.get("perm") or list(range(len(before)))[::-1]
        return frozenset(order[axis] for axis in axes)
    if node.op in ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "DepthToSpace", "SpaceToDepth"):
        if node.op in ("DepthToSpace", "SpaceToDepth"):
            return frozenset(range(1, len(before)))
        return _before_reshape(before, shape, axes)
    return None


def _before_reshape(before: tuple[int, ...], after: tuple[int, ...], axes: frozenset[int]) -> frozenset[int]:
    """Match runs of axes with equal products; a summed axis stands for every input axis of its run."""
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


def _one_origin(graph: Graph, node: Node) -> bool:
    """Whether both sides come from one and the same value by free operators: an activation, a square, a norm."""
    left, right = (_origins(graph, entry) for entry in node.inputs[:2])
    return len(left) == 1 and left == right


def _origins(graph: Graph, name: str) -> frozenset[str]:
    found: set[str] = set()
    pending = [(name, 0)]
    seen = {name}
    while pending:
        entry, depth = pending.pop()
        constant = graph.constant(entry)
        if constant is not None:
            if constant.size > 1:
                found.add(entry)
            continue
        node = graph.producers.get(entry)
        if node is None or node.domain or node.op not in ORIGIN or depth > DEPTH:
            found.add(entry)
            continue
        single = node.op in SUMMING or node.op in LINEAR or node.op in ("Squeeze", "Unsqueeze")
        for before in node.inputs[:1] if single else node.inputs:
            if before and before not in seen:
                seen.add(before)
                pending.append((before, depth + 1))
    return frozenset(found)


def _inside_sum(graph: Graph, node: Node) -> bool:
    readers = graph.consumers.get(node.outputs[0], [])
    return (
        len(readers) == 1
        and readers[0].op in ("Add", "Sum", "Identity")
        and not readers[0].domain
        and node.outputs[0] not in graph.outputs
    )


def _unrolled(graph: Graph, shapes: Shapes, root: Node) -> list[Work]:
    """Return the products that a written-out sum adds up; only values that nothing else reads belong to it."""
    works: list[Work] = []
    pending = list(root.inputs)
    while pending:
        name = pending.pop()
        node = graph.producers.get(name)
        if node is None or node.domain or len(graph.consumers.get(name, [])) != 1:
            continue
        if node.op in ("Add", "Sum", "Identity", "Neg", "Sub"):
            pending.extend(node.inputs)
        elif node.op in ("Mul", "Div"):
            shape = shapes.shape(name)
            sides = [shapes.shape(entry) for entry in node.inputs]
            scaled = any(side is not None and size(side) == 1 for side in sides)
            if shape is None or (scaled and size(shape) > 1 and _dynamic_scalar(graph, node, shapes)):
                continue
            if not _one_origin(graph, node):
                works.append(Work(size(shape), 0, "none", "matrix product", text=f"{extents(shape)}, sum written out"))
    return works


def _dynamic_scalar(graph: Graph, node: Node, shapes: Shapes) -> bool:
    """Whether one side is a single computed number: a learned mix of whole branches, not a weight of a tap."""
    return any(size(shapes.shape(entry) or ()) == 1 and graph.constant(entry) is None for entry in node.inputs)
