"""A float32 matrix product as filter, with a rigorous bound of its rounding errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.verification.filters.tile import EMPTY, Candidates, Panels, Tile

if TYPE_CHECKING:
    from pytest_facechallenge.verification.protocol import PairPlan
    from pytest_facechallenge.verification.rows import Float32Array, UnitRows

_KEEP_BYTES = 24 << 20


def float32_margin(width: int) -> float:
    """Bound |float32 product - deciding float64 score| for two unit rows of `width` values.

    With u = 2**-24, a dot product of n terms, summed in any order and with or without fused multiply-add, errs by at
    most g |x|.|y| with g = n u / (1 - n u) (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section
    3.1), and |x|.|y| <= ||x|| ||y|| by Cauchy-Schwarz. The rows are normalised in float64 and then rounded to float32,
    so ||x|| <= 1 + 2u, and (1 + 2u)**2 < 1.001 amply. Products that underflow, flushed to zero or not, add at most
    n 2**-126. The float64 score errs by g with u = 2**-53 in its turn.
    """
    error = 0.0
    for unit_roundoff in (2.0**-24, 2.0**-53):
        share = width * unit_roundoff
        if share >= 0.5:  # more than 8 million values: the bound says nothing, so nothing is filtered
            return float("inf")
        error += share / (1 - share)
    return 1.001 * error + width * 2.0**-126


class SgemmFilter:
    """Blocked float32 products by numpy's BLAS; pairs within the margin of the cutoff stay candidates."""

    name = "sgemm"
    left_block = 1024
    right_block = 1024

    def __init__(self, unit: UnitRows, plan: PairPlan) -> None:
        self.margin = float32_margin(unit.width)
        self.right = Panels(unit, plan.right.rows, _KEEP_BYTES)
        self.left = self.right if plan.symmetric else Panels(unit, plan.left.rows, _KEEP_BYTES)

    def worker(self) -> _SgemmWorker:
        """Make a worker with an output tile of its own."""
        return _SgemmWorker(self)


class _SgemmWorker:
    def __init__(self, shared: SgemmFilter) -> None:
        self._shared = shared
        self._output = np.empty(shared.left_block * shared.right_block, np.float32)
        self._panel: Float32Array | None = None
        self._panel_start = -1

    def candidates(self, tile: Tile, cutoff: float) -> Candidates:
        """Give the pairs whose float32 score is not below the cutoff by more than the margin."""
        if self._panel is None or self._panel_start != tile.left_start:
            self._panel = self._shared.left[tile.left_start : tile.left_stop]
            self._panel_start = tile.left_start
        columns = self._shared.right[tile.right_start : tile.right_stop]
        scores = self._output[: len(self._panel) * len(columns)].reshape(len(self._panel), len(columns))
        np.matmul(self._panel, columns.T, out=scores)
        # The limit is rounded to float32 downwards; rounding it up could drop a pair.
        limit = np.nextafter(np.float32(cutoff - self._shared.margin), np.float32(-np.inf))
        hot = np.flatnonzero(scores.max(axis=1) >= limit)
        if not hot.size:
            return EMPTY
        left, right = np.nonzero(scores[hot] >= limit)
        return hot[left] + tile.left_start, right + tile.right_start
