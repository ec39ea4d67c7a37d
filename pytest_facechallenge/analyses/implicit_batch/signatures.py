"""Which elements of which tensors are the same datum, found by behaviour.

Every element of every tensor has a *signature*: its values on a set of noise images, centred and scaled to length 1.
Two elements with one signature hold the same pixel (or the same feature) up to gain and offset, however the datum came
there: Slice, Gather, ScatterND, a product with a permutation, a convolution with one-hot kernels, a brightness change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]

#: Rows of the matrix of correlations that are made at once: all of them would take gigabytes.
BLOCK = 64
#: Rows of the pool that are compared with them at once, so that their correlations stay in the cache.
_CHUNK = 8192


def signatures(values: Array, limits: Thresholds) -> tuple[Array, Array]:
    """Turn values into signatures.

    Parameters
    ----------
    values
        Float [probes, elements].

    Returns
    -------
    (signatures, live)
        float32 [elements, probes], rows of length 1 (zero where not live); bool [elements], false for elements that
        do not depend on the image or take too few values.
    """
    wanted = limits.signatures
    flat = values.reshape(len(values), -1).astype(np.float64).T
    centred = flat - flat.mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1))
    scale = np.abs(flat).max(1) + 1e-30
    ordered = np.sort(flat, axis=1)
    distinct = 1 + (np.diff(ordered, axis=1) > wanted.apart * scale[:, None]).sum(1)
    enough = distinct >= min(wanted.distinct, len(values) - 1)
    live = (length > wanted.varies * scale) & enough & np.isfinite(length)
    result = np.zeros(flat.shape, np.float32)
    result[live] = centred[live] / length[live, None]
    return result, live


def matches(queries: Array, pool: Array, limits: Thresholds) -> list[Array]:
    """Return for each query signature the indices of the pool's signatures that are the same datum (either sign)."""
    wanted = np.float32(limits.signatures.same)
    found: list[Array] = []
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK]
        same = np.empty((len(block), len(pool)), bool)
        for first in range(0, len(pool), _CHUNK):
            alike = block @ pool[first : first + _CHUNK].T
            np.abs(alike, out=alike)
            np.greater_equal(alike, wanted, out=same[:, first : first + _CHUNK])
        found.extend(np.flatnonzero(row) for row in same)
    return found


def best(queries: Array, pool: Array) -> tuple[Array, Array]:
    """Return for each query the pool's best correlation (with sign) and the index of it."""
    correlation = np.empty(len(queries), np.float32)
    index = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), BLOCK):
        block = queries[start : start + BLOCK] @ pool.T
        index[start : start + BLOCK] = block.argmax(1)
        correlation[start : start + BLOCK] = block.max(1)
    return correlation, index
