"""Facts of the step ``outline``: which nodes feed which, so that a reader can be shown where a finding lies."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts

#: What stands for an input and an output of the model in a list of nodes: no operator has such a name.
INPUT, OUTPUT = "input", "output"


class OutlineNode(msgspec.Struct, frozen=True, array_like=True):
    """A node, or an input or output of the model.

    Attributes
    ----------
    name
        Its label, as findings name it; the value's name for an input or output.
    op
        Its operator, `INPUT` or `OUTPUT`.
    sources
        Positions, in the list of all nodes, of those that it reads from; each stands before it.
    """

    name: str
    op: str
    sources: tuple[int, ...] = ()


class OutlineFacts(StepFacts, frozen=True, kw_only=True):
    """The shape of the network without its numbers.

    Attributes
    ----------
    nodes
        Inputs of the model first, then nodes, those of a subgraph behind the node that holds it, then outputs; none
        where there are too many.
    left_out
        How many there are where there are too many.
    """

    step: ClassVar[str] = "outline"

    nodes: tuple[OutlineNode, ...] = ()
    left_out: int = 0
