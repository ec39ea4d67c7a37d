"""Facts of the steps ``flops`` and ``flops_crosscheck``: what one image costs, layer by layer."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts


class Layer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One node that costs something; stored as a plain list, in this order, to keep reports small.

    Attributes
    ----------
    node, op, family
        Its name (with the path of the subgraph that holds it), its operator, and what kind of work it is.
    text
        Its sizes.
    low, high
        FLOPs for one image, all repetitions together: a bias that may be a folded BatchNorm not counted, counted.
    macs
        Multiply-accumulates.
    times
        How often it is run for one image.
    literal
        Whether the organisers' own counter counts this operator.
    """

    node: str
    op: str
    family: str
    text: str
    low: int
    high: int
    macs: int
    times: int
    literal: bool


class Uncounted(msgspec.Struct, frozen=True, kw_only=True):
    """A node whose cost could not be found, and why, as a sentence without the node's name."""

    node: str
    op: str
    why: str


class FreeWork(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One node of arithmetic that the method gives 0, and how many values of the image it works on."""

    node: str
    op: str
    values: int


class FlopsFacts(StepFacts, frozen=True, kw_only=True):
    """What one image costs.

    Attributes
    ----------
    image
        The inputs the figures are for: "data 1x3x112x112".
    batch
        How many images the figures are for: 1, unless the model is fixed to another number in its inside.
    low, high
        FLOPs in the challenge's arithmetic extended to every contraction, biases that may be folded BatchNorms taken
        as not there (the judged figure), and taken as the network's own.
    literal
        FLOPs by the organisers' counter's arithmetic, taken literally on this graph: convolutions and fully connected
        layers only, every bias counted.
    macs
        Multiply-accumulates, what thop, ptflops and fvcore print.
    parameters
        Numbers in floating-point constants, without running means and variances of BatchNormalization and without
        constants of one number.
    layers
        Every node that costs something, dearest first.
    families
        FLOPs (low) by kind of work, dearest first.
    uncounted
        Nodes whose cost could not be found: the figures are then lower bounds.
    once
        FLOPs of work on constants alone: done once when the model is loaded, the same for every image, not in the
        figures.
    touched
        Values of the image that operators counted as 0 work on (element-wise work, sums, pooling), each once for
        every such operator: a bound of what could hide in them.
    free
        The nodes that work on most of those, largest first.
    unused
        Nodes whose results reach no output; not in the figures.
    assumed
        Sizes that the model leaves open and that were filled in, in sentences: the figures rest on them.
    problems
        What else was found wrong, in sentences (empty tensors, shapes that cannot be found).
    remarks
        Readings that the figures rest on (the dearer branch of an If, the most turns of a Loop).
    """

    step: ClassVar[str] = "flops"

    image: str
    low: int
    high: int
    literal: int
    macs: int
    parameters: int
    batch: int = 1
    layers: tuple[Layer, ...] = ()
    families: dict[str, int] = msgspec.field(default_factory=dict)
    uncounted: tuple[Uncounted, ...] = ()
    once: int = 0
    touched: int = 0
    free: tuple[FreeWork, ...] = ()
    unused: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class GroupCount(msgspec.Struct, frozen=True, kw_only=True):
    """Multiply-accumulates of one kind of work: ours, fvcore's on the submission, fvcore's on the own module.

    None: not counted there. ``rounding`` is by how much fvcore's figures may be off because it rounds.
    """

    group: str
    ours: int | None = None
    submission: int | None = None
    module: int | None = None
    rounding: int = 0


class CrosscheckFacts(StepFacts, frozen=True, kw_only=True):
    """fvcore's opinion.

    Attributes
    ----------
    asked
        Whether a cross-check was asked for.
    problem, module_problem
        Why the submission, or the participant's module, could not be counted; empty when it was.
    groups
        Multiply-accumulates by kind of work.
    left_out
        Operators that multiply and add and that fvcore has no count for, with where it met them.
    explanations
        Where the figures differ and why, in sentences.
    version
        Of fvcore and torch.
    """

    step: ClassVar[str] = "flops_crosscheck"

    asked: bool
    module_factory: str = ""
    problem: str = ""
    module_problem: str = ""
    groups: tuple[GroupCount, ...] = ()
    left_out: tuple[str, ...] = ()
    explanations: tuple[str, ...] = ()
    version: str = ""
