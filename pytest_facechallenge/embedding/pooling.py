"""From embeddings of images to embeddings of entries: flip sums, videos, templates."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.embedding.matrix import new_matrix
from pytest_facechallenge.testsets.model import Pooling

Float32Array: TypeAlias = npt.NDArray[np.float32]

_BLOCK = 4096


def normalised(rows: Float32Array) -> Float32Array:
    """L2-normalise rows in float32; rows of zeros stay zeros, as scikit-learn's ``normalize`` leaves them."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    norms[norms == 0] = 1.0
    result: Float32Array = (rows / norms[:, None]).astype(np.float32)
    return result


def flip_sum(plain: Float32Array, mirrored: Float32Array) -> Float32Array:
    """Return the sum of an image's embedding and its mirror image's, normalised (LFR19's gen_image_feature.py).

    Parameters
    ----------
    plain, mirrored : float32 [N, D]
        In the same order; ``plain`` is overwritten with the result and returned, since both may be memory maps.
    """
    for start in range(0, len(plain), _BLOCK):
        part = slice(start, start + _BLOCK)
        plain[part] = normalised(plain[part] + mirrored[part])
    return plain


def pool(
    rows: Float32Array, usable: npt.NDArray[np.bool_], pooling: Pooling, entries: int, workdir: Path
) -> Float32Array:
    """Make one row of each entry's images.

    Parameters
    ----------
    rows : float32 [images, D]
    usable : bool [images]
        Images that have an embedding; the others are left out.
    pooling
        See `Pooling` for what is computed.
    entries
        How many there are.
    workdir
        A folder for a memory-mapped result.

    Returns
    -------
    float32 [entries, D]
        Normalised; NaN for entries without a usable image. A memory map when large.
    """
    result = new_matrix((entries, rows.shape[1]), workdir)
    chosen = np.flatnonzero(usable)
    chosen = chosen[np.argsort(pooling.entry[chosen], kind="stable")]
    ends = np.cumsum(np.bincount(pooling.entry[chosen], minlength=entries))
    first = start = 0
    while first < entries:
        # As many entries as have so many images together, but one at least; those without images cost a row each.
        last = int(np.searchsorted(ends, start + _BLOCK, side="right"))
        last = min(max(last, first + 1), first + _BLOCK, entries)
        images = chosen[start : ends[last - 1]]
        result[first:last] = _pooled(rows[images], pooling.entry[images] - first, pooling, images, last - first)
        first, start = last, int(ends[last - 1])
    return result


def _pooled(
    rows: Float32Array, owners: npt.NDArray[np.int64], pooling: Pooling, images: npt.NDArray[np.int64], entries: int
) -> Float32Array:
    """Make one row of each entry, float32 [entries, D], of images that lie in the order of their ``owners``."""
    if pooling.kind == "video":
        parts = normalised(rows).astype(np.float64)
    else:
        # The mean over each medium, summed over media: an image weighs 1 / (images of its medium in the entry).
        keys = np.stack([owners, pooling.medium[images]], axis=1)
        _media, which, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
        parts = rows / counts[which.ravel(), None]
    pooled = np.full((entries, rows.shape[1]), np.nan, np.float32)
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    if len(starts):
        # In float64, in an order that depends on the entry's own images only and not on what else is in the block.
        pooled[owners[starts]] = normalised(np.add.reduceat(parts, starts, axis=0).astype(np.float32))
    return pooled
