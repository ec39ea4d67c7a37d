"""Pixels of the image in a value of the network: which are there, and whether they are there for every image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.signatures import signatures
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.view import View
from pytest_facechallenge.core.facts.implicit_batch_kinds import ViewKind

Array = npt.NDArray[Any]

#: Share of the pixels that a mosaic takes from the first of its two images.
FROM_THE_FIRST = 0.5


def exact_view(noise: Array, seen: Array, limits: Thresholds, seed: int = 3) -> View | None:
    """Return the view when what the layer sees are the image's own pixels, else None.

    Parameters
    ----------
    noise
        The noise images, float [probes, C, H, W].
    seen
        The layer's input for them, float [probes, *shape].
    """
    wanted = limits.views
    marks, live = signatures(seen, limits)
    pool = marks[live]
    if len(pool) < wanted.fewest:
        return None
    source, _ = signatures(noise, limits)
    height, width = noise.shape[2:]
    random = np.random.default_rng(seed)
    asked = pool[random.choice(len(pool), min(wanted.asked, len(pool)), replace=False)]
    closest = np.abs(asked @ source.T).max(1)
    known = closest >= limits.signatures.same
    if known.mean() < wanted.recognised:
        return None
    present = _present(source.reshape(noise.shape[1], height * width, -1), pool, width, closest[known], limits)
    coverage = float(present.mean())
    there = frozenset(np.flatnonzero(present).tolist())
    if coverage >= wanted.whole:
        return View(ViewKind.EXACT, coverage, present=there)
    places = pixels_asked(height, width, limits)
    rows, columns = np.divmod(places[present], width)
    if len(rows) == 0:
        return View(ViewKind.EXACT, 0.0)
    box = (int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max()))
    filled = len(rows) / max(1, _inside(places, width, box))
    if filled > wanted.filled:
        return View(ViewKind.EXACT, coverage, box=box, present=there)
    return View(ViewKind.EXACT, coverage, present=there)


def _present(planes: Array, pool: Array, width: int, closest: Array, limits: Thresholds) -> npt.NDArray[np.bool_]:
    """Return which of `pixels_asked` the pool holds, in any colour and with any sign.

    Parameters
    ----------
    planes, pool
        Signatures of the image's pixels, float [C, H * W, probes], and of the elements, float [elements, probes].
    width
        Of the image.
    closest
        Correlation of some elements with the pixels that they hold.
    """
    from scipy import spatial  # here, because importing it takes longer than following most networks

    places = pixels_asked(planes.shape[1] // width, width, limits)
    present = np.zeros(len(places), bool)
    tree = spatial.cKDTree(pool)
    # As tight as these data allow: plain pixels agree to rounding, a curve on the pixel values needs more room.
    usual = float(np.sqrt(np.maximum(0, 2 - 2 * closest)).max())
    reach = min(float(np.sqrt(2 - 2 * limits.signatures.same)), limits.views.room * usual + limits.views.more_room)
    for plane in planes:
        for sign in (1, -1):
            missing = np.flatnonzero(~present)
            distance, _ = tree.query(sign * plane[places[missing]], distance_upper_bound=reach)
            present[missing] = np.isfinite(distance)
    return present


def holds_elsewhere(
    noise: Array, seen: Array, others: Array, others_seen: Array, limits: Thresholds, seed: int = 4
) -> float:
    """Check on other images what the noise images showed: element e holds pixel p.

    Parameters
    ----------
    noise, seen
        As for `exact_view`.
    others, others_seen
        Natural images [n, C, H, W], and what the layer sees of them.

    Returns
    -------
    float
        Share of the other images for which elements and pixels agree (correlate over the elements) as they did; below
        1 when a condition on the image chooses what the layer gets.
    """
    wanted = limits.views
    marks, live = signatures(seen, limits)
    places = np.flatnonzero(live)
    random = np.random.default_rng(seed)
    places = random.choice(places, min(wanted.held_asked, len(places)), replace=False)
    source, _ = signatures(noise, limits)
    agreement = marks[places] @ source.T
    pixels = np.abs(agreement).argmax(1)
    known = np.abs(agreement).max(1) >= limits.signatures.same
    places, pixels = places[known], pixels[known]
    plane = pixels // (noise.shape[-1] * noise.shape[-2])
    gain, offset = _lines(noise.reshape(len(noise), -1)[:, pixels], seen.reshape(len(seen), -1)[:, places])
    held = 0
    for image, values in zip(others, others_seen, strict=True):
        plain, got = image.reshape(-1)[pixels], values.reshape(-1)[places]
        # As the pixel is, or with what the noise images showed to be added to it and to weigh it at its place.
        ways = (plain, gain * plain + offset)
        agree = []
        for channel in np.unique(plane):
            chosen = plane == channel
            if chosen.sum() >= wanted.held_fewest and np.ptp(plain[chosen]) > 0:
                agree.append(max(_correlation(way[chosen], got[chosen]) for way in ways))
        held += not agree or min(agree) >= wanted.held
    return held / max(1, len(others))


def _lines(pixels: Array, elements: Array) -> tuple[Array, Array]:
    """Return gain and offset of each element as a line of its pixel, over the images, both float64 [elements].

    Parameters
    ----------
    pixels, elements
        float [images, elements].
    """
    x, y = pixels.astype(np.float64), elements.astype(np.float64)
    apart = x - x.mean(0)
    gain: Array = (apart * (y - y.mean(0))).sum(0) / np.maximum((apart**2).sum(0), 1e-30)
    offset: Array = y.mean(0) - gain * x.mean(0)
    return gain, offset


def _correlation(one: Array, other: Array) -> float:
    """Return |correlation|; 0 where one of the two does not vary."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return abs(float(np.corrcoef(one, other)[0, 1]))


def chosen_share(images: Array, seen: Array, limits: Thresholds) -> float:
    """Return for which share of the images a tensor of the image's size is that image, in place.

    Parameters
    ----------
    images, seen
        float [n, C, H, W].
    """
    held = 0
    for image, values in zip(images, seen, strict=True):
        a = image.reshape(len(image), -1)
        b = values.reshape(len(values), -1)
        a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
        norms = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None]
        held += bool(((a @ b.T) / np.maximum(norms, 1e-12)).max(0).min() >= limits.views.same_image)
    return held / max(1, len(images))


def explained(images: Array, seen: Array) -> float:
    """Return which share of a tensor's variation over the places the image's colours at the same place explain.

    Parameters
    ----------
    images
        float [n, C, H, W].
    seen
        float [n, channels, H, W].

    Returns
    -------
    float
        R squared of a least-squares fit for each image and channel; the median over both, 0..1.
    """
    shares = []
    for image, values in zip(images, seen, strict=True):
        colours = np.vstack([image.reshape(len(image), -1), np.ones(image[0].size)]).T.astype(np.float64)
        wanted = values.reshape(len(values), -1).T.astype(np.float64)
        fit, *_ = np.linalg.lstsq(colours, wanted, rcond=None)
        variation = ((wanted - wanted.mean(0)) ** 2).sum(0)
        left = ((wanted - colours @ fit) ** 2).sum(0)
        shares.append(np.where(variation > 0, 1 - left / np.maximum(variation, 1e-30), 0))
    return float(np.median(shares))


def mosaics(noise: Array) -> Array:
    """Mix each two noise images pixel by pixel: [2k, C, H, W] -> [k, C, H, W], odd ones where `mask` is false."""
    chosen = mask(*noise.shape[-2:])
    return np.where(chosen, noise[0::2], noise[1::2])


def mask(height: int, width: int) -> npt.NDArray[np.bool_]:
    """Return the pixels that a mosaic takes from the first image, bool [H, W]."""
    drawn = np.random.default_rng(6).random((height, width))
    return drawn < FROM_THE_FIRST


def pixel_by_pixel(seen: Array, mixed: Array, limits: Thresholds) -> bool:
    """Whether a tensor of the image's size is at each place a function of that pixel alone (any curve, any colours).

    Parameters
    ----------
    seen
        What the layer sees of the noise images, float [n, C, H, W].
    mixed
        What it sees of their `mosaics`: there each place must show what the image that gave its pixel shows.
    """
    wanted = limits.views
    chosen = mask(*seen.shape[-2:])
    for index, values in enumerate(mixed):
        one, two = seen[2 * index], seen[2 * index + 1]
        close = np.abs(np.where(chosen, one, two) - values) <= wanted.close * (np.abs(one).max() + 1e-20)
        different = np.abs(one - two) > wanted.told * np.abs(one).max()
        if different.mean() < wanted.told_share or close[different].mean() < wanted.close_share:
            return False
    return True


def any_channel_kept(seen: Array, mixed: Array, limits: Thresholds) -> bool:
    """Whether at least one channel is `pixel_by_pixel`: then the others are features added to the image."""
    asked = min(limits.views.channels, seen.shape[1])
    return any(pixel_by_pixel(seen[:, c : c + 1], mixed[:, c : c + 1], limits) for c in range(asked))


def pixels_asked(height: int, width: int, limits: Thresholds) -> Array:
    """Return the places (row * width + column) that are looked for: the same ones for every layer."""
    random = np.random.default_rng(3)
    chosen: Array = np.sort(random.choice(height * width, min(limits.views.pixels, height * width), replace=False))
    return chosen


def _inside(places: Array, width: int, box: tuple[int, int, int, int]) -> int:
    """Return how many of the places lie in a rectangle (first and last row, first and last column)."""
    rows, columns = np.divmod(places, width)
    return int(((rows >= box[0]) & (rows <= box[1]) & (columns >= box[2]) & (columns <= box[3])).sum())
