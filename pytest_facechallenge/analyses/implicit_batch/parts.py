"""Where in a network the two parts lie that an observer takes for two looks at one face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.layer_index import ABOUT_SHAPE, Layer, Structure
from pytest_facechallenge.core.facts.implicit_batch import Observation
from pytest_facechallenge.onnx_graph.ir import Node


@dataclass(frozen=True)
class Part:
    """What one part of a network starts from.

    Attributes
    ----------
    value
        Name of a value.
    readers
        Positions of the nodes that read it as this part's; None: all that read it.
    axis, indices
        Which of its elements belong to the part: all of them when ``axis`` is -1.
    """

    value: str
    readers: frozenset[int] | None = None
    axis: int = -1
    indices: tuple[int, ...] = ()

    def is_read_by(self, position: int, node: Node) -> bool:
        """Whether a node reads the value as this part's."""
        return self.value in node.inputs and (self.readers is None or position in self.readers)


#: By name of a layer's weights: whether each output, and each input, belongs to the first of two groups of channels,
#: bool [outputs], bool [inputs].
Coupling = Mapping[str, tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]


@dataclass(frozen=True)
class Hypothesis:
    """What an observer saw that may be two looks at one face, and where the two lie: an intervention decides.

    Attributes
    ----------
    observation
        As it stands in the facts, without intervention.
    parts
        The two.
    coupling
        Where they are groups of channels with weights between them: which weights.
    behind_activations
        Whether layers carry both parts in all of their results, and only what is behind them tells the two apart.
    """

    observation: Observation
    parts: tuple[Part, Part]
    coupling: Coupling | None = field(default=None, compare=False)
    behind_activations: bool = False


def blocks_of(value: str, axis: int, extent: int, blocks: int, pair: tuple[int, int], interleaved: bool) -> (
    tuple[Part, Part]
):  # fmt: skip
    """Return two blocks of an axis as parts, of neighbouring indices or of every n-th."""
    length = extent // blocks
    first, second = (
        tuple(range(number, extent, blocks) if interleaved else range(number * length, (number + 1) * length))
        for number in pair
    )
    return Part(value, axis=axis, indices=first), Part(value, axis=axis, indices=second)


def results_of(one: str, other: str) -> tuple[Part, Part]:
    """Return the parts of a network that start from two values."""
    return Part(one), Part(other)


def inputs_of(structure: Structure, one: Layer, other: Layer) -> tuple[Part, Part]:
    """Return the parts of a network that start with what two layers work on.

    A node that leads to one of the layers does not belong to the other one's part, although it reads what that layer
    works on: the image mirrored was made from the image.
    """
    return _input_of(structure, one, other), _input_of(structure, other, one)


def _input_of(structure: Structure, layer: Layer, other: Layer) -> Part:
    own, foreign = (structure.position[id(each.node)] for each in (layer, other))
    if layer.data == other.data:
        return Part(layer.data, frozenset({own}))
    leading = structure.ancestors[foreign] | 1 << foreign
    readers = frozenset(
        position
        for position, node in enumerate(structure.nodes)
        if layer.data in node.inputs and node.op not in ABOUT_SHAPE and (position == own or not leading >> position & 1)
    )
    return Part(layer.data, readers)
