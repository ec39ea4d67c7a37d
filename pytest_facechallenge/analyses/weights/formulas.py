"""What a formula makes, worked out, and whether it is the matrix of a transform rather than weights."""

from __future__ import annotations

import math
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, ValueInfoProto, helper
from onnx.reference import ReferenceEvaluator

from pytest_facechallenge.onnx_graph.open_shapes import infer_open
from pytest_facechallenge.onnx_graph.operators import Along, Trait

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from pytest_facechallenge.onnx_graph.ir import Graph, Node

#: Values with more elements are not worked out.
MOST = 1 << 22
#: What transforms and resamplings compute with takes few different values: the cosines of an n x n transform at most
#: 4n (and so 4 times the root of their number), the basis of a thin-plate spline on 112 x 112 places 1 in 70. A hash,
#: or the sine of a range, takes as many as it has elements.
ROOTS, ONE_IN = 4, 20
#: Such values are sparse (a permutation, a resampling), or have their energy in few frequencies (cosines), or are alike
#: from place to place (the spline: 0.98). A hash of a few levels is none of that: 0.1 of its frequencies hold 0.33.
SPARSE, FREQUENCIES, ENERGY, ALIKE = 0.1, 0.1, 0.9, 0.9


def is_transform(values: npt.NDArray[Any]) -> bool:
    """Return whether an array is what transforms and resamplings compute with, and no weights."""
    if values.dtype.kind not in "fiub":
        return False
    array = np.asarray(values, np.float64).squeeze()
    if not np.isfinite(array).all():
        return False
    array = array / max(float(np.abs(array).max(initial=0.0)), 1e-30)
    # The cosine of a large angle has four good digits in float32.
    different = len(np.unique(np.round(np.abs(array), 4)))
    if different <= ROOTS * isqrt(array.size) + 1:
        return bool((array != 0).mean() <= SPARSE) or _in_few_frequencies(array)
    different = len(np.unique(np.round(np.abs(array), 6)))
    return different * ONE_IN <= array.size and _alike(array) >= ALIKE


def _in_few_frequencies(array: npt.NDArray[np.float64]) -> bool:
    rows = array.reshape(len(array), -1) if array.ndim > 1 else array.reshape(1, -1)
    energy = np.sort(np.abs(np.fft.rfft(rows, axis=1)).ravel() ** 2)[::-1]
    total = float(energy.sum())
    return not total or float(energy[: max(1, int(FREQUENCIES * energy.size))].sum()) >= ENERGY * total


def _alike(array: npt.NDArray[np.float64]) -> float:
    """Return the largest correlation of neighbours along an axis."""
    found = [0.0]
    for axis in range(array.ndim):
        moved = np.moveaxis(array, axis, 0)
        one, other = moved[:-1].ravel(), moved[1:].ravel()
        spread = float(one.std() * other.std()) if one.size else 0.0
        if spread:
            found.append(float(((one - one.mean()) * (other - other.mean())).mean()) / spread)
    return max(found)


def _alone(node: Node) -> ModelProto:
    """Return a model of one node, of the version of the operators that it has: a node alone is run as of the newest."""
    given = [ValueInfoProto(name=name) for name in dict.fromkeys(node.inputs) if name]
    made = [ValueInfoProto(name=name) for name in node.outputs if name]
    graph = helper.make_graph([node.proto], "node", given, made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", max(node.opset, 1))])


def elements_made(node: Node, given: Sequence[npt.NDArray[Any] | None]) -> int:
    """Return how many elements a node's result has at least, where what it is given can make it larger than that.

    Parameters
    ----------
    given
        The node's inputs, in order; None for one that is left out.
    """
    arrays = [array for array in given if array is not None]
    try:
        match node.op:
            case "Expand":
                return math.prod(np.broadcast_shapes(arrays[0].shape, tuple(int(extent) for extent in arrays[1])))
            case "ConstantOfShape":
                return math.prod(int(extent) for extent in arrays[0])
            case "Tile":
                return int(arrays[0].size) * math.prod(int(times) for times in arrays[1])
            case "Range":
                return int(abs(float(arrays[1]) - float(arrays[0])) / max(abs(float(arrays[2])), 1e-30))
            case "OneHot":
                return int(arrays[0].size) * int(arrays[1].reshape(-1)[0])
            case "Pad":
                return int(arrays[0].size) + abs(int(np.abs(arrays[1]).max(initial=0)))
            case "MatMul":
                one, other = arrays[0].shape, arrays[1].shape
                return int(math.prod(np.broadcast_shapes(one[:-2], other[:-2])) * math.prod((*one[-2:-1], *other[-1:])))
        return math.prod(np.broadcast_shapes(*(array.shape for array in arrays))) if arrays else 0
    except (ValueError, IndexError, TypeError, OverflowError):  # no shapes that broadcast: an operator of another kind
        return 0


class Evaluation:
    """The contents of values that stored numbers and sizes alone make: for one image, or, of ``any_batch``, for any."""

    def __init__(self, graph: Graph, *, any_batch: bool = False) -> None:
        self.graph = graph
        self.any_batch = any_batch
        self.known: dict[str, npt.NDArray[Any] | None] = {}
        self.shapes: dict[str, tuple[int | None, ...]] | None = None

    def value(self, name: str) -> npt.NDArray[Any] | None:
        """Return the content of a value; None where it cannot be worked out."""
        try:
            return self._value(name)
        except RecursionError:  # a chain of thousands of nodes: no formula that anybody exports
            return None

    def _value(self, name: str) -> npt.NDArray[Any] | None:
        if name not in self.known:
            self.known[name] = None
            tensor, node = self.graph.constant(name), self.graph.producers.get(name)
            if tensor is not None and tensor.size <= MOST and tensor.dtype != "string":
                self.known[name] = tensor.array()
            elif node is not None:
                self._run(node)
        return self.known[name]

    def _run(self, node: Node) -> None:
        if node.operator.along is Along.SIZES and node.op == "Shape":
            self.shapes = infer_open(self.graph) if self.shapes is None else self.shapes
            extents = self.shapes.get(node.inputs[0])
            if extents is not None and not (self.any_batch and None in extents):
                self.known[node.outputs[0]] = np.array([1 if e is None else e for e in extents], np.int64)
            return
        if node.subgraphs or node.domain or node.operator.has(Trait.RANDOM):
            return
        feeds = {name: self._value(name) for name in node.inputs if name}
        if any(value is None for value in feeds.values()):
            return
        if elements_made(node, [feeds.get(name) for name in node.inputs]) > MOST:
            return
        depth = feeds.get(node.inputs[1]) if node.op == "OneHot" else None
        if depth is not None:
            feeds[node.inputs[1]] = depth.reshape(-1)[:1].reshape(())
        try:
            made = ReferenceEvaluator(_alone(node)).run(None, feeds)
        except MemoryError:  # the run's limit shows nothing about the model
            raise
        except Exception:  # of many types: an operator or a form that it does not have
            return
        found = zip(filter(None, node.outputs), map(np.asarray, made), strict=False)
        self.known |= {output: value for output, value in found if output and value.size <= MOST}
