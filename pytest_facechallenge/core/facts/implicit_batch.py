"""Facts of the analysis ``implicit_batch``: which views of the image the network works on, how often, and what mixes.

All that was seen is one list of observations, a tagged union: each kind is a struct below, and the check has one
weigher for each. Facts hold data; the sentences about them are made by the check. An observation of two parts that may
be two looks at one face has an ``intervention``: what was done to the running network to find out, and what came of it;
None where nothing was or could be done.
"""

from __future__ import annotations

from typing import ClassVar, TypeVar

import msgspec

from pytest_facechallenge.core.facts.alignment import EarlyGrid, SteeredPlaces
from pytest_facechallenge.core.facts.base import StepFacts
from pytest_facechallenge.core.facts.implicit_batch_kinds import (
    Companions,
    Difference,
    Gap,
    Relation,
    ViewKind,
)
from pytest_facechallenge.core.facts.interventions import Intervention
from pytest_facechallenge.core.facts.repeated_work import (
    CoupledGroups,
    EquivariantFeatures,
    ParallelBranches,
    RepeatedKernels,
    SharedWeights,
)

__all__ = [
    "BatchComposition",
    "BatchFold",
    "CoupledGroups",
    "EquivariantFeatures",
    "ImplicitBatchFacts",
    "InputView",
    "Kind",
    "Observation",
    "ParallelBranches",
    "RepeatedKernels",
    "SharedWeights",
    "StackedCopies",
    "Unseen",
]


class InputView(msgspec.Struct, frozen=True, kw_only=True, tag="input-view"):
    """What a layer that works on the image itself sees of it.

    Attributes
    ----------
    layer, via
        Its label; the nodes between the image and it that move or mix data.
    kind
        See `ViewKind`.
    coverage
        Share of the image's pixels present, 0..1.
    relation
        How it lies to the image.
    scale, offset
        Place in the image = scale * index + offset, along height and width, in pixels; scale 0 where not straight.
    box, size
        Of exact views that hold a rectangle of the image: its first and last row, first and last column; the image's
        height and width. Box -1 where it is no rectangle.
    own_brightness
        Whether each image gets a brightness and contrast of its own.
    unchanged
        Of chosen views: share of the probe images that the layer gets as they are, 0..1; -1 when it gets pixels of
        the image in either case.
    pooled
        Whether a pooling operator (or an averaging convolution) made it.
    plain
        Whether nothing but pooling and changes of layout lie between the image and the layer.
    together
        Share of the image's pixels that the exact views have together, 0..1.
    common
        Largest share of the image's pixels that this view has in common with another one that is not the same, 0..1.
    macs_after
        Share of all multiply-adds spent in this layer and those that depend on it, 0..1.
    masked
        Of exact views of the image's size: whether the pixels that are there stand in their places.
    residual
        Whether it is the image with features of it added, subtracted or set beside it, and nothing else.
    elsewhere
        Of views that are moved, or re-sampled at no places that could be told: the largest share of dots put on an
        image that it shows at other places, 0..1; -1 where it was not asked or too few dots were found.
    interpolated
        Whether an operator that interpolates, or a product with a matrix, lies between the image and the layer.
    branch
        The way through the model's conditions on which it was seen; "" when there is none.
    """

    layer: str
    kind: ViewKind
    coverage: float
    relation: Relation = Relation.NOT_COMPARABLE
    scale: tuple[float, float] = (0.0, 0.0)
    offset: tuple[float, float] = (0.0, 0.0)
    box: tuple[int, int, int, int] = (-1, -1, -1, -1)
    size: tuple[int, int] = (0, 0)
    own_brightness: bool = False
    unchanged: float = -1.0
    pooled: bool = False
    plain: bool = False
    via: tuple[str, ...] = ()
    macs_after: float = 0.0
    together: float = 1.0
    common: float = 0.0
    masked: bool = False
    residual: bool = False
    elsewhere: float = -1.0
    interpolated: bool = False
    branch: str = ""
    intervention: Intervention | None = None


class StackedCopies(msgspec.Struct, frozen=True, kw_only=True, tag="stacked-copies"):
    """Two versions of the same data inside one tensor.

    Attributes
    ----------
    layer, join, via
        The first layer that works on it; the node that put the versions together; the nodes that moved data before.
    axis
        Along which they stand side by side; 0 is the batch.
    on_channels
        Whether this is the axis that the layer sums over.
    blocks, coverage
        Versions side by side; share of the data (0..1) that occurs in both of the two compared.
    difference
        How the second follows from the first.
    overlap
        On channels: how much the layer mixes the two, 0 (not at all) .. 1; 0 for other axes.
    from_image
        Whether the data are pixels (no layer has worked on them yet).
    macs_after
        Share of all multiply-adds spent in this layer and those that depend on it, 0..1.
    """

    layer: str
    join: str
    axis: int
    on_channels: bool
    blocks: int
    coverage: float
    difference: Difference
    overlap: float
    from_image: bool
    macs_after: float
    via: tuple[str, ...] = ()
    branch: str = ""
    intervention: Intervention | None = None


class BatchFold(msgspec.Struct, frozen=True, kw_only=True, tag="batch-fold"):
    """A layer that works on more rows than there are images.

    Attributes
    ----------
    rows
        Per image.
    growth
        Elements per image, divided by those of the largest tensor that it was made from: about 1 when the image
        was cut into pieces (windows), about ``rows`` when it was copied.
    join
        The node that put the rows together; "" when there is none.
    macs_after
        Share of all multiply-adds spent in this layer and those that depend on it, 0..1.
    early
        Whether the rows are linear in the image: no activation stands between it and them.
    places
        Whether each row has all channels of what the rows were made from: they hold some of its places each.
    """

    layer: str
    rows: int
    growth: float
    join: str = ""
    macs_after: float = 0.0
    early: bool = False
    places: bool = False
    branch: str = ""
    intervention: Intervention | None = None


class BatchComposition(msgspec.Struct, frozen=True, kw_only=True, tag="batch-composition"):
    """What a batch of this composition does to the embedding of an image in it.

    Attributes
    ----------
    companions, size
        The other rows, and how many rows there are in all.
    change
        Largest change of an embedding, relative to its length; None when the model does not run that way, or an
        embedding is not finite.
    finite
        Whether all embeddings of the batch are finite numbers.
    error
        Why it does not run; the runtime's own text, or what the result is.
    branch
        The way through the model's conditions that was run; "" for the model as it is.
    """

    companions: Companions
    size: int
    change: float | None = None
    finite: bool = True
    error: str = ""
    branch: str = ""


class Unseen(msgspec.Struct, frozen=True, kw_only=True, tag="unseen"):
    """Something that could not be looked into; a check must not pass over it.

    Attributes
    ----------
    gap
        Which of the fields below say what.
    """

    gap: Gap
    names: tuple[str, ...] = ()
    count: int = 0
    followed: int = 0
    share: float = 0.0
    limit: float = 0.0
    error: str = ""
    branch: str = ""


Observation = (
    InputView
    | StackedCopies
    | SharedWeights
    | RepeatedKernels
    | BatchFold
    | ParallelBranches
    | EquivariantFeatures
    | CoupledGroups
    | BatchComposition
    | SteeredPlaces
    | EarlyGrid
    | Unseen
)

Kind = TypeVar(
    "Kind",
    InputView,
    StackedCopies,
    SharedWeights,
    RepeatedKernels,
    BatchFold,
    ParallelBranches,
    EquivariantFeatures,
    CoupledGroups,
    BatchComposition,
    SteeredPlaces,
    EarlyGrid,
    Unseen,
)


class ImplicitBatchFacts(StepFacts, frozen=True, kw_only=True):
    """What following the image through the network showed.

    Attributes
    ----------
    layers, macs
        Executions with weights after loops are unrolled, and their multiply-adds for one image.
    branches
        The ways followed through the conditions on the image ("" when there is none).
    observations
        Everything that was seen, and everything that could not be.
    """

    step: ClassVar[str] = "implicit_batch"

    layers: int
    macs: int
    branches: tuple[str, ...] = ("",)
    observations: tuple[Observation, ...] = ()

    def of(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """Return the observations of one kind, in the order in which they were made."""
        return tuple(entry for entry in self.observations if isinstance(entry, kind))
