"""Facts of the analysis ``implicit_batch`` about alignment behind a first layer: features placed anew."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform


class Steered(StrEnum):
    """How it was seen that the image decides where its features stand."""

    POSITIONS = "positions"
    """The positions that a sampling node is given differ between images."""
    DISPLACED = "displaced"
    """With the positions of another image, one smooth field of steps moves all channels."""
    STEPPED = "stepped"
    """With the positions of another image, all channels move by whole places."""
    TURNED = "turned"
    """With the decision of another image, all channels are turned, or a share of them is."""
    DECIDED = "decided"
    """On another way through the model's conditions all channels are displaced, moved or turned."""


class SteeredPlaces(msgspec.Struct, frozen=True, kw_only=True, tag="steered-places"):
    """Features that stand where the image decides, seen by feeding that decision from another image.

    Attributes
    ----------
    node, steering
        The node behind which the features stand anew (of a decision the layer that works on them); the node where the
        way of the deciding numbers begins (of a decision the other way through the conditions).
    how
        See `Steered`. Of positions, ``agree`` is 0 where they were the same for every image shown.
    pixels
        Median step along height and width between two images, in pixels of the image; of whole steps, signed. Of
        positions the largest difference, in pixels for GridSample and in the node's own unit otherwise.
    turn
        Of a turn.
    explained
        Share of the change that this explains, 0..1; the least of the images that agree.
    agree, images
        For how many of the images shown.
    recovered
        Share of the variation of independent pixels that a linear map of the features recovers before they are moved,
        0..1: 1 for the image itself, near 0 for deep features.
    filtered
        Whether they are the image behind filters alone, or a transform of that.
    size
        Rows and columns of the features.
    """

    node: str
    steering: str
    how: Steered
    pixels: tuple[float, float] = (0.0, 0.0)
    turn: Transform = Transform.NONE
    explained: float = 1.0
    agree: int = 0
    images: int = 0
    recovered: float = 0.0
    filtered: bool = False
    size: tuple[int, int] = (0, 0)
    branch: str = ""


class EarlyGrid(msgspec.Struct, frozen=True, kw_only=True, tag="early-grid"):
    """The grid on which features that are nearly the image stand, where it is not the image's or a stride of it.

    Attributes
    ----------
    layer, via
        The layer that works on them; the nodes before it that move data.
    scale, offset
        Place in the image = scale * place in the map + offset, both counted from the middle, along height and width,
        in pixels; measured with dots put on the image.
    straight
        Whether the places lie on such a grid at all.
    dots
        How many dots were found again.
    learned
        Whether only layers with weights of their own, or channels laid out as places, can have made the grid.
    recovered
        As for `SteeredPlaces`; of the features before they were moved.
    size, image
        Rows and columns of the map, and of the image.
    """

    layer: str
    scale: tuple[float, float]
    offset: tuple[float, float]
    straight: bool = True
    dots: int = 0
    learned: bool = False
    recovered: float = 0.0
    size: tuple[int, int] = (0, 0)
    image: tuple[int, int] = (0, 0)
    via: tuple[str, ...] = ()
    branch: str = ""
