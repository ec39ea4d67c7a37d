"""What of the image the first layers see: all of it in place, or a cropped, re-sampled, warped version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

from pytest_facechallenge.analyses.implicit_batch.probe_images import Images
from pytest_facechallenge.analyses.implicit_batch.signatures import SAME, signatures

Array = npt.NDArray[Any]

#: Pixels looked for in a first layer's input.
PIXELS = 2000

#: Mean error of "this element is the image at that place" relative to the element's own variation.
PIXEL_LIKE = 0.35

#: Pairs of noise images that are mixed pixel by pixel.
MOSAICS = 3


@dataclass(frozen=True)
class View:
    """What one layer sees of the image.

    Attributes
    ----------
    kind
        "exact": pixels, moved or not, none mixed; "resampled": pixels interpolated at other places; "in place":
        interpolated (blurred) but every pixel where it was; "predicted": warped by what the image itself shows;
        "features": not an image any more.
    coverage
        Share of the pixel grid that is present (exact), or that lies inside the places sampled.
    scale, offset
        For height and width: place in the image = scale * index + offset, in pixels; NaN where not straight.
    words
        For a reader.
    present
        Which of `pixels_asked` are there (exact views).
    """

    kind: str
    coverage: float
    scale: tuple[float, float] = (float("nan"), float("nan"))
    offset: tuple[float, float] = (float("nan"), float("nan"))
    words: str = ""
    present: frozenset[int] = frozenset()


def exact_view(noise: Array, seen: Array, seed: int = 3) -> View | None:
    """Return the view when what the layer sees are the image's own pixels, else None.

    Parameters
    ----------
    noise
        The noise images, float [probes, C, H, W].
    seen
        The layer's input for them, float [probes, *shape].
    """
    marks, live = signatures(seen)
    pool = marks[live]
    if len(pool) < 16:
        return None
    source, _ = signatures(noise)
    channels, height, width = noise.shape[1:]
    random = np.random.default_rng(seed)
    asked = pool[random.choice(len(pool), min(300, len(pool)), replace=False)]
    agreement = np.abs(asked @ source.T)
    closest = agreement.max(1)
    known = closest >= SAME
    if known.mean() < 0.9:
        return None
    places = pixels_asked(height, width)
    present = np.zeros(len(places), bool)
    tree = spatial.cKDTree(pool)
    # As tight as these data allow: plain pixels agree to rounding, a curve on the pixel values needs more room.
    reach = min(float(np.sqrt(2 - 2 * SAME)), 1.5 * float(np.sqrt(np.maximum(0, 2 - 2 * closest[known])).max()) + 0.004)
    for plane in source.reshape(channels, height * width, -1):
        for sign in (1, -1):
            missing = np.flatnonzero(~present)
            distance, _ = tree.query(sign * plane[places[missing]], distance_upper_bound=reach)
            present[missing] = np.isfinite(distance)
    coverage = float(present.mean())
    there = frozenset(np.flatnonzero(present).tolist())
    if coverage >= 0.985:
        return View("exact", coverage, words="every pixel", present=there)
    rows, columns = np.divmod(places[present], width)
    if len(rows) == 0:
        return View("exact", 0.0, words="nothing of the image")
    box = (int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1)
    filled = len(rows) / max(1, _inside(places, width, box))
    if filled > 0.9:
        words = f"a crop: rows {box[0]}..{box[1] - 1} and columns {box[2]}..{box[3] - 1} of {height}x{width}"
    else:
        words = f"{coverage:.0%} of the pixels, picked out of the whole image"
    return View("exact", coverage, words=words, present=there)


def holds_elsewhere(noise: Array, seen: Array, others: Array, others_seen: Array, seed: int = 4) -> float:
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
    marks, live = signatures(seen)
    places = np.flatnonzero(live)
    random = np.random.default_rng(seed)
    places = random.choice(places, min(400, len(places)), replace=False)
    source, _ = signatures(noise)
    agreement = marks[places] @ source.T
    pixels = np.abs(agreement).argmax(1)
    known = np.abs(agreement).max(1) >= SAME
    places, pixels = places[known], pixels[known]
    plane = pixels // (noise.shape[-1] * noise.shape[-2])
    held = 0
    for image, values in zip(others, others_seen, strict=True):
        expected, got = image.reshape(-1)[pixels], values.reshape(-1)[places]
        agree = []
        for channel in np.unique(plane):
            chosen = plane == channel
            if chosen.sum() >= 20 and np.ptp(expected[chosen]) > 0:
                flat = np.ptp(got[chosen]) == 0
                agree.append(0.0 if flat else abs(float(np.corrcoef(expected[chosen], got[chosen])[0, 1])))
        held += not agree or min(agree) >= 0.93
    return held / max(1, len(others))


def chosen_share(images: Array, seen: Array) -> float:
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
        held += bool(((a @ b.T) / np.maximum(norms, 1e-12)).max(0).min() >= 0.95)
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
    return np.random.default_rng(6).random((height, width)) < 0.5


def pixel_by_pixel(seen: Array, mixed: Array) -> bool:
    """Whether a tensor of the image's size is at each place a function of that pixel alone (any curve, any colours).

    Parameters
    ----------
    seen
        What the layer sees of the noise images, float [n, C, H, W].
    mixed
        What it sees of their `mosaics`: there each place must show what the image that gave its pixel shows.
    """
    chosen = mask(*seen.shape[-2:])
    for index, values in enumerate(mixed):
        one, two = seen[2 * index], seen[2 * index + 1]
        close = np.abs(np.where(chosen, one, two) - values) <= 1e-3 * (np.abs(one).max() + 1e-20)
        different = np.abs(one - two) > 1e-2 * np.abs(one).max()
        if different.mean() < 0.2 or close[different].mean() < 0.98:
            return False
    return True


def any_channel_kept(seen: Array, mixed: Array) -> bool:
    """Whether at least one channel is `pixel_by_pixel`: then the others are features added to the image."""
    return any(pixel_by_pixel(seen[:, c : c + 1], mixed[:, c : c + 1]) for c in range(min(16, seen.shape[1])))


def pixels_asked(height: int, width: int) -> Array:
    """Return the places (row * width + column) that are looked for: the same ones for every layer."""
    random = np.random.default_rng(3)
    chosen: Array = np.sort(random.choice(height * width, min(PIXELS, height * width), replace=False))
    return chosen


def _inside(places: Array, width: int, box: tuple[int, int, int, int]) -> int:
    rows, columns = np.divmod(places, width)
    return int(((rows >= box[0]) & (rows < box[1]) & (columns >= box[2]) & (columns < box[3])).sum())


@dataclass(frozen=True)
class Ramps:
    """What a layer sees of the flat images (0.3 and 0.7 of the range), of ramps, natural images and mosaics."""

    dark: Array
    light: Array
    rows: Array
    columns: Array
    natural: Array
    coded: Array
    mosaics: Array


@dataclass(frozen=True)
class Demand:
    """What must be true before a tensor counts as an image.

    Attributes
    ----------
    like
        Error up to which an element is the image at its place (relative to the element's own variation).
    least
        Share of the elements that must be.
    """

    like: float = PIXEL_LIKE
    least: float = 0.1


#: Of what stands before the first layer, and of what stands behind layers (whose features must not be taken for one).
BEFORE_LAYERS, BEHIND_LAYERS = Demand(), Demand(like=0.1, least=0.6)


def sampled_view(images: Images, natural: Array, seen: Ramps, demand: Demand = BEFORE_LAYERS) -> View:
    """Measure where in the image each element looks, from ramps, and whether it is the image that it holds there.

    Parameters
    ----------
    images
        Gives the size and the value range.
    natural
        float [n, C, H, W], the images behind ``seen.natural``.
    """
    gain, down, right, live = _places(images, seen)
    if live.sum() < 16:
        return View("features", 0.0, words="nothing that follows the brightness of the image")
    if live.mean() < 0.05:
        return View("features", 0.0, words="no image")
    offset = seen.dark - gain * (images.low + 0.3 * (images.high - images.low))
    errors = _prediction_errors(natural, seen.natural, gain, offset, down, right, live)
    likely = np.zeros(live.shape, bool)
    likely.reshape(-1)[np.flatnonzero(live.reshape(-1))] = errors <= demand.like
    if likely.sum() < max(16, demand.least * live.sum()):
        predicted = predicted_view(images, seen.dark, seen.light, seen.coded)
        return predicted or View("features", 0.0, words="features, not the image")
    return _describe(down, right, likely, images, "resampled")


def _places(images: Images, seen: Ramps) -> tuple[Array, Array, Array, npt.NDArray[np.bool_]]:
    """Return for each element its gain, its row and column in the image, and whether it follows the brightness."""
    span = images.high - images.low
    gain = (seen.light - seen.dark) / (0.4 * span)
    live = np.abs(gain) > 0.05 * np.abs(gain).max() + 1e-12
    safe = np.where(live, gain, 1)
    down = (seen.rows - seen.dark) / safe / (0.4 * span) * (images.height - 1)
    right = (seen.columns - seen.dark) / safe / (0.4 * span) * (images.width - 1)
    inside = (down > -2) & (down < images.height + 1) & (right > -2) & (right < images.width + 1)
    return gain, down, right, live & inside


def own_pixels(images: Images, seen: Array, ramps: Ramps) -> float:
    """Return which share of the elements show the pixel at their place and none of its neighbours, in any layout.

    Parameters
    ----------
    seen
        What the layer sees of the noise images, float [n, *shape].
    ramps
        ``mosaics`` of them among it: an element that shows one pixel shows there what it showed in one of the two.
    """
    _, down, right, live = _places(images, ramps)
    rows = np.clip(np.rint(down), 0, images.height - 1).astype(int)
    columns = np.clip(np.rint(right), 0, images.width - 1).astype(int)
    first = mask(images.height, images.width)[np.where(live, rows, 0), np.where(live, columns, 0)]
    shares = []
    for index, values in enumerate(ramps.mosaics):
        one, two = seen[2 * index], seen[2 * index + 1]
        told = live & (np.abs(one - two) > 1e-2 * np.abs(one).max())
        close = np.abs(np.where(first, one, two) - values) <= 1e-3 * (np.abs(one).max() + 1e-20)
        shares.append(float(close[told].mean()) if told.any() else 0.0)
    return min(shares, default=0.0)


def _prediction_errors(
    natural: Array, values: Array, gain: Array, offset: Array, down: Array, right: Array, live: Array
) -> Array:
    """Return for each live element the error of the best of: one channel, or the mean of channels, at the place."""
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


def _filled(live: Array) -> float:
    """Return how much of the tensor is image: of the channels that hold any, where channels are an axis."""
    if live.ndim != 4:
        return 1.0
    share = live.mean((0, 2, 3))
    holding = share > 0.1
    return float(share[holding].mean()) if holding.any() else 0.0


def _describe(down: Array, right: Array, live: Array, images: Images, kind: str) -> View:
    """Say on which grid of rows and columns the places lie, however the tensor is laid out."""
    rows, columns = _grid(down[live], images.height), _grid(right[live], images.width)
    coverage = hull(down[live], right[live], images)
    straight = rows is not None and columns is not None and _filled(live) > 0.8
    scale = (rows[0], columns[0]) if straight and rows and columns else (float("nan"), float("nan"))
    offset = (rows[1], columns[1]) if straight and rows and columns else (float("nan"), float("nan"))
    if straight and all(abs(s - 1) < 0.004 for s in scale) and all(abs(o) < 0.3 for o in offset):
        return View("in place", coverage, scale, offset, "the image, every pixel in its place")
    if straight:
        words = (
            f"the image re-sampled: row = {scale[0]:.3g} * i {offset[0]:+.2f}, "
            f"column = {scale[1]:.3g} * j {offset[1]:+.2f}"
        )
    else:
        words = "the image warped: the places sampled do not lie on its grid of rows and columns"
    return View(kind, coverage, scale, offset, words)


def _grid(places: Array, extent: int) -> tuple[float, float] | None:
    """Return (step, first) when the places along one direction are evenly spaced and used alike; None otherwise."""
    ordered = np.sort(places.reshape(-1))
    cuts = np.flatnonzero(np.diff(ordered) > 0.1)
    groups = np.split(ordered, cuts + 1)
    if not 2 <= len(groups) <= 4 * extent:
        return None
    counts = np.array([len(group) for group in groups])
    groups = [group for group, count in zip(groups, counts, strict=True) if count > 0.2 * np.median(counts)]  # strays
    if len(groups) < 2:
        return None
    centres, counts = np.array([group.mean() for group in groups]), np.array([len(group) for group in groups])
    steps = np.diff(centres)
    step = float(np.median(steps))
    if np.mean(np.abs(steps - step) > 0.06 * step + 0.02) > 0.1 or np.ptp(groups[len(groups) // 2]) > 0.2:
        return None
    if np.mean(np.abs(counts - np.median(counts)) > 0.5 * np.median(counts)) > 0.1 or counts.max() > 4 * np.median(
        counts
    ):
        return None
    middle = len(centres) // 2
    return step, float(centres[middle] - middle * step)


def hull(down: Array, right: Array, images: Images) -> float:
    """Return the share of the image that the box around some places takes."""
    rows = float(np.ptp(np.clip(down, 0, images.height - 1))) + 1
    columns = float(np.ptp(np.clip(right, 0, images.width - 1))) + 1
    return min(1.0, rows * columns / (images.height * images.width))


def predicted_view(images: Images, dark: Array, light: Array, coded: Array) -> View | None:
    """Decode a warp that differs from image to image, from one image with its rows and columns in two channels.

    Parameters
    ----------
    dark, light, coded
        What a layer sees of the even images (0.3 and 0.7 of the range) and of the coded one, float [1, C, H, W].
    """
    places = decode(images, dark, light, coded)
    if places is None:
        return None
    down, right, inside = places
    return _describe(down[None, None], right[None, None], inside[None, None], images, "predicted")


def decode(
    images: Images, dark: Array, light: Array, coded: Array, span: float = 0.4
) -> tuple[Array, Array, Array] | None:
    """Return where each element was taken, when a tensor is the coded image moved about.

    Parameters
    ----------
    dark, light, coded
        As for `predicted_view`.
    span
        Of the ramps in the coded image.

    Returns
    -------
    (down, right, inside)
        Row and column of every place, float [H, W]; bool [H, W], where they are to be trusted.
    """
    shape = coded.shape
    if len(shape) != 4 or shape[1] < 3 or images.channels < 3:
        return None
    middle = (
        0,
        slice(None),
        slice(shape[2] // 4, -(shape[2] // 4) or None),
        slice(shape[3] // 4, -(shape[3] // 4) or None),
    )
    gain = np.median(((light - dark) / (0.4 * (images.high - images.low)))[middle], axis=(1, 2))
    start = np.median(dark[middle], axis=(1, 2))
    if np.abs(gain).min() < 1e-9:
        return None
    level = 0.3 + (coded[0] - start[:, None, None]) / gain[:, None, None] / (images.high - images.low)
    unit = (level - 0.5) / span + 0.5
    for first, second in ((0, 1), (2, 1)):
        down, right = unit[first] * (images.height - 1), unit[second] * (images.width - 1)
        third = unit[({0, 1, 2} - {first, second}).pop()]
        inside = (np.abs(third - 0.5) < 0.02) & (down > -1) & (right > -1)
        inside &= (down < images.height) & (right < images.width)
        if inside.mean() < 0.3:
            continue
        # Means of neighbours: what a Fourier transform moved rings from one pixel to the next.
        smooth = np.median(np.abs(np.diff(down[1:] + down[:-1], 2, axis=0)))
        smooth += np.median(np.abs(np.diff(right[:, 1:] + right[:, :-1], 2, axis=1)))
        if smooth < 1:
            return down, right, inside
    return None
