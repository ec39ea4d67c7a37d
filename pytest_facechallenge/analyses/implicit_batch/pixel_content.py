"""How much of an image a feature map holds: pixels recovered from the features at the same place."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]

#: Bands along height and width that a transform may put side by side in one map, none among them.
BANDS = ((1, 1), (2, 1), (1, 2), (2, 2), (4, 4))


def recovered(images: Array, values: Array, limits: Thresholds, window: int = 0) -> float:
    """Return which share of the variation of pixels a linear map of the features around the same place recovers.

    Features at the place itself have a slope of their own above zero, since leaky ReLUs lose nothing.
    Features at stride s are asked for all s x s pixels of their cell. Independent pixels say nothing of each other, so
    what is recovered is held; measured on places that the fit has not seen.

    Parameters
    ----------
    images
        Noise images, float [n, C, H, W].
    values
        A map for each, float [n, c, h, w] or [n, h, w, c].
    window
        Rows and columns of features behind each pixel; the usual number by default.

    Returns
    -------
    float
        R squared, at most 1; 0 where the map's sides are no whole fraction of the image's.
    """
    wanted = limits.alignment
    steps = _steps(images.shape[2:], values.shape[2:])
    if steps is None:
        values = np.moveaxis(values, -1, 1)
        steps = _steps(images.shape[2:], values.shape[2:])
        if steps is None:
            return 0.0
    known, asked = _rows(images, values, steps, (window or wanted.window) // 2)
    order = np.random.default_rng(0).permutation(len(known))[: 6 * known.shape[1] + wanted.rows]
    known, asked = known[order], asked[order]
    spread = known.std(0)
    known = np.hstack([known / np.where(spread > 0, spread, 1), np.ones((len(known), 1))])
    cut = len(known) - min(wanted.held_out, len(known) // 3)
    if cut < 1 or len(known) - cut < 2:
        return 0.0
    moments = known[:cut].T @ known[:cut]
    moments += 1e-9 * np.trace(moments) / len(moments) * np.eye(len(moments))
    fit = np.linalg.lstsq(moments, known[:cut].T @ asked[:cut], rcond=None)[0]  # of an even map there is none
    left = ((asked[cut:] - known[cut:] @ fit) ** 2).sum()
    return max(0.0, float(1 - left / max(1e-30, ((asked[cut:] - asked[cut:].mean(0)) ** 2).sum())))


def lossless(images: Array, values: Array, limits: Thresholds) -> bool:
    """Whether the features of each place give back all pixels of its cell, and no others are needed.

    So do wavelets and space to depth, on a grid of whole strides, or as bands that lie side by side in one map.

    Parameters
    ----------
    images, values
        As for `recovered`.
    """
    count, channels, height, width = values.shape
    for rows, columns in BANDS:
        if height % rows or width % columns:
            continue
        bands = values.reshape(count, channels, rows, height // rows, columns, width // columns)
        bands = bands.transpose(0, 1, 2, 4, 3, 5).reshape(count, -1, height // rows, width // columns)
        if recovered(images, bands, limits, window=1) >= limits.alignment.lossless:
            return True
    return False


def _steps(image: tuple[int, ...], features: tuple[int, ...]) -> tuple[int, int] | None:
    """Return the strides of a map, None where they are no whole numbers; rows that padding cost are allowed."""
    down, right = (round(whole / max(1, part)) for whole, part in zip(image, features, strict=True))
    if min(down, right) < 1 or max(down, right) > 4 * min(down, right):
        return None
    near = all(
        abs(whole - part * step) <= 2 * step for whole, part, step in zip(image, features, (down, right), strict=True)
    )
    return (down, right) if near else None


def _rows(images: Array, values: Array, steps: tuple[int, int], reach: int) -> tuple[Array, Array]:
    """Return the features around each place, and the pixels of its cell: float [places, features], [places, pixels]."""
    down, right = steps
    height = min(images.shape[2] // down, values.shape[2])
    width = min(images.shape[3] // right, values.shape[3])
    count, colours = images.shape[:2]
    cells = images[:, :, : height * down, : width * right].astype(np.float64)
    cells = cells.reshape(count, colours, height, down, width, right).transpose(0, 2, 4, 1, 3, 5)
    around = range(-reach, reach + 1)
    values = values[:, :, :height, :width].astype(np.float64)
    shifted = [np.roll(values, (by, aside), (2, 3)) for by in around for aside in around]
    # A leaky ReLU keeps what it squeezes: above and below zero its inverse has two slopes.
    features = np.concatenate([*shifted, np.maximum(values, 0)], 1)
    edge = max(1, reach)
    inner = (slice(None), slice(edge, -edge), slice(edge, -edge))
    known = features.transpose(0, 2, 3, 1)[inner]
    asked = cells.reshape(count, height, width, -1)[inner]
    return known.reshape(-1, known.shape[-1]), asked.reshape(-1, asked.shape[-1])
