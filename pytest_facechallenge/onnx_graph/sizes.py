"""Values that are computed from stored numbers and from sizes alone: their content at any batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from onnx.reference import ReferenceEvaluator

from pytest_facechallenge.onnx_graph.operators import Kind, Trait

if TYPE_CHECKING:
    import numpy.typing as npt

    from pytest_facechallenge.onnx_graph.batch_shapes import BatchShapes
    from pytest_facechallenge.onnx_graph.ir import Node

#: Values with more elements are not evaluated: they are no sizes.
MOST_ELEMENTS = 4096
#: Batch sizes at which a value that was computed from the batch is looked at.
BATCHES = (*range(1, 66), 100, 127, 128, 129, 200, 255, 256, 257, 500, 512, 1000, 1024)

COMPARING = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
#: Operators that move the elements of input 0, and of nothing else.
_MOVING = frozenset(
    {"Gather", "Slice", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Identity", "Split", "Expand", "Tile"}
)


class Content(NamedTuple):
    """The content of a value at one batch size.

    Attributes
    ----------
    values
        An array of any shape.
    counted
        Boolean array of the same shape: which elements were computed from the batch size.
    compared
        Whether the batch size was compared with something on the way.
    """

    values: npt.NDArray[Any]
    counted: npt.NDArray[np.bool_]
    compared: bool = False


class Sizes:
    """Evaluates what a graph computes from sizes.

    Parameters
    ----------
    shapes
        Of the graph, which may be a subgraph.
    outer
        The sizes of the graph around it.
    """

    def __init__(self, shapes: BatchShapes, outer: Sizes | None = None) -> None:
        self.shapes = shapes
        self.outer = outer
        self._known: dict[tuple[str, int], Content | None] = {}
        self._depends: dict[str, bool] = {}
        self._evaluators: dict[int, ReferenceEvaluator] = {}

    def content(self, name: str, images: int = 3) -> Content | None:
        """Return the content for a batch of ``images``; None when it is not computed from sizes, or is large."""
        pending = [name]
        opened: set[str] = set()
        while pending:  # not by recursion: a chain of sizes may be thousands of nodes long
            one = pending[-1]
            node = self.shapes.graph.producers.get(one)
            missing = [] if node is None or one in opened else self._unknown(node, images)
            opened.add(one)
            if missing and (one, images) not in self._known:
                pending += missing
                continue
            pending.pop()
            if (one, images) not in self._known:
                self._known[one, images] = self._found(one, images)
        return self._known[name, images]

    def _unknown(self, node: Node, images: int) -> list[str]:
        """Return the inputs of a node that have to be looked at before it."""
        if node.subgraphs or node.operator.kind is Kind.ABOUT_SHAPE:
            return []
        return [name for name in node.inputs if name and (name, images) not in self._known]

    def depends_on_batch(self, name: str) -> bool:
        """Return whether the content changes with the batch size."""
        if name not in self._depends:
            self._depends[name] = self._changes(name)
        return self._depends[name]

    def _changes(self, name: str) -> bool:
        first = self.content(name)
        if first is None or not first.counted.any():
            return False
        if first.compared:
            return True
        others = (self.content(name, images) for images in BATCHES)
        return any(other is not None and not np.array_equal(other.values, first.values) for other in others)

    def deciding_batches(self, name: str) -> tuple[int, ...]:
        """Return the smallest batch size for each content that a value takes, of at most eight contents."""
        seen: dict[bytes, int] = {}
        for images in BATCHES:
            found = self.content(name, images)
            if found is not None and len(seen) < 8:
                seen.setdefault(found.values.tobytes(), images)
        return tuple(sorted(seen.values()))

    def _found(self, name: str, images: int) -> Content | None:
        graph = self.shapes.graph
        tensor = graph.constants.get(name)
        if tensor is not None:
            if tensor.size > MOST_ELEMENTS or tensor.dtype == "string":
                return None
            values = tensor.array()
            return Content(values, np.zeros(values.shape, bool))
        node = graph.producers.get(name)
        if node is None:
            return None if self.outer is None or name in graph.inputs else self.outer.content(name, images)
        return self._made(node, node.outputs.index(name), images)

    def _made(self, node: Node, place: int, images: int) -> Content | None:
        if node.subgraphs or node.domain or node.operator.has(Trait.RANDOM):
            return None
        if node.operator.kind is Kind.ABOUT_SHAPE:
            return self._of_shape(node, images)
        inputs = [self.content(name, images) if name else None for name in node.inputs]
        if any(found is None for found, name in zip(inputs, node.inputs, strict=True) if name):
            return None
        given = [found for found in inputs if found is not None]
        values = self._run(node, [None if found is None else found.values for found in inputs])
        if values is None or values[place].size > MOST_ELEMENTS:
            return None
        compared = any(found.compared for found in given) or (
            node.op in COMPARING and any(found.counted.any() for found in given)
        )
        return Content(values[place], self._counted(node, inputs, values[place], place), compared)

    def _of_shape(self, node: Node, images: int) -> Content | None:
        dims = self.shapes.dims(node.inputs[0]) if node.op in ("Shape", "Size") else None
        if dims is None:
            return None
        known = [extent for extent in dims if extent is not None]
        if len(known) != len(dims):
            return None
        values = np.array([extent.at(images) for extent in known], np.int64)
        counted = np.array([extent.batch for extent in known], bool)
        if node.op == "Size":
            return Content(np.asarray(values.prod()), np.asarray(counted.any()))
        cut = slice(node.attributes.get("start", 0), node.attributes.get("end"))
        return Content(values[cut], counted[cut])

    def _counted(
        self, node: Node, inputs: list[Content | None], values: npt.NDArray[Any], place: int
    ) -> npt.NDArray[np.bool_]:
        given = [found for found in inputs if found is not None]
        if not any(found.counted.any() for found in given):
            return np.zeros(values.shape, bool)
        if node.op == "Cast":
            return given[0].counted
        steered = any(found.counted.any() for found in given[1:])
        if node.op == "Concat" or (node.op in _MOVING and not steered):
            kinds: list[npt.NDArray[Any] | None] = [None if found is None else found.values for found in inputs]
            for at, found in enumerate(inputs):
                if found is not None and (at == 0 or node.op == "Concat"):
                    kinds[at] = found.counted.astype(np.int64)
            moved = self._run(node, kinds)
            if moved is not None:
                return moved[place].astype(bool)
        if node.op == "ConstantOfShape" or (node.op in ("Expand", "Tile") and not given[0].counted.any()):
            return np.zeros(values.shape, bool)  # as many as there are images, and the same for each
        if node.operator.kind in (Kind.PAIR, Kind.UNARY):
            try:
                return np.broadcast_to(np.logical_or.reduce(np.broadcast_arrays(*(f.counted for f in given))),
                                       values.shape)  # fmt: skip
            except ValueError:
                pass
        return np.ones(values.shape, bool)

    def _run(self, node: Node, inputs: list[npt.NDArray[Any] | None]) -> list[npt.NDArray[Any]] | None:
        if id(node) not in self._evaluators:
            try:
                self._evaluators[id(node)] = ReferenceEvaluator(node.proto, opsets={"": max(node.opset, 1)})
            except Exception:  # of many types: an operator that it does not have
                return None
        feeds = {name: value for name, value in zip(node.inputs, inputs, strict=True) if name}
        try:
            found = self._evaluators[id(node)].run(None, feeds)
        except Exception:  # of many types: the node does not work at this batch size
            return None
        return [np.asarray(value) for value in found]
