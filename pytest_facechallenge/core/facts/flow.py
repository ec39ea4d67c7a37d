"""Facts of the steps ``flow`` (what the graph shows without any image) and ``probes`` (images made for it)."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts

FlowName = Literal["over-rows", "pairs", "moved", "size", "branch", "width"]


class BatchFlow(msgspec.Struct, frozen=True, kw_only=True):
    """A node through which an image's result comes to depend on the batch it is in; its result reaches an output.

    Attributes
    ----------
    kind, node, op, what
        See `onnx_graph.batch_state.Flow`.
    gated
        Whether it reaches the output through a condition.
    batches
        Batch sizes that show it.
    widths, by_content
        Of a decided width: what the branches give, and whether the image's content decides.
    """

    kind: FlowName
    node: str
    op: str
    what: str
    gated: bool = False
    batches: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    by_content: bool = False


class RandomNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node that draws random numbers; ``reaches``: whether they are part of an output."""

    node: str
    op: str
    reaches: bool


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A node whose result is a choice, or is no finite number for some images, and that depends on the image.

    Attributes
    ----------
    kind
        "choice": it compares; "domain": it gives no finite number for some values (Sqrt, Log, Exp, Div…);
        "growth": its result grows as a high power of what the image shows, until it is infinite.
    margin
        The values (names) whose difference decides: the first less the second, which may be stored.
    """

    node: str
    op: str
    kind: Literal["choice", "domain", "growth"]
    margin: tuple[str, ...]


class FlowFacts(StepFacts, frozen=True, kw_only=True):
    """What the graph shows without any image.

    Attributes
    ----------
    batch
        How images of a batch reach each other, or their number reaches a value.
    widths
        What decides how many values the first output has for an image.
    lost
        The node after which images could not be followed to an output; "" when they were.
    uneven
        Whether the first output has something else than one row for each image, or some value on the way does not grow
        with their number.
    random
        Nodes that draw random numbers.
    conditions
        Conditions on the image on the way to an output.
    """

    step: ClassVar[str] = "flow"

    batch: tuple[BatchFlow, ...] = ()
    widths: tuple[BatchFlow, ...] = ()
    lost: str = ""
    uneven: bool = False
    random: tuple[RandomNode, ...] = ()
    conditions: tuple[Condition, ...] = ()

    @property
    def apart(self) -> bool:
        """Whether the graph shows that no image reaches another one's row, nor their number any value."""
        return not (self.batch or self.widths or self.lost or self.uneven)


class BatchProbe(msgspec.Struct, frozen=True, kw_only=True):
    """A batch made for what the graph shows, compared row by row with the same images one by one.

    Attributes
    ----------
    about, size
        In words, what the other images are; the number of images.
    error
        The runtime's text; "" when it ran.
    row, change
        The row that differs most and its largest difference over its largest value; -1 when nothing was compared.
    width
        Values per image; 0 when it did not run.
    """

    about: str
    size: int
    error: str = ""
    row: int = -1
    change: float = -1.0
    width: int = 0


class ImageProbe(msgspec.Struct, frozen=True, kw_only=True):
    """An image that was made to be extreme, or for a condition, and what its embedding is."""

    image: str
    error: str = ""
    finite: bool = False
    norm: float = -1.0
    width: int = 0


class ConditionSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Whether images were found on both sides of a condition: one on the side that no ordinary image is on."""

    node: str
    op: str
    kind: str
    both: bool
    image: str = ""
    guards: bool = False


class ProbesFacts(StepFacts, frozen=True, kw_only=True):
    """What batches and images did that were made for what the graph shows; empty where it shows nothing.

    Attributes
    ----------
    batch, images, conditions
        See there.
    """

    step: ClassVar[str] = "probes"

    batch: tuple[BatchProbe, ...] = ()
    images: tuple[ImageProbe, ...] = ()
    conditions: tuple[ConditionSeen, ...] = ()
