"""What one operator costs, in the challenge's arithmetic.

The rule of LFR19 ("use the same method for the FLOPs calculation") names the organisers' counter. For a convolution
it takes ``(2 * Cin * kh * kw - b) * Hout * Wout * Cout / groups``, with Cin the channels of the whole input and b = 1
without bias, 0 with; for a fully connected layer ``2 * in * out``, minus ``out`` without bias. A product of two
numbers and its addition to a sum are two operations; the first addition of a sum is saved unless a bias starts it.

Everything that sums products is counted the same way here: `Work.macs` products, `Work.sums` first additions that a
missing bias saves. A folded BatchNorm leaves a bias behind that the trained network did not have; whether a bias is
such a one cannot be seen in the file, so convolutions have two counts, `Work.low` and `Work.high`.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Literal, NamedTuple

from pytest_facechallenge.onnx_graph.known_shapes import Shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_facechallenge.onnx_graph.ir import Node

Bias = Literal["none", "real", "perhaps folded"]
Family = Literal[
    "convolution",
    "fully connected",
    "deconvolution",
    "matrix product",
    "attention",
    "recurrent",
    "other",
    "scaled and summed",
]


class CannotCountError(Exception):
    """A node whose cost cannot be found; the message is a sentence that says why."""


class Work(NamedTuple):
    """Cost of one node, once.

    Attributes
    ----------
    macs
        Products that are summed (multiply-accumulates).
    sums
        Operations saved when no bias starts the sums.
    bias
        "perhaps folded": there is a bias, and it may come from a BatchNorm.
    family
        For the tables.
    literal
        Whether the organisers' own counter counts this operator.
    extra
        Operations that are neither, on top of both counts.
    ceiling
        Operations in the costliest reading, for operators whose algorithm is free; 0 when there is one reading only.
    text
        The sizes, for a person: "64x56x56 -> 128x28x28, 3x3".
    """

    macs: int
    sums: int
    bias: Bias
    family: Family
    literal: bool = False
    extra: int = 0
    ceiling: int = 0
    text: str = ""

    @property
    def low(self) -> int:
        """Operations, a bias that may be a folded BatchNorm taken as not there."""
        return max(0, 2 * self.macs - (0 if self.bias == "real" else self.sums)) + self.extra

    @property
    def high(self) -> int:
        """Operations, every bias taken as the network's own."""
        return max(max(0, 2 * self.macs - (self.sums if self.bias == "none" else 0)) + self.extra, self.ceiling)


class Site:
    """A node with the shapes around it: what the counting functions of the operators are given."""

    def __init__(self, node: Node, shapes: Shapes) -> None:
        self.node = node
        self.shapes = shapes

    def has(self, position: int) -> bool:
        """Return whether the optional input is there."""
        return position < len(self.node.inputs) and bool(self.node.inputs[position])

    def input(self, position: int) -> tuple[int, ...]:
        """Return the shape of an input.

        Raises
        ------
        CannotCountError
            The input is missing or its shape is unknown.
        """
        if not self.has(position):
            raise CannotCountError(f"input {position} of {self.node.op} is missing")
        return self._shape(self.node.inputs[position])

    def output(self, position: int = 0) -> tuple[int, ...]:
        """Return the shape of an output; raises like `input`."""
        if position >= len(self.node.outputs) or not self.node.outputs[position]:
            raise CannotCountError(f"output {position} of {self.node.op} is missing")
        return self._shape(self.node.outputs[position])

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self.shapes.shape(name)
        if shape is None:
            raise CannotCountError(f"the shape of {name!r} is not known")
        return shape

    def attribute(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        value = self.node.attributes.get(name, default)
        return value if isinstance(value, int) else default


#: Counting functions by (domain, operator); filled by the modules of the operator families.
if TYPE_CHECKING:
    Counter = Callable[[Site], list[Work]]
COUNTERS: dict[tuple[str, str], Counter] = {}

MICROSOFT = "com.microsoft"


def counts(*operators: str, domain: str = "") -> Callable[[Counter], Counter]:
    """Register a counting function for operators of a domain."""

    def register(function: Counter) -> Counter:
        COUNTERS.update(dict.fromkeys(((domain, operator) for operator in operators), function))
        return function

    return register


def extents(shape: tuple[int, ...]) -> str:
    """Return "64x56x56"; "scalar" for no axes."""
    return "x".join(str(extent) for extent in shape) or "scalar"


def size(shape: tuple[int, ...]) -> int:
    """Return the number of elements."""
    return prod(shape)
