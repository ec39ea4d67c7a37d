"""What is known of the values of a graph: types, shapes, contents, and whether they depend on the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy.typing as npt

    from pytest_facechallenge.onnx_graph.ir import Graph, Node

Shape = tuple[int, ...]


class Typed(NamedTuple):
    """What is known of a value: ONNX element type (0: unknown) and shape (None: unknown)."""

    kind: int
    shape: Shape | None


#: Finds the shapes inside a body of a node, given those around it.
InferBody = Callable[["Shapes", "Node", "Graph"], "Shapes"]


class Shapes:
    """Shapes of the values of one graph, and lazily of its subgraphs.

    Attributes
    ----------
    graph, outer
        The graph, and the shapes of the graph around it.
    known, values
        What was found: types and shapes, and the content of values that is the same for every image.
    problems
        What stood in the way of knowing every shape, in sentences.
    assumed
        Axes of the input that the model leaves open and that were filled in, in sentences.
    unsound
        Nodes that cannot work with these shapes, in sentences.
    ran
        Whether onnxruntime was needed.
    batch
        How many images the shapes are for.
    """

    def __init__(self, graph: Graph, infer_body: InferBody, outer: Shapes | None = None) -> None:
        self.graph = graph
        self.outer = outer
        self._infer_body = infer_body
        self.known: dict[str, Typed] = {}
        self.values: dict[str, npt.NDArray[Any]] = {}
        self.problems: list[str] = []
        self.assumed: list[str] = []
        self.unsound: list[str] = []
        self.ran = False
        self.batch = 1
        self._bodies: dict[tuple[int, str], Shapes] = {}
        #: Values that depend on what is in the image (not merely on its size).
        self.portrayed: set[str] = set()
        #: The same, with those that differ between the turns of a loop.
        self.varying: set[str] = set()

    def typed(self, name: str) -> Typed:
        """Return what is known of the value, seen from this graph."""
        if name in self.known:
            return self.known[name]
        constant = self.graph.constant(name)
        if constant is not None:
            return Typed(constant.proto.data_type, constant.shape)
        if name in self.graph.sparse:
            sparse = self.graph.sparse[name]
            return Typed(sparse.values.data_type, tuple(sparse.dims))
        return self.outer.typed(name) if self.outer is not None else Typed(0, None)

    def shape(self, name: str) -> Shape | None:
        """Return the shape, or None when it is unknown or the value is no tensor."""
        return self.typed(name).shape if name else None

    def value(self, name: str) -> npt.NDArray[Any] | None:
        """Return the content of a constant, or of a value found to be the same for every image, or None."""
        if not name:
            return None
        if name in self.values:
            return self.values[name]
        constant = self.graph.constant(name)
        if constant is not None:
            return constant.array()
        return self.outer.value(name) if self.outer is not None else None

    def depends_on_image(self, name: str) -> bool:
        """Return whether the content of the value can differ between two images."""
        if name in self.portrayed:
            return True
        if name in self.graph.producers or name in self.graph.constants or name in self.graph.inputs:
            return False
        return self.outer is not None and self.outer.depends_on_image(name)

    def body(self, node: Node, attribute: str) -> Shapes:
        """Return the shapes inside a subgraph of a node of this graph."""
        key = (node.index, attribute)
        if key not in self._bodies:
            self._bodies[key] = self._infer_body(self, node, node.subgraphs[attribute])
        return self._bodies[key]
