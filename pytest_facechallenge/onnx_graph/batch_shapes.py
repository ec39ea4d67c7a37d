"""Shapes that hold for every batch size: each extent is a number, or a number times the batch."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from pytest_facechallenge.onnx_graph.shapes import infer

if TYPE_CHECKING:
    from pytest_facechallenge.onnx_graph.ir import Graph, Node
    from pytest_facechallenge.onnx_graph.known_shapes import Shapes

#: Two batch sizes tell how an extent grows: both are small, because a graph may have to be run to find its shapes.
FEW, MORE = 2, 3


class Extent(NamedTuple):
    """``factor``, or ``factor`` times the batch."""

    factor: int
    batch: bool = False

    def at(self, images: int) -> int:
        """Return the extent for a batch of that size."""
        return self.factor * images if self.batch else self.factor


#: None stands for an extent that is neither.
Dims = tuple[Extent | None, ...]


class BatchShapes:
    """Shapes of the values of one graph, and of its subgraphs, for any batch.

    Parameters
    ----------
    few, more
        Shapes for batches of `FEW` and `MORE`.
    """

    def __init__(self, few: Shapes, more: Shapes) -> None:
        self.few = few
        self.more = more
        self._bodies: dict[tuple[int, str], BatchShapes] = {}

    @classmethod
    def of(cls, graph: Graph) -> BatchShapes | None:
        """Return the shapes of a main graph; None when it cannot be evaluated at several batch sizes."""
        found = cls(infer(graph, batch=FEW), infer(graph, batch=MORE))
        return found if (found.few.batch, found.more.batch) == (FEW, MORE) else None

    @cached_property
    def graph(self) -> Graph:
        """The graph whose shapes these are."""
        return self.few.graph

    def dims(self, name: str) -> Dims | None:
        """Return the extents of a value; None when its shape is not known."""
        few, more = self.few.shape(name), self.more.shape(name)
        if few is None or more is None or len(few) != len(more):
            return None
        return tuple(_extent(one, other) for one, other in zip(few, more, strict=True))

    def depends_on_image(self, name: str) -> bool:
        """Return whether the content of a value can differ between two images."""
        return self.few.depends_on_image(name)

    def body(self, node: Node, attribute: str) -> BatchShapes:
        """Return the shapes inside a subgraph of a node of this graph."""
        key = (node.index, attribute)
        if key not in self._bodies:
            self._bodies[key] = BatchShapes(self.few.body(node, attribute), self.more.body(node, attribute))
        return self._bodies[key]


def _extent(few: int, more: int) -> Extent | None:
    if few == more:
        return Extent(few)
    return Extent(few // FEW, True) if few % FEW == 0 and few * MORE == more * FEW else None
