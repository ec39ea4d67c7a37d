"""Facts of the step ``dataflow``: how often the network looks at a face, at which versions of it, and who mixes."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts


class ViewFact(msgspec.Struct, frozen=True, kw_only=True):
    """What a layer that works on the image itself sees of it.

    Attributes
    ----------
    layer, via
        Its label; the nodes between the image and it that move or mix data.
    kind
        "exact": pixels, moved or not; "in place": every pixel where it was, colours mixed; "smoothed": in place, but
        mixed with its neighbours; "resampled": interpolated at other places; "predicted": warped by what the image
        shows; "chosen": a condition on the image decides which version; "features": not an image.
    coverage
        Share of the image's pixels present, 0..1.
    turn
        How it lies to the image: "identical", "rescaled" (in brightness), "mirrored", "upside down", "rotated",
        "shifted", "scaled", "rearranged"; "" where that was not comparable.
    scale, offset
        Place in the image = scale * index + offset, along height and width, in pixels; scale 0 where not straight.
    pooled
        Whether a pooling operator (or an averaging convolution) made it.
    plain
        Whether nothing but pooling and changes of layout lie between the image and the layer.
    together
        Share of the image's pixels that the exact views have together.
    common
        Largest share of the image's pixels that this view has in common with another one that is not the same.
    macs_after
        Share of all multiply-adds spent in this layer and those that depend on it.
    words
        The same for a reader.
    """

    layer: str
    kind: str
    coverage: float
    turn: str = ""
    scale: tuple[float, float] = (0.0, 0.0)
    offset: tuple[float, float] = (0.0, 0.0)
    pooled: bool = False
    plain: bool = False
    via: tuple[str, ...] = ()
    words: str = ""
    macs_after: float = 0.0
    together: float = 1.0
    common: float = 0.0
    branch: str = ""


class StackFact(msgspec.Struct, frozen=True, kw_only=True):
    """Two versions of the same data inside one tensor.

    Attributes
    ----------
    layer, join, via
        The first layer that works on it; the node that put the versions together; the nodes that moved data before.
    axis
        In words: "the batch axis", "the channels", "axis 2".
    on_channels
        Whether the versions lie on the axis that the layer sums over.
    blocks, coverage
        Versions side by side; share of the data (0..1) that occurs in both of the two compared.
    relation, words
        How they differ: kind, and words with numbers.
    overlap
        On channels: how much the layer mixes the two, 0 (not at all) .. 1; 0 for other axes.
    from_image
        Whether the data are pixels (no layer has worked on them yet).
    macs_after
        Share of all multiply-adds spent in this layer and those that depend on it.
    """

    layer: str
    join: str
    axis: str
    on_channels: bool
    blocks: int
    coverage: float
    relation: str
    words: str
    overlap: float
    from_image: bool
    macs_after: float
    via: tuple[str, ...] = ()
    branch: str = ""


class TwinFact(msgspec.Struct, frozen=True, kw_only=True):
    """The same weights at work side by side, from one pair of inputs on.

    Attributes
    ----------
    layers
        The first executions with one set of weights; none depends on another.
    count
        Sets of weights that run side by side downstream of these, this one included.
    weights
        How the weights relate: "shared", "equal", "scaled or perturbed", "mirrored", "upside down", "rotated", or
        "alike in behaviour" (permuted, rescaled and perturbed at once; found by running).
    surplus
        Multiply-adds beyond one execution of each, as a share of all.
    inputs
        What the first executions work on: "one" (the same values), "versions" (moved copies), "parts" (disjoint
        pieces of one tensor), "resampled" (made from one tensor without weights), "pooled", or "different".
    same_size, same_settings
        Whether their inputs have one size, and their strides and dilations agree.
    """

    layers: tuple[str, ...]
    count: int
    weights: str
    surplus: float
    inputs: str
    relation: str = ""
    words: str = ""
    same_size: bool = True
    same_settings: bool = True
    from_image: bool = False
    differ: bool = True
    via: tuple[str, ...] = ()
    branch: str = ""


class RepeatFact(msgspec.Struct, frozen=True, kw_only=True):
    """Layers whose kernels fall into equal independent halves (thirds…): one layer applied to stacked channels.

    Attributes
    ----------
    layers, blocks, weights
        Their labels, the number of parts, how the parts relate.
    share
        Of all multiply-adds that these layers do, 0..1.
    """

    layers: tuple[str, ...]
    blocks: int
    weights: str
    share: float
    branch: str = ""


class FoldFact(msgspec.Struct, frozen=True, kw_only=True):
    """A layer that works on more rows than there are images.

    Attributes
    ----------
    rows
        Per image.
    growth
        Elements per image, divided by those of the largest tensor that it was made from: about 1 when the image
        was cut into pieces (windows), about ``rows`` when it was copied.
    """

    layer: str
    rows: int
    growth: float
    join: str = ""
    macs_after: float = 0.0
    branch: str = ""


class TowerFact(msgspec.Struct, frozen=True, kw_only=True):
    """Two parts of the network that start from one value and meet only later.

    Attributes
    ----------
    source, first, second, meet
        The value; the first layers of the parts; the node where they meet ("" when the output itself).
    shares
        Of all multiply-adds in each part.
    inputs
        Relation of what the first layers see: a kind as in `ViewFact.turn`, or "" when not comparable.
    alike
        Best share of the second part's features that equal a feature of the first part shown the source turned
        by ``turn``.
    alike_unturned
        The same without turning.
    """

    source: str
    first: str
    second: str
    meet: str
    shares: tuple[float, float]
    inputs: str = ""
    alike: float = 0.0
    turn: str = ""
    alike_unturned: float = 0.0
    branch: str = ""


class EchoFact(msgspec.Struct, frozen=True, kw_only=True):
    """Features of the image that repeat features of a changed image and never mix with them.

    Attributes
    ----------
    kind
        "parts": rows, or halves of an axis, of one tensor that both see the whole image; "channels": channels that
        no kernel connects; "layers": layers of parts that do not feed each other; "in turn": one set of weights fed
        with both; "directions": a recurrence whose two directions have the same weights.
    layers
        Labels; for "layers" the first two that repeat each other.
    change
        What the image was changed by ("mirrored", "shifted sideways"...).
    share
        Multiply-adds beyond one look, as a share of all.
    """

    kind: str
    layers: tuple[str, ...]
    change: str
    share: float
    words: str = ""
    branch: str = ""


class CompanyFact(msgspec.Struct, frozen=True, kw_only=True):
    """Largest relative change of an embedding in this company; -1: the model did not run so, ``error`` says why."""

    company: str
    change: float
    error: str = ""


class ImplicitBatchFacts(StepFacts, frozen=True, kw_only=True):
    """What following the image through the network showed.

    Attributes
    ----------
    layers, macs
        Executions with weights after loops are unrolled, and their multiply-adds for one image.
    branches
        The variants looked at: one per way that an If on the image can go ("" when there is none).
    gaps
        What could not be looked at, one sentence each; a check must not pass over them.
    """

    step: ClassVar[str] = "implicit_batch"

    layers: int
    macs: int
    views: tuple[ViewFact, ...] = ()
    stacks: tuple[StackFact, ...] = ()
    twins: tuple[TwinFact, ...] = ()
    repeats: tuple[RepeatFact, ...] = ()
    folds: tuple[FoldFact, ...] = ()
    towers: tuple[TowerFact, ...] = ()
    echoes: tuple[EchoFact, ...] = ()
    company: tuple[CompanyFact, ...] = ()
    branches: tuple[str, ...] = ("",)
    gaps: tuple[str, ...] = ()
