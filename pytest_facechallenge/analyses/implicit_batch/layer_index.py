"""Which nodes compute with weights, at which cost, and which depend on which, in a model without control flow."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.movement import averages, interpolates, picks
from pytest_facechallenge.analyses.implicit_batch.runner import Held
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.onnx_graph.ir import Graph, Node
from pytest_facechallenge.onnx_graph.operators import Kind, Trait, names

Array = npt.NDArray[Any]

CONVOLUTIONS = names(Kind.CONVOLUTION, Trait.STANDARD_WEIGHTS)
RECURRENT = names(Kind.RECURRENT, Trait.STANDARD_WEIGHTS)
PRODUCTS = names(Kind.PRODUCT, Trait.STANDARD_WEIGHTS)

#: Operators that treat each element alone (given one varying input of the output's size): they move nothing.
ELEMENTWISE = names(Trait.IN_PLACE)

POOLING = names(Trait.POOLS)

#: Results that describe a tensor instead of holding its data.
ABOUT_SHAPE = names(Kind.ABOUT_SHAPE)


@dataclass(frozen=True, eq=False)
class Layer:
    """One execution of an operator with weights.

    Attributes
    ----------
    node, data, weight
        The call, the value that it works on, and the name of its constant.
    contracted
        The axis of ``data`` over which it sums (channels); counted from the front.
    macs
        Multiply-adds for one image.
    groups
        Of a convolution, else 1.
    """

    node: Node
    data: str
    weight: str
    contracted: int
    macs: int
    groups: int

    @property
    def settings(self) -> tuple[Any, ...]:
        """What of the call besides weights decides its result: stride, dilation and the like."""
        names = ("strides", "dilations", "group", "alpha", "transA", "transB", "equation", "direction")
        return tuple(str(self.node.attributes.get(name)) for name in names)


class Region(NamedTuple):
    """What lies between a value and the layers (or the image) that it was made from.

    Attributes
    ----------
    nodes
        Without weights, last first.
    roots
        The values at which layers or the image were met.
    """

    nodes: tuple[Node, ...]
    roots: frozenset[str]


class Structure:
    """The facts about a flat graph that need one run for one image.

    Parameters
    ----------
    graph
        Without control flow.
    survey
        Every tensor of it for one image (N = 1), the image among them.
    image
        Name of the input.

    Attributes
    ----------
    layers
        Executions with weights, in graph order.
    shapes
        Of every tensor, for one image.
    varying
        Names of the values that depend on what the image shows.
    total_macs
        Multiply-adds of all products and convolutions with weights, for one image.
    """

    def __init__(self, graph: Graph, survey: Mapping[str, Held], image: str, limits: Thresholds) -> None:
        self.graph = graph
        self._limits = limits
        self.image = image
        self.shapes: dict[str, tuple[int, ...]] = {name: held.shape for name, held in survey.items()}
        self.nodes: list[Node] = graph.nodes
        self.position = {id(node): index for index, node in enumerate(self.nodes)}
        self.producer: dict[str, Node] = graph.producers
        self.varying = self._varying()
        self._constants = {name: held for name, held in survey.items() if name not in self.varying}
        self._survey = survey
        #: By a layer's node: what connects its channels; see `channel_groups.mixing`.
        self.mixed: dict[int, Array | None] = {}
        self._read: dict[str, Array] = {}  # of the survey: constants, and weights that depend on the image
        self.layers = tuple(layer for node in self.nodes if (layer := self._layer(node)) is not None)
        self._survey = {}  # read by now; it holds every tensor of the model
        self.layer_of: dict[int, Layer] = {id(layer.node): layer for layer in self.layers}
        self.total_macs = sum(layer.macs for layer in self.layers)

    def constant(self, name: str) -> Array | None:
        """Return the values of an initializer, or of anything computed from constants alone."""
        tensor = self.graph.constant(name)
        if tensor is not None:
            return tensor.array()
        if name in self._constants and name not in self._read:
            self._read[name] = self._constants[name].array()
        return self._read.get(name)

    def _varying(self) -> set[str]:
        """Values that depend on the image's content (not only on its shape)."""
        varying = {self.image}
        for node in self.nodes:
            if node.op not in ABOUT_SHAPE and varying & set(node.inputs):
                varying |= {name for name in node.outputs if name}
        return varying

    def _layer(self, node: Node) -> Layer | None:
        kind = node.op
        if kind not in CONVOLUTIONS | RECURRENT | PRODUCTS:
            return None
        moving = [index for index, name in enumerate(node.inputs) if name in self.varying]
        fixed = [
            index
            for index, name in enumerate(node.inputs)
            if name and name not in self.varying and prod(self._shape(name)) > 1
        ]
        if kind in CONVOLUTIONS:
            moving = moving[:1]
        if not fixed and len(moving) and self._computed_weight(node, kind):
            fixed = [1]
        if not moving or not fixed:
            return None
        data, weight = node.inputs[moving[0]], node.inputs[self._weight_position(kind, moving[0], fixed)]
        shape, out = self._shape(data), prod(self._shape(node.outputs[0]))
        values = self._shape(weight)
        groups = int(node.attributes.get("group", 1)) if kind in CONVOLUTIONS else 1
        if kind == "ConvTranspose":
            macs, axis = prod(shape) * prod(values[1:]), 1
        elif kind in CONVOLUTIONS:
            macs, axis = out * prod(values[1:]), 1
        elif kind in RECURRENT:
            length = prod(shape[:-1])
            macs, axis = length * sum(prod(self._shape(node.inputs[i])) for i in (1, 2) if i < len(node.inputs)), 2
        elif kind == "Einsum":
            axis = _einsum_axis(str(node.attributes.get("equation", "")), moving[0], len(shape))
            macs = out * shape[axis] if shape else out
        else:
            first = moving[0] == 0
            transposed = bool(node.attributes.get("transA" if first else "transB", 0))
            axis = len(shape) - 1 if first != transposed else max(0, len(shape) - 2)
            macs = out * (shape[axis] if shape else 1)
        layer = Layer(node, data, weight, axis, macs, groups)
        return None if self._only_moves(layer) else layer

    def _computed_weight(self, node: Node, kind: str) -> bool:
        """Whether the second input is a weight that (also) depends on the image: a dynamic layer, or a hidden one."""
        if len(node.inputs) < 2 or node.inputs[1] not in self.varying or node.inputs[0] == node.inputs[1]:
            return False
        name = node.inputs[1]
        if not (kind in CONVOLUTIONS or (kind in ("MatMul", "Gemm") and len(self._shape(name)) == 2)):
            return False
        self._read[name] = self._survey[name].array()
        return True

    def _weight_position(self, kind: str, data: int, fixed: list[int]) -> int:
        if kind in PRODUCTS and kind not in ("QLinearMatMul", "Einsum"):
            return next((index for index in fixed if index in (0, 1)), fixed[0])
        if kind in ("QLinearConv", "QLinearMatMul"):
            return 3 if 3 in fixed else fixed[0]
        return next((index for index in fixed if index > data), fixed[0])

    def _shape(self, name: str) -> tuple[int, ...]:
        tensor = self.graph.constant(name)
        return tensor.shape if tensor is not None else self.shapes.get(name, ())

    def _only_moves(self, layer: Layer) -> bool:
        """Whether the weights only pick or interpolate: at most 4 used inputs per output, none negative, sum alike.

        A permutation, a crop, a shift or a bilinear resize written as a product is data movement, not a layer.
        """
        limits = self._limits
        smallest = limits.movement.smallest
        weights = self.constant(layer.weight)
        if weights is None or weights.dtype.kind not in "fiu":
            return False
        if layer.node.op in CONVOLUTIONS:
            rows = weights.reshape(weights.shape[0], -1)
            if weights.shape[1] == 1 and layer.groups > 1 and averages(rows, limits):
                return True
            return rows.shape[1] > 1 and picks(rows, limits)
        if layer.node.op in RECURRENT:
            return False
        if weights.ndim < 2:
            return False
        ways = (np.swapaxes(weights, -1, -2).reshape(-1, weights.shape[-2]), weights.reshape(-1, weights.shape[-1]))
        if layer.node.op == "Einsum":
            return any(min(rows.shape) >= smallest and interpolates(rows, limits) for rows in ways)
        first = layer.node.inputs[0] == layer.data
        rows = ways[0] if first != bool(layer.node.attributes.get("transB", 0)) else ways[1]
        return bool(min(rows.shape) >= smallest) and interpolates(rows, limits)

    def without(self, layers: Iterable[Layer]) -> Structure:
        """Return the same with some executions taken off the list of layers: their products only moved data.

        Their multiply-adds still count.
        """
        gone = {id(layer.node) for layer in layers}
        changed = copy.copy(self)
        changed.layers = tuple(layer for layer in self.layers if id(layer.node) not in gone)
        changed.layer_of = {id(layer.node): layer for layer in changed.layers}
        return changed

    def depends(self, later: Layer, earlier: Layer) -> bool:
        """Whether one layer works on something that the other one made."""
        return bool(self.ancestors[self.position[id(later.node)]] >> self.position[id(earlier.node)] & 1)

    def before(self, name: str) -> int:
        """Return the nodes that a value depends on as a bit set of their positions, its own node among them."""
        producer = self.producer.get(name)
        if producer is None or name not in self.varying:
            return 0
        place = self.position[id(producer)]
        return self.ancestors[place] | 1 << place

    @cached_property
    def ancestors(self) -> list[int]:
        """For each node by position: a bit set of the positions of the nodes that it depends on."""
        sets: list[int] = []
        for node in self.nodes:
            bits = 0
            for name in node.inputs:
                producer = self.producer.get(name)
                if producer is not None and name in self.varying:
                    index = self.position[id(producer)]
                    bits |= sets[index] | (1 << index)
            sets.append(bits)
        return sets

    def parallel(self, one: Node, other: Node) -> bool:
        """Whether neither depends on the other."""
        a, b = self.position[id(one)], self.position[id(other)]
        return a != b and not (self.ancestors[a] >> b) & 1 and not (self.ancestors[b] >> a) & 1

    def region(self, name: str) -> Region:
        """Follow a value back to the layers (or the image) it was made from."""
        nodes: list[Node] = []
        met: set[int] = set()
        roots: set[str] = set()
        seen: set[str] = set()
        pending = [name]
        while pending:
            current = pending.pop()
            if current in seen or current not in self.varying:
                continue
            seen.add(current)
            producer = self.producer.get(current)
            if producer is None or id(producer) in self.layer_of:
                roots.add(current)
                continue
            if id(producer) not in met:
                met.add(id(producer))
                nodes.append(producer)
            pending.extend(producer.inputs)
        nodes.sort(key=lambda node: -self.position[id(node)])
        return Region(tuple(nodes), frozenset(roots))

    def moves(self, node: Node) -> bool:
        """Whether the node may put data to another place or copy it (anything not plainly elementwise may)."""
        if node.op not in ELEMENTWISE:
            return True
        size = prod(self._shape(node.outputs[0]))
        return all(prod(self._shape(name)) < size for name in node.inputs if name in self.varying)


def is_map(shape: tuple[int, ...]) -> bool:
    """Whether a value of this shape has more than one row and column at its end."""
    return min(shape[-2:], default=1) > 1


def _einsum_axis(equation: str, operand: int, rank: int) -> int:
    """Return the first axis of the operand that the equation sums over."""
    terms, _, result = equation.replace(" ", "").partition("->")
    letters = terms.split(",")[operand].replace("...", "")
    for index, letter in enumerate(letters):
        if letter not in result:
            return rank - len(letters) + index
    return max(0, rank - 1)
