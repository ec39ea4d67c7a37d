"""Shapes that hold for every batch: worked out without assuming anything that the file leaves open."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from onnx import helper, shape_inference
from onnx.checker import ValidationError

from pytest_facechallenge.onnx_graph.ir import GraphError
from pytest_facechallenge.onnx_graph.protos import bodies, count
from pytest_facechallenge.onnx_graph.strip import stripped_in_order

if TYPE_CHECKING:
    import onnx

    from pytest_facechallenge.onnx_graph.ir import Graph


def infer_open(graph: Graph) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of the values of a main graph and its subgraphs by name, as far as inference finds them.

    Shapes that the file itself declares for values inside the graph are not believed. An extent that the file leaves
    open, or that follows from such a one, is None. Where a name stands in several graphs, any of them.

    Raises
    ------
    GraphError
        Inference does not get through the graph. That is not the same as finding no shapes: a model could be made so
        that nothing which depends on a shape is seen in it.
    """
    inferred = _inferred(graph)
    known: dict[str, tuple[int | None, ...]] = {name: tuple(each.dims) for name, each in graph.sparse.items()}
    pending = [inferred.graph]
    while pending:
        part = pending.pop()
        for value in [*part.input, *part.value_info, *part.output]:
            kind = value.type.tensor_type
            if kind.HasField("shape"):
                known[value.name] = tuple(_extent(dim) for dim in kind.shape.dim)
        known |= {tensor.name: tuple(tensor.dims) for tensor in part.initializer}
        pending += [body for node in part.node for body in bodies(node)]
    return known


def of_the_batch(graph: Graph) -> frozenset[str]:
    """Return the values of a main graph whose first extent has the name of the first input's first: the batch.

    Raises
    ------
    GraphError
        As `infer_open`.
    """
    inferred = _inferred(graph).graph
    dims = inferred.input[0].type.tensor_type.shape.dim if inferred.input else ()
    batch = dims[0].dim_param if dims else ""
    return frozenset(
        value.name
        for value in [*inferred.value_info, *inferred.output]
        if batch and len(value.type.tensor_type.shape.dim) and value.type.tensor_type.shape.dim[0].dim_param == batch
    )


def _inferred(graph: Graph) -> onnx.ModelProto:
    """Return a graph's model with the shapes that inference finds."""
    opsets = [helper.make_opsetid(domain, version) for domain, version in graph.opsets.items()]
    model = helper.make_model(stripped_in_order(graph), opset_imports=opsets, ir_version=10)
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True)
    except (shape_inference.InferenceError, ValidationError, RuntimeError, ValueError, TypeError) as error:
        raise GraphError(
            f"the shapes of its values cannot be inferred: {' '.join(str(error).split())[:300]}"
        ) from error
    return inferred


def _extent(dim: onnx.TensorShapeProto.Dimension) -> int | None:
    return int(dim.dim_value) if dim.HasField("dim_value") else None


class ElementCounts:
    """Numbers of elements of values, worked out when somebody asks for the first."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __getitem__(self, value: str) -> int | None:
        """Return the number of elements of ``value``; None when it is not the same for every batch, or not known.

        Raises
        ------
        GraphError
            As `infer_open`.
        """
        extents = self._shapes.get(value)
        if extents is None:
            return None
        known = [extent for extent in extents if extent is not None]
        return count(known) if len(known) == len(extents) else None

    def of_one_row(self, value: str) -> int | None:
        """Return the number of elements for one image, where the first extent alone is open, and is the input's first.

        Any other open extent may be any number.

        Raises
        ------
        GraphError
            As `infer_open`.
        """
        extents = self._shapes.get(value)
        if not extents or None in extents[1:] or value not in self._rows:
            return self[value]
        return count([extent for extent in extents[1:] if extent is not None])

    @cached_property
    def _rows(self) -> frozenset[str]:
        return of_the_batch(self.graph)

    @cached_property
    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        return infer_open(self.graph)
