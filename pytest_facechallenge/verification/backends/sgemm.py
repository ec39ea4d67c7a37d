"""A float32 matrix product as filter, with a rigorous bound of its rounding errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.verification.backends.products import float_product
from pytest_facechallenge.verification.backends.tile import EMPTY, Candidates, Panels, Tile
from pytest_facechallenge.verification.rounding import float32_margin

if TYPE_CHECKING:
    from pytest_facechallenge.verification.protocol import PairPlan
    from pytest_facechallenge.verification.rows import Float32Array, UnitRows

_KEEP_BYTES = 24 << 20


class SgemmFilter:
    """Blocked float32 products; pairs within the margin of the cutoff stay candidates."""

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
        self._product = float_product()
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
        self._product(self._panel, columns, scores)
        # The limit is rounded to float32 downwards; rounding it up could drop a pair.
        limit = np.nextafter(np.float32(cutoff - self._shared.margin), np.float32(-np.inf))
        hot = np.flatnonzero(scores.max(axis=1) >= limit)
        if not hot.size:
            return EMPTY
        left, right = np.nonzero(scores[hot] >= limit)
        return hot[left] + tile.left_start, right + tile.right_start
