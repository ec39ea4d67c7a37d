"""The oracle: every pair is a candidate, so that float64 scores all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pytest_facechallenge.verification.backends.tile import Candidates, Tile


class BruteForce:
    """No filter at all: slow, and right by construction. The other backends are tested against it."""

    name = "float64"
    left_block = 256
    right_block = 256

    def worker(self) -> BruteForce:
        """Give itself: there is no scratch memory."""
        return self

    def candidates(self, tile: Tile, cutoff: float) -> Candidates:  # noqa: ARG002
        """Give every pair of the tile, whatever the cutoff."""
        left, right = np.mgrid[tile.left_start : tile.left_stop, tile.right_start : tile.right_stop]
        return left.ravel(), right.ravel()
