"""Tell an array that carries information (trained codes) from one that follows a pattern (index grids, masks, ramps).

A pattern compresses far better than the same values in random order; trained codes do not. So the array is compressed
as it stands and as its differences along its last two axes, and the best is compared with a seeded shuffle of it.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

#: An array is a pattern when it compresses to at most this part of its own shuffle. Measured with seeded arrays: Swin's
#: index grid of a 7x7 window 0.02, a causal mask 0.06, a ramp of 64 values 0.09, a checkerboard 0.29; random codes 1.00
#: whatever their histogram, codes of smooth filters 0.78 to 1.00.
PATTERN_RATIO = 0.5

#: Sorted numbers have the order of a ramp whatever they are: where most values are different, the steps between them
#: have to follow a pattern too. Steps are alike when they vary by no more than a part of their size, and smooth when
#: the step after each is near it: for drawn places in order, two steps differ by 1.41 of their spread.
MOSTLY, ALIKE, SMOOTH = 2, 0.05, 0.5

#: Only so many leading elements are looked at: enough to tell, and bounded in time.
MAX_ELEMENTS = 1 << 17


def is_pattern(array: npt.NDArray[Any]) -> bool:
    """Return whether ``array`` (any shape, any dtype) follows a pattern.

    A single value, an array of one repeated value, and a selection matrix (at most one entry that is not zero in each
    row and each column, such as an identity or a channel swap) are patterns, however small.
    """
    if array.size <= 1 or _is_selection(array):
        return True
    last = array.shape[-1] if array.ndim > 1 else array.size
    rows = max(1, MAX_ELEMENTS // max(1, last))
    flat = array.reshape(-1, last)[:rows, :MAX_ELEMENTS]
    values, codes = np.unique(flat, return_inverse=True)
    if values.size == 1:
        return True
    codes = codes.reshape(flat.shape).astype(np.int64)
    shuffled = np.random.default_rng(0).permutation(codes.ravel())
    candidates = [codes, np.diff(codes, axis=1, prepend=0)]
    if flat.shape[0] > 1:
        candidates += [np.diff(codes, axis=0, prepend=0), np.diff(np.diff(codes, axis=1, prepend=0), axis=0, prepend=0)]
    best = min(_compressed(candidate) for candidate in candidates)
    if best > PATTERN_RATIO * _compressed(shuffled):
        return False
    return values.size * MOSTLY <= flat.size or flat.dtype.kind not in "iuf" or _even(flat.astype(np.float64))


def _even(flat: npt.NDArray[np.float64]) -> bool:
    """Return whether the steps along one of two axes are alike, smooth, or a pattern of a few."""
    for rows in (flat, flat.T):
        if rows.shape[1] < 3:
            continue
        steps = np.diff(rows, axis=1)
        spread, size = float(steps.std()), float(np.abs(steps).mean())
        noise = 4 * float(np.finfo(np.float32).eps * np.abs(rows).max())
        if spread <= ALIKE * size + noise or (steps.shape[1] > 1 and np.diff(steps, axis=1).std() <= SMOOTH * spread):
            return True
        codes = np.unique(np.round(steps / max(size, 1e-30), 2), return_inverse=True)[1].reshape(-1).astype(np.int64)
        shuffled = np.random.default_rng(0).permutation(codes)
        if min(_compressed(codes), _compressed(np.diff(codes))) <= PATTERN_RATIO * _compressed(shuffled):
            return True
    return flat.size < 3


def _is_selection(array: npt.NDArray[Any]) -> bool:
    squeezed = array.squeeze()
    if squeezed.ndim != 2 or squeezed.dtype.kind not in "biuf":
        return False
    entries = squeezed != 0
    return bool(entries.sum(0).max() <= 1 and entries.sum(1).max() <= 1)


def _compressed(codes: npt.NDArray[np.int64]) -> int:
    narrow = codes - codes.min()
    width = np.uint8 if narrow.max() < 1 << 8 else np.uint16 if narrow.max() < 1 << 16 else np.uint32
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return len(squeezer.compress(narrow.astype(width).tobytes()) + squeezer.flush())
