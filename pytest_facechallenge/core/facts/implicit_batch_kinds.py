"""Kinds and relations in the facts of the analysis ``implicit_batch``: enumerations, and how two versions differ."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Relation(StrEnum):
    """How one version of an image (or of features) lies to another one."""

    NOT_COMPARABLE = ""
    IDENTICAL = "identical"
    RESCALED = "rescaled"
    """In place; brightness or contrast differ."""
    MIRRORED = "mirrored"
    UPSIDE_DOWN = "upside down"
    ROTATED = "rotated"
    """By 90, 180 or 270 degrees, or transposed."""
    SHIFTED = "shifted"
    SCALED = "scaled"
    """Zoomed."""
    REARRANGED = "rearranged"
    """Anything else that is no version of the whole: permuted, windows that overlap."""


#: Relations that no convolution brings about by itself: a second view of the image, whoever works on it.
TURNED = frozenset({Relation.MIRRORED, Relation.UPSIDE_DOWN, Relation.ROTATED})


class Transform(StrEnum):
    """A change of the image that was tried, to see whether features of the changed image occur too."""

    NONE = ""
    MIRRORED = "mirrored"
    UPSIDE_DOWN = "upside down"
    ROTATED_180 = "rotated by 180 degrees"
    TRANSPOSED = "transposed"
    ROTATED_90 = "rotated by 90 degrees"
    ROTATED_270 = "rotated by 270 degrees"
    MIRRORED_TO_THE_PIXEL = "mirrored, to the pixel"
    """And moved by one pixel: what a layer of stride 2 reads is then the same in both."""
    UPSIDE_DOWN_TO_THE_PIXEL = "upside down, to the pixel"
    ROTATED_180_TO_THE_PIXEL = "rotated by 180 degrees, to the pixel"
    ZOOMED = "zoomed by 2"
    HALVED = "at half its size"
    """Four of it side by side, so that as many places show it."""
    SHIFTED_SIDEWAYS = "shifted sideways"
    SHIFTED_DOWN = "shifted down"
    SHIFTED_BOTH = "shifted down and sideways"
    COLOURS_MIXED = "colours mixed"
    """Each colour a sum of the three."""
    FILTERED = "filtered"
    """Each pixel a sum over its neighbours: blurred, or moved; perhaps turned before."""
    COARSE = "coarse, averaged in cells of pixels"
    READ_BACKWARDS = "read backwards"
    """A sequence, by a recurrence."""


#: Changes that take pixels to other places as turns do: a map of the changed image stands turned.
PLACES_TURNED = frozenset(
    {
        Transform.MIRRORED,
        Transform.UPSIDE_DOWN,
        Transform.ROTATED_180,
        Transform.TRANSPOSED,
        Transform.ROTATED_90,
        Transform.ROTATED_270,
        Transform.MIRRORED_TO_THE_PIXEL,
        Transform.UPSIDE_DOWN_TO_THE_PIXEL,
        Transform.ROTATED_180_TO_THE_PIXEL,
    }
)


class WeightRelation(StrEnum):
    """How one set of weights follows from another one."""

    UNRELATED = ""
    SHARED = "shared"
    """One constant in the file."""
    EQUAL = "equal"
    PERTURBED = "scaled or perturbed"
    MIRRORED = "mirrored"
    UPSIDE_DOWN = "upside down"
    ROTATED = "rotated"


#: Relations in which kernels are turned.
TURNED_WEIGHTS = frozenset({WeightRelation.MIRRORED, WeightRelation.UPSIDE_DOWN, WeightRelation.ROTATED})


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How the places of one version follow from those of the other, with numbers.

    Attributes
    ----------
    relation
        Its kind.
    rank
        Axes of the tensors compared.
    mirrored
        Axes along which the order is reversed.
    shift
        Elements along each axis; empty when none was measured.
    zoom
        Factor along each axis (1: none); empty when none was measured.
    """

    relation: Relation
    rank: int = 0
    mirrored: tuple[int, ...] = ()
    shift: tuple[int, ...] = ()
    zoom: tuple[float, ...] = ()


class ViewKind(StrEnum):
    """What a value is, compared with the image."""

    EXACT = "exact"
    """Pixels, moved or not, none mixed with others."""
    IN_PLACE = "in place"
    """Every pixel where it was; colours changed."""
    SMOOTHED = "smoothed"
    """In place, but mixed with its neighbours."""
    RESAMPLED = "resampled"
    """Interpolated at other places."""
    PREDICTED = "predicted"
    """Warped by what the image shows."""
    CHOSEN = "chosen"
    """A condition on the image decides which version."""
    FEATURES = "features"
    """Not an image (any more)."""


class SharedInput(StrEnum):
    """What layers with related weights work on."""

    ONE = "one"
    """The same values."""
    VERSIONS = "versions"
    """Moved copies of one tensor."""
    PARTS = "parts"
    """Disjoint pieces of one tensor."""
    RESAMPLED = "resampled"
    """Made from one tensor without weights."""
    POOLED = "pooled"
    """Made from one tensor, a pooling among the operators."""
    DIFFERENT = "different"
    """Nothing that explains the other."""


class FeatureHome(StrEnum):
    """Where features and those of the changed image lie, without mixing."""

    PARTS = "parts"
    """Rows, or halves of an axis, of one tensor that both see the whole image."""
    CHANNELS = "channels"
    """Channels of one tensor that no kernel connects."""
    LAYERS = "layers"
    """Layers of branches that do not feed each other."""
    IN_TURN = "in turn"
    """One set of weights is fed with both, one after the other."""
    DIRECTIONS = "directions"
    """The two directions of a recurrence, which have the same weights."""


class Companions(StrEnum):
    """The other rows of a batch in which an image was embedded."""

    NONE = "none"
    BLACK = "black"
    BLACK_AND_WHITE = "black and white"
    REORDERED = "reordered"
    """Other images, all in another order than before."""
    COPIES = "copies"
    """The image itself."""
    OTHERS = "others"
    """Other images."""


class Gap(StrEnum):
    """Why something could not be looked into."""

    BRANCH_NOT_RUN = "branch not run"
    """``branch`` cannot be run; ``error``."""
    BATCH_NOT_RUN = "batch not run"
    """No batch could be run on ``branch``; ``error``."""
    SELECTION_NOT_RUN = "selection not run"
    """With every row selected the model does not run; ``error``."""
    CONTROL_FLOW = "control flow"
    """It cannot be unrolled; ``error`` names the node and says why."""
    MORE_WAYS = "more ways"
    """``count`` ways through the conditions exist, ``followed`` were followed."""
    SIZE_DEPENDS = "size depends on the image"
    """The sizes of the values named."""
    IDLE = "idle"
    """The layer named, with what follows it ``share`` of the multiply-adds, got the same from every probe image."""
    BRANCHES_NOT_COMPARED = "branches not compared"
    """Parallel branches could not be run apart; ``error``."""
    WAY_NOT_FED = "way not fed"
    """The way from the node named could not be fed from another image; ``error``."""
    OVERFLOW = "overflow"
    """``count`` values are not finite or beyond ``limit`` for probe images; the first few are named."""
