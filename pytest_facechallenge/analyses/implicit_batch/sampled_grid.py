"""Where in the image each element of a value was taken, from ramps, natural images and mosaics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.exact_pixels import mask
from pytest_facechallenge.analyses.implicit_batch.probe_images import Images
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.view import FEATURES, NOT_STRAIGHT, View
from pytest_facechallenge.core.facts.implicit_batch_kinds import ViewKind

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Ramps:
    """What a value shows of even images, ramps, natural images and mosaics.

    Attributes
    ----------
    dark, light
        Of the even images, float64 [1, *rest]; the levels are among the thresholds.
    rows, columns, coded
        Of the ramps along height and width, and of the image with both in two colours, float64 [1, *rest].
    natural, mosaics
        float64 [images, 1, *rest].
    """

    dark: Array
    light: Array
    rows: Array
    columns: Array
    natural: Array
    coded: Array
    mosaics: Array


def sampled_view(
    images: Images, natural: Array, seen: Ramps, limits: Thresholds, *, behind_layers: bool = False
) -> View:
    """Measure where in the image each element looks, from ramps, and whether it is the image that it holds there.

    Parameters
    ----------
    images
        Gives the size and the value range.
    natural
        float [n, C, H, W], the images behind ``seen.natural``.
    behind_layers
        Whether layers stand before the value: their features must not be taken for an image.
    """
    wanted = limits.views
    gain, down, right, live = _places(images, seen, limits)
    if live.sum() < wanted.fewest or live.mean() < wanted.follows_share:
        return FEATURES
    offset = seen.dark - gain * (images.low + limits.images.dark * (images.high - images.low))
    errors = _prediction_errors(natural, seen.natural, gain, offset, down, right, live)
    like = wanted.like_behind if behind_layers else wanted.like
    least = wanted.like_share_behind if behind_layers else wanted.like_share
    likely = np.zeros(live.shape, bool)
    likely.reshape(-1)[np.flatnonzero(live.reshape(-1))] = errors <= like
    if likely.sum() < max(wanted.fewest, least * live.sum()):
        return _predicted_view(images, seen, limits) or FEATURES
    return _on_grid(down, right, likely, images, ViewKind.RESAMPLED, limits)


def _places(images: Images, seen: Ramps, limits: Thresholds) -> tuple[Array, Array, Array, npt.NDArray[np.bool_]]:
    """Return for each element its gain, its row and column in the image, and whether it follows the brightness."""
    wanted, levels = limits.views, limits.images
    span = images.high - images.low
    gain = (seen.light - seen.dark) / (levels.span * span)
    live = np.abs(gain) > wanted.follows * np.abs(gain).max() + 1e-12
    safe = np.where(live, gain, 1)
    down = (seen.rows - seen.dark) / safe / (levels.span * span) * (images.height - 1)
    right = (seen.columns - seen.dark) / safe / (levels.span * span) * (images.width - 1)
    inside = (down > -wanted.before) & (down < images.height + wanted.after)
    inside &= (right > -wanted.before) & (right < images.width + wanted.after)
    return gain, down, right, live & inside


def own_pixels(images: Images, seen: Array, ramps: Ramps, limits: Thresholds) -> float:
    """Return which share of the elements show the pixel at their place and none of its neighbours, in any layout.

    Parameters
    ----------
    seen
        What the layer sees of the noise images, float [n, *shape].
    ramps
        ``mosaics`` of them among it: an element that shows one pixel shows there what it showed in one of the two.
    """
    _, down, right, live = _places(images, ramps, limits)
    rows = np.clip(np.rint(down), 0, images.height - 1).astype(int)
    columns = np.clip(np.rint(right), 0, images.width - 1).astype(int)
    first = mask(images.height, images.width)[np.where(live, rows, 0), np.where(live, columns, 0)]
    shares = []
    for index, values in enumerate(ramps.mosaics):
        one, two = seen[2 * index], seen[2 * index + 1]
        told = live & (np.abs(one - two) > limits.views.told * np.abs(one).max())
        close = np.abs(np.where(first, one, two) - values) <= limits.views.close * (np.abs(one).max() + 1e-20)
        shares.append(float(close[told].mean()) if told.any() else 0.0)
    return min(shares, default=0.0)


def _prediction_errors(
    natural: Array, values: Array, gain: Array, offset: Array, down: Array, right: Array, live: Array
) -> Array:
    """Return for each live element the error of the best of: one channel, or the mean of channels, at the place."""
    from scipy import ndimage  # here, because importing it takes longer than following most networks

    places = np.flatnonzero(live.reshape(-1))
    at = np.stack([down.reshape(-1)[places], right.reshape(-1)[places]])
    a, b = gain.reshape(-1)[places], offset.reshape(-1)[places]
    got = values.reshape(len(values), -1)[:, places]
    errors = []
    planes = [natural[:, c] for c in range(natural.shape[1])] + [natural.mean(1)]
    for plane in planes:
        sampled = np.stack([ndimage.map_coordinates(image, at, order=1, mode="nearest") for image in plane])
        expected = a * sampled + b
        errors.append(np.sqrt(((got - expected) ** 2).mean(0)) / (expected.std(0) + 1e-12))
    best: Array = np.min(errors, axis=0)
    return best


def _filled(live: Array, limits: Thresholds) -> float:
    """Return how much of the tensor is image: of the channels that hold any, where channels are an axis."""
    if live.ndim != 4:
        return 1.0
    share = live.mean((0, 2, 3))
    holding = share > limits.views.holding
    return float(share[holding].mean()) if holding.any() else 0.0


def _on_grid(down: Array, right: Array, live: Array, images: Images, kind: ViewKind, limits: Thresholds) -> View:
    """Say on which grid of rows and columns the places lie, however the tensor is laid out."""
    rows, columns = _grid(down[live], images.height, limits), _grid(right[live], images.width, limits)
    coverage = hull(down[live], right[live], images)
    scale, offset = NOT_STRAIGHT, NOT_STRAIGHT
    if rows is not None and columns is not None and _filled(live, limits) > limits.views.holding_most:
        scale, offset = (rows[0], columns[0]), (rows[1], columns[1])
        moved = any(abs(s - 1) >= limits.views.grid_scale for s in scale)
        if not moved and all(abs(o) < limits.views.grid_offset for o in offset):
            kind = ViewKind.IN_PLACE
    elif kind is ViewKind.RESAMPLED and _stays(down, right, live, images, limits):
        kind = ViewKind.IN_PLACE
    return View(kind, coverage, scale, offset)


def _stays(down: Array, right: Array, live: Array, images: Images, limits: Thresholds) -> bool:
    """Whether a value shows at each place of the image what is there: a few neighbours, in their middle the place.

    Filters whose weights the image decides (a bilateral filter) show other neighbours for each image and place.
    """
    wanted, places = limits.views, images.height * images.width
    if down.size % places:
        return False
    rows, columns = np.divmod(np.arange(places), images.width)
    for turned in (False, True):  # channels first, channels last

        def planes(values: Array, turned: bool = turned) -> Array:
            return values.reshape(places, -1).T if turned else values.reshape(-1, places)

        here = planes(live)
        count = here.sum(0)
        shown = count > 0
        off = [np.where(here, planes(each) - own, 0) for each, own in ((down, rows), (right, columns))]
        furthest = np.maximum(*(np.abs(each).max(0)[shown] for each in off))
        middle = np.maximum(*(np.abs(each.sum(0)[shown] / count[shown]) for each in off))
        limit = ((furthest, wanted.stays_within), (middle, wanted.stays))
        if all(np.quantile(each, wanted.stays_share) < most for each, most in limit):
            return True
    return False


def _grid(places: Array, extent: int, limits: Thresholds) -> tuple[float, float] | None:
    """Return (step, first) when the places along one direction are evenly spaced and used alike; None otherwise."""
    wanted = limits.views
    ordered = np.sort(places.reshape(-1))
    groups = np.split(ordered, np.flatnonzero(np.diff(ordered) > wanted.gap) + 1)
    if not 2 <= len(groups) <= wanted.lines * extent:
        return None
    usual = np.median([len(group) for group in groups])
    groups = [group for group in groups if len(group) > wanted.stray * usual]
    if len(groups) < 2:
        return None
    centres, counts = np.array([group.mean() for group in groups]), np.array([len(group) for group in groups])
    steps = np.diff(centres)
    step = float(np.median(steps))
    uneven = np.mean(np.abs(steps - step) > wanted.uneven * step + wanted.uneven_more)
    if uneven > wanted.uneven_share or np.ptp(groups[len(groups) // 2]) > wanted.thick:
        return None
    usual = np.median(counts)
    crowded = np.mean(np.abs(counts - usual) > wanted.crowded * usual)
    if crowded > wanted.uneven_share or counts.max() > wanted.crowded_most * usual:
        return None
    middle = len(centres) // 2
    return step, float(centres[middle] - middle * step)


def hull(down: Array, right: Array, images: Images) -> float:
    """Return the share of the image that the box around some places takes."""
    rows = float(np.ptp(np.clip(down, 0, images.height - 1))) + 1
    columns = float(np.ptp(np.clip(right, 0, images.width - 1))) + 1
    return min(1.0, rows * columns / (images.height * images.width))


def _predicted_view(images: Images, seen: Ramps, limits: Thresholds) -> View | None:
    """Decode a warp that differs from image to image, from one image with its rows and columns in two channels."""
    places = decode(images, seen.dark, seen.light, seen.coded, limits, limits.images.span)
    if places is None:
        return None
    down, right, inside = (part[None, None] for part in places)
    return _on_grid(down, right, inside, images, ViewKind.PREDICTED, limits)


def decode(
    images: Images, dark: Array, light: Array, coded: Array, limits: Thresholds, span: float
) -> tuple[Array, Array, Array] | None:
    """Return where each element was taken, when a tensor is the coded image moved about.

    Parameters
    ----------
    dark, light, coded
        What a layer sees of the even images and of the coded one, float [1, C, H, W].
    span
        Of the ramps in the coded image.

    Returns
    -------
    (down, right, inside)
        Row and column of every place, float [H, W]; bool [H, W], where they are to be trusted.
    """
    wanted, levels = limits.views, limits.images
    shape = coded.shape
    if len(shape) != 4 or shape[1] < 3 or images.channels < 3:
        return None
    rows, columns = shape[2] // 4, shape[3] // 4
    middle = (0, slice(None), slice(rows, -rows or None), slice(columns, -columns or None))
    gain = np.median(((light - dark) / (levels.span * (images.high - images.low)))[middle], axis=(1, 2))
    start = np.median(dark[middle], axis=(1, 2))
    if np.abs(gain).min() < wanted.least_gain:
        return None
    level = levels.dark + (coded[0] - start[:, None, None]) / gain[:, None, None] / (images.high - images.low)
    unit = (level - levels.middle) / span + levels.middle
    # Rows are in the first colour and columns in the second; in the other order of the colours, in the third.
    for first, second in ((0, 1), (2, 1)):
        down, right = unit[first] * (images.height - 1), unit[second] * (images.width - 1)
        third = unit[({0, 1, 2} - {first, second}).pop()]
        inside = np.abs(third - levels.middle) < wanted.third
        inside &= (down > -wanted.decoded_margin) & (right > -wanted.decoded_margin)
        inside &= (down < images.height) & (right < images.width)
        if inside.mean() < wanted.third_share:
            continue
        # Means of neighbours: what a Fourier transform moved rings from one pixel to the next.
        curvature = np.median(np.abs(np.diff(down[1:] + down[:-1], 2, axis=0)))
        curvature += np.median(np.abs(np.diff(right[:, 1:] + right[:, :-1], 2, axis=1)))
        if curvature < wanted.smooth:
            return down, right, inside
    return None
