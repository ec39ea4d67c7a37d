"""Augmentations and warps of the second blind set, done by numpy."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates, uniform_filter

from evaluation.builder import Array
from evaluation.evasions import pixel_views, predicted_alignment
from evaluation.images import SIDE
from evaluation.runtime import Network


def sampled(x: Array, rows: Array, columns: Array) -> Array:
    """Read images between their pixels; places are [112, 112], or [N, 112, 112] when every image has its own."""
    rows, columns = (np.broadcast_to(at, (len(x), *at.shape[-2:])) for at in (rows, columns))
    out = np.empty((*x.shape[:2], *rows.shape[1:]))
    for n, image in enumerate(x):
        for c, plane in enumerate(image):
            out[n, c] = map_coordinates(plane.astype(float), np.stack([rows[n], columns[n]]), order=1, mode="nearest")
    return out


def nudged(x: Array) -> list[Array]:
    def line(offset: int) -> Array:
        wide = np.pad(x, [(0, 0)] * 3 + [(1, 1)])
        return wide[..., 1 - offset : 1 - offset + SIDE]

    share = pixel_views.NUDGE
    return [x, (1 - share) * x + share * line(1), (1 - share) * x + share * line(-1)]


def noisy(x: Array) -> list[Array]:
    at = np.arange(SIDE, dtype=np.float32)
    noise = pixel_views.LOUDNESS * np.sin(np.outer(at, at) * np.float32(pixel_views.CHIRP))
    return [x + noise, x - noise]


def exposed(x: Array) -> list[Array]:
    return [2 * (0.5 * x + 0.5) ** power - 1 for power in pixel_views.EXPOSURES]


def sharpened(x: Array) -> list[Array]:
    there = uniform_filter(np.ones_like(x), (0, 0, 3, 3), mode="constant")
    blurred = uniform_filter(x, (0, 0, 3, 3), mode="constant") / there
    return [blurred, x, 2 * x - blurred]


def mirrored_but_first(x: Array) -> list[Array]:
    return [x, np.concatenate([x[..., :1], x[..., :0:-1]], axis=3)]


def in_box(x: Array, box: Array) -> Array:
    """Sample 112 x 112 bins of regions (left, top, right, bottom), one for each image."""
    left, top, right, bottom = (side.reshape(-1, 1) for side in box.T)
    bins = (np.arange(SIDE) + 0.5) / SIDE
    rows, columns = top + (bottom - top) * bins, left + (right - left) * bins
    # RoiAlign of opset 16 measures from the corner of the first pixel.
    rows, columns = np.broadcast_arrays(rows[:, :, None] - 0.5, columns[:, None] - 0.5)
    return sampled(x, rows, columns)


def regions(x: Array) -> list[Array]:
    return [in_box(x, np.tile(np.array(region, float), (len(x), 1))) for region in pixel_views.REGIONS]


def attended(x: Array) -> list[Array]:
    sharpness = pixel_views.SHARPNESS * (1 + (x**2).mean((1, 2, 3)))
    out = []
    for reverse in (False, True):
        score = pixel_views.place_codes() @ pixel_views.place_codes(reverse).T * sharpness[:, None, None]
        share = np.exp(score - score.max(2, keepdims=True))
        share /= share.sum(2, keepdims=True)
        out.append(np.einsum("nchw,nvw->nchv", x, share))
    return out


def shrunk(x: Array) -> Array:
    at = (np.arange(pixel_views.SMALL) + 0.5) * SIDE / pixel_views.SMALL - 0.5
    return sampled(x, *np.meshgrid(at, at, indexing="ij"))


def erased(x: Array) -> Array:
    mask = Network(lambda: pixel_views.uncertain_region_erased(mask_only=True))(x).reshape(-1, 1, SIDE, SIDE)
    return np.asarray(x * mask)


def aligned(x: Array) -> Array:
    """Align as a host does: fit the similarity by least squares, then sample."""
    at = (np.arange(SIDE) - predicted_alignment.HALF) / (SIDE / 2)
    out = []
    for image, points in zip(x, Network(predicted_alignment.landmarks)(x).reshape(-1, 5, 2), strict=True):
        rows = [((tx, -ty, 1, 0), (ty, tx, 0, 1)) for tx, ty in predicted_alignment.TEMPLATE]
        a, b, right, down = np.linalg.lstsq(np.array(rows).reshape(10, 4), points.reshape(10), rcond=None)[0]
        across, along = a * at[None] - b * at[:, None] + right, b * at[None] + a * at[:, None] + down
        places = [(place + 1) * SIDE / 2 - 0.5 for place in (along, across)]
        out.append(sampled(image[None], *places)[0])
    return np.stack(out)


def flowed(x: Array) -> Array:
    field = np.rint(Network(predicted_alignment.flow)(x)).reshape(-1, 2, SIDE, SIDE).astype(int)
    rows, columns = np.clip(field.transpose(1, 0, 2, 3) + np.mgrid[:SIDE, :SIDE][:, None], 0, SIDE - 1)
    return np.stack([image[:, r, c] for image, r, c in zip(x, rows, columns, strict=True)])


def leaning(x: Array) -> Array:
    """Move each band of 8 rows one pixel further than the one above, from 7 pixels left to 6 right."""
    wide = np.pad(x, [(0, 0)] * 3 + [(predicted_alignment.LEAN, predicted_alignment.LEAN)])
    bands = [wide[:, :, 8 * band : 8 * band + 8, band : band + SIDE] for band in range(SIDE // 8)]
    return np.concatenate(bands, axis=2)


def seen_through_lens(x: Array) -> Array:
    u = np.linspace(-1, 1, SIDE)
    at = predicted_alignment.HALF * (1 + 0.7 * u + 0.3 * u**3)
    return sampled(x, *np.meshgrid(at, at, indexing="ij"))


def boxed(x: Array) -> Array:
    return in_box(x, predicted_alignment.box(Network(lambda: predicted_alignment.predicted(1405, 4))(x)))


def enlarged_region(x: Array) -> Array:
    wide = np.pad(x, [(0, 0), (0, 0), (0, 4), (0, 4)], mode="edge")
    rows, columns = (
        np.linspace(predicted_alignment.MARGIN, 1 - k * predicted_alignment.MARGIN, SIDE) * (SIDE + 3) for k in (2, 3)
    )
    return sampled(wide, *np.meshgrid(rows, columns, indexing="ij"))


def shifted(x: Array) -> Array:
    digits = Network(lambda: predicted_alignment.predicted(1407, 6))(x) > 0
    wide = np.pad(x, [(0, 0), (0, 0), (0, 7), (0, 7)], mode="edge")
    out = []
    for image, digit in zip(wide, digits, strict=True):
        down, right = digit[:3] @ predicted_alignment.BITS, digit[3:] @ predicted_alignment.BITS
        out.append(image[:, down : down + SIDE, right : right + SIDE])
    return np.stack(out)


def tapped(x: Array) -> Array:
    wide = np.pad(x, [(0, 0), (0, 0), (predicted_alignment.REACH,) * 2, (predicted_alignment.REACH,) * 2])
    out = np.zeros(x.shape)
    for place, share in enumerate(Network(predicted_alignment.delta)(x).T):
        down, right = divmod(place, 7)
        out += share[:, None, None, None] * wide[:, :, down : down + SIDE, right : right + SIDE]
    return out


def attracted(x: Array) -> Array:
    """Move columns by attention: place v reads the columns around v + move, as sharply as eight waves allow."""
    moves = predicted_alignment.PULL * Network(lambda: predicted_alignment.predicted(1409, 1))(x)[:, 0]
    waves = 2 * np.pi * np.arange(1, 9) / SIDE
    out = []
    for image, move in zip(x, moves, strict=True):
        far = np.arange(SIDE)[:, None] + move - np.arange(SIDE)
        share = np.exp(9 * (np.cos(far[..., None] * waves).sum(2) - 8))
        out.append(image @ (share / share.sum(1, keepdims=True)).T)
    return np.stack(out)


def centred(x: Array) -> Array:
    light = x.mean(1) + 1.0001
    ramp = np.arange(SIDE) - predicted_alignment.HALF
    out = np.zeros_like(x)
    for n, plane in enumerate(light):
        down, right = (
            np.rint(predicted_alignment.GAIN * (plane.sum(1 - k) @ ramp) / plane.sum()).astype(int) for k in (0, 1)
        )
        there = [np.arange(SIDE) + move for move in (down, right)]
        rows, columns = (np.flatnonzero((place >= 0) & (place < SIDE)) for place in there)
        out[n][:, rows[:, None], columns] = x[n][:, there[0][rows][:, None], there[1][columns]]
    return out
