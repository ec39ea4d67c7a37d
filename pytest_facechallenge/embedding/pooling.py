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
    bounds = np.searchsorted(pooling.entry[chosen], np.arange(0, entries + _BLOCK, _BLOCK))
    for first, start, stop in zip(range(0, entries, _BLOCK), bounds[:-1], bounds[1:], strict=True):
        images = chosen[start:stop]
        owners = pooling.entry[images] - first
        sums = np.zeros((min(_BLOCK, entries - first), rows.shape[1]), dtype=np.float64)
        if pooling.kind == "video":
            np.add.at(sums, owners, normalised(rows[images]))
        else:
            # The mean over each medium, summed over media: an image weighs 1 / (images of its medium in the entry).
            keys = np.stack([owners, pooling.medium[images]], axis=1)
            _media, which, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
            np.add.at(sums, owners, rows[images] / counts[which.ravel(), None])
        pooled = normalised(sums.astype(np.float32))
        pooled[np.bincount(owners, minlength=len(sums)) == 0] = np.nan
        result[first : first + len(sums)] = pooled
    return result
