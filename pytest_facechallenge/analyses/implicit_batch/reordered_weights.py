"""Whether one layer's weights are another's with channels in another order and of another scale, turned or not.

Scales go away when rows and columns are divided by their lengths until all have length 1 (Sinkhorn and Knopp 1967, on
the squares): what remains is the same for both. The order goes away when each row is sorted. Then a row of a copy has
its own row in the other layer at no distance, and a row of an unrelated layer only rows as far as its own neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]


def reordered(one: Array, other: Array, limits: Thresholds) -> float:
    """Return the share of one layer's kernels that are kernels of the other one in another order and scale, 0..1.

    Parameters
    ----------
    one, other
        float [outputs, inputs, ...] of one shape.
    """
    wanted = limits.reordering
    if one.shape != other.shape or min(one.shape[:2]) < wanted.smallest:
        return 0.0
    rows, columns = (_rows(weights, limits) for weights in (one, other))
    own = _nearest(rows, rows, itself=True)
    across = _nearest(rows, columns, itself=False)
    usual = float(np.median(own))
    return float((across < wanted.nearer * usual).mean()) if usual > 0 else 0.0


def _rows(weights: Array, limits: Thresholds) -> Array:
    """Return each kernel's sizes, sorted, after its and its inputs' scales were taken out: float64 [outputs, n]."""
    sizes = np.abs(weights.astype(np.float64)).reshape(*weights.shape[:2], -1)
    for _ in range(limits.reordering.rounds):
        sizes = sizes / np.maximum(np.sqrt((sizes**2).mean((1, 2), keepdims=True)), 1e-30)
        sizes = sizes / np.maximum(np.sqrt((sizes**2).mean((0, 2), keepdims=True)), 1e-30)
    return np.sort(sizes.reshape(len(sizes), -1), axis=1)


def _nearest(rows: Array, pool: Array, *, itself: bool) -> Array:
    """Return the distance of each row to the nearest of a pool; not to itself where the two are one."""
    squares = (rows**2).sum(1)[:, None] + (pool**2).sum(1)[None, :] - 2 * rows @ pool.T
    if itself:
        np.fill_diagonal(squares, np.inf)
    nearest: Array = np.sqrt(np.maximum(squares, 0)).min(1)
    return nearest
