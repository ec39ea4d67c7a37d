"""Where a map shows a place of the image: dots put on an image, one at a time, and found again in the map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]
Shown = Callable[[Array], Array]


@dataclass(frozen=True)
class Grid:
    """The grid on which a map shows the image.

    Attributes
    ----------
    scale, offset
        Place in the image = scale * place in the map + offset, both from the middle, along height and width, pixels.
    skew
        Largest part of a step along one axis that goes along the other one.
    straight, roughly
        Whether the dots lie on such a grid; whether they lie near one, as far as a dot may be found beside its place.
    sharp
        Median share of a dot's change that lies within one place of its middle, 0..1.
    dots
        How many were found.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]
    skew: float
    straight: bool
    sharp: float
    dots: int
    roughly: bool

    def is_a_layers(self, limits: Thresholds) -> bool:
        """Whether convolutions and poolings give such a grid: whole strides, about the same middle."""
        wanted = limits.alignment
        # A dot is found to half a place: the coarser the map, the less sure its scale.
        whole = all(
            step >= 1 - wanted.scale
            and abs(step - round(step)) <= (wanted.scale if round(step) == 1 else wanted.coarse) * round(step)
            for step in self.scale
        )
        # A kernel of stride 2 may begin half a step beside the middle.
        room = [wanted.offset + step / 2 for step in self.scale]
        near = all(abs(off) <= most for off, most in zip(self.offset, room, strict=True))
        return self.roughly and whole and near and self.skew <= wanted.scale

    def in_place(self, limits: Thresholds) -> bool:
        """Whether every place of the map shows its own pixel, and hardly any other."""
        return self.stays(limits) and self.sharp >= limits.alignment.own_place

    def stays(self, limits: Thresholds) -> bool:
        """Whether every place of the map shows its own pixel most, and others less."""
        own = all(abs(step - 1) <= limits.alignment.scale for step in self.scale)
        near = all(abs(off) <= limits.views.grid_offset for off in self.offset)
        unturned = self.straight and self.skew <= limits.alignment.scale
        return unturned and own and near


def grid_of(shown: Shown, image: Array, span: float, limits: Thresholds) -> Grid | None:
    """Find the grid of a map; None where too few dots are found.

    Parameters
    ----------
    shown
        An image [1, C, H, W] to the map, float [c, h, w].
    image
        float [1, C, H, W].
    span
        Of the range of pixel values.
    """
    found = _dots(shown, image, span, limits)
    if found is None:
        return None
    sources, places, shares, _ = found
    return _fitted(sources, places, float(np.median(shares)), limits)


def elsewhere(shown: Shown, image: Array, span: float, limits: Thresholds) -> float:
    """Return the share of dots that a map shows at another place than theirs, 0..1; -1 where too few are found.

    A map that is larger than the image has it in its middle, as padding leaves it; a smaller one has all of it.

    Parameters
    ----------
    shown, image, span
        See `grid_of`.
    """
    found = _dots(shown, image, span, limits)
    if found is None:
        return -1.0
    sources, places, _, size = found
    own = sources * np.minimum(1, (size - 1) / (np.array(image.shape[2:]) - 1))
    return float((np.abs(places - own).max(1) > limits.alignment.elsewhere).mean())


def _dots(shown: Shown, image: Array, span: float, limits: Thresholds) -> tuple[Array, Array, Array, Array] | None:
    """Put dots on an image, and find them in a map; None where too few are found.

    Returns
    -------
    sources, places
        Of the dots found, in the image and in the map, both from the middle, float [dots, 2].
    shares
        Of a dot's change, see `Grid`; float [dots].
    size
        Height and width of the map.
    """
    wanted = limits.alignment
    height, width = image.shape[2:]
    before = shown(image)
    if before.ndim != 3:
        return None
    size = np.array(before.shape[1:])
    sources, places, shares = [], [], []
    lines = [
        np.linspace(wanted.dots_from, 1 - wanted.dots_from, wanted.dots) * (extent - 1) for extent in (height, width)
    ]
    for down in np.rint(lines[0]).astype(int):
        for right in np.rint(lines[1]).astype(int):
            dotted = image.copy()
            dotted[:, :, down, right] += wanted.dot * span
            change = np.abs(shown(dotted) - before).sum(0)
            if not np.isfinite(change).all() or change.max() <= wanted.changed * max(
                1e-30, float(np.abs(before).max())
            ):
                continue
            place, share = _middle(change, limits)
            sources.append((down - (height - 1) / 2, right - (width - 1) / 2))
            places.append(place - (size - 1) / 2)
            shares.append(share)
    if len(places) < wanted.found_share * wanted.dots**2:
        return None
    return np.array(sources), np.array(places), np.array(shares), size


def _middle(change: Array, limits: Thresholds) -> tuple[Array, float]:
    """Return the middle of the largest change, and the share of all change that lies within a place of it."""
    top = np.array(np.unravel_index(int(change.argmax()), change.shape))
    strong = np.where(change >= limits.alignment.peak * change.max(), change, 0)
    indices = np.indices(change.shape)
    near = np.abs(indices - top[:, None, None]).max(0) <= 4
    weight = strong * near
    place = (indices * weight).sum((1, 2)) / weight.sum()
    energy = change**2
    around = np.abs(indices - top[:, None, None]).max(0) <= 1
    return place, float(energy[around].sum() / energy.sum())


def _fitted(sources: Array, places: Array, sharp: float, limits: Thresholds) -> Grid:
    """Fit the places in the image by those in the map, without the worst."""
    most = 1 - limits.alignment.worst
    known = np.hstack([places, np.ones((len(places), 1))])
    kept = np.ones(len(places), bool)
    for _ in range(2):
        fit, *_ = np.linalg.lstsq(known[kept], sources[kept], rcond=None)
        off = np.abs(known @ fit - sources).max(1)
        kept = off <= np.quantile(off, most)
    scale = float(fit[0, 0]), float(fit[1, 1])
    steps = max(0.1, *map(abs, scale))
    room = limits.alignment.off_grid * max(1.0, steps)
    left = float(np.quantile(off, most))
    skew = max(abs(float(fit[0, 1])), abs(float(fit[1, 0]))) / steps
    return Grid(
        scale,
        (float(fit[2, 0]), float(fit[2, 1])),
        skew,
        left <= room,
        sharp,
        len(places),
        left <= limits.alignment.roughly * room,
    )
