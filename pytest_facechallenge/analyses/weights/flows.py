"""What is known of stored numbers on their way to the place where they meet the image: roots, events, flows, sinks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from pytest_facechallenge.analyses.weights.formulas import Evaluation
from pytest_facechallenge.core import dtypes
from pytest_facechallenge.onnx_graph.ir import Graph, Tensor
from pytest_facechallenge.onnx_graph.open_shapes import ElementCounts

#: A stored tensor of at most this many elements is a parameter of one operator, not a store of weights.
MANY = 16


@dataclass(frozen=True)
class Root:
    """One stored tensor as a source of numbers."""

    index: int
    where: str
    dtype: str
    elements: int
    source: Tensor | onnx.SparseTensorProto
    stored_bits: int | None = None

    @property
    def bits(self) -> int:
        """Bits of one element in the file, fewer than its type says where small integers are written short.

        0 for strings.
        """
        return self.stored_bits if self.stored_bits is not None else dtypes.bits(self.dtype)

    @property
    def wide(self) -> bool:
        """Whether one element is at least as wide as a float32."""
        return self.bits >= dtypes.WIDE

    @property
    def bytes(self) -> int:
        """Bytes that the elements take; for strings, their lengths."""
        if self.dtype == "string" and isinstance(self.source, Tensor):
            return sum(len(text) for text in self.source.proto.string_data)
        return (self.elements * self.bits + 7) // 8

    def array(self) -> npt.NDArray[np.generic]:
        """Return the stored values (of a sparse tensor: those that are stored)."""
        if isinstance(self.source, Tensor):
            return self.source.array()
        return np.asarray(numpy_helper.to_array(self.source.values))


@dataclass(frozen=True)
class Event:
    """A place where numbers become weights that were not stored as such.

    Attributes
    ----------
    kind
        "integers", "text", "packed" or "codebook".
    value
        Name of the value that holds them; its size is their number. Empty when ``elements`` is known.
    roots
        The stored tensors they come from.
    triggers
        Those whose values decide them: when all of these follow a pattern, nothing was hidden.
    bounded
        Whether it makes at most as many weights as its stored tensors have elements.
    whole
        Whether it is a stored matrix or kernel again: divided by its own deviation, or its part above or below a
        bound (relu(w) and relu(-w) together are w).
    before
        The events that what it works on comes from: generations of one store, put together, are as many numbers as
        all of them made.
    veiled, held
        Whether it works on features to which stored numbers were added; how many numbers these are, None where that is
        not known.
    """

    index: int
    kind: str
    value: str
    node: str
    roots: frozenset[int]
    triggers: frozenset[int]
    elements: int | None = None
    bounded: bool = False
    whole: bool = False
    before: frozenset[int] = frozenset()
    held: int | None = None
    veiled: bool = False


@dataclass(frozen=True)
class Flow:
    """What is known of a value: whether only stored numbers made it, from which, and with which events.

    ``plain`` are those of ``roots`` of which a part is in it that no event made. ``held`` is how many stored numbers
    features still hold that they were added to; None where that is not known.
    """

    constant: bool = True
    roots: frozenset[int] = frozenset()
    events: frozenset[int] = frozenset()
    kind: str = ""
    plain: frozenset[int] = frozenset()
    held: int | None = None

    def __or__(self, other: Flow) -> Flow:
        return Flow(
            self.constant and other.constant,
            self.roots | other.roots,
            self.events | other.events,
            self.kind if self.kind == other.kind else self.kind or other.kind,
            self.plain | other.plain,
        )


@dataclass(frozen=True)
class Sink:
    """A place where stored numbers meet what was computed from the image.

    ``learned`` says whether the operator there has trained parameters among its inputs: then even a handful of
    integers is a weight. ``op`` and ``value`` name the operator and what it gets; "" inside of bodies, where a value is
    another one in each turn.
    """

    node: str
    learned: bool
    flow: Flow
    chooses: bool = False
    op: str = ""
    value: str = ""


#: A value that depends on the image.
IMAGE = Flow(constant=False)


@dataclass
class Trace:
    """Everything that following the numbers found; ``sizes`` tells how many elements each value has.

    ``evaluation`` works values out that stored numbers and sizes alone make.
    """

    sizes: ElementCounts
    evaluation: Evaluation
    roots: list[Root] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    sinks: list[Sink] = field(default_factory=list)

    def size(self, name: str, *, of_one_row: bool = False) -> int | None:
        """Return how many elements a value has, worked out where its shape is computed of stored numbers.

        Parameters
        ----------
        of_one_row
            Whether a value with a row for each image, which stored numbers alone make, counts once.
        """
        size = self.sizes[name]
        if size is not None:
            return size
        value = self.evaluation.value(name)
        if value is not None:
            return value.size
        return self.sizes.of_one_row(name) if of_one_row else None


def depth_of(graph: Graph) -> int:
    """Return in how many bodies a graph lies."""
    depth = 0
    while graph.parent is not None:
        depth, graph = depth + 1, graph.parent
    return depth
