"""One side of a plan in 8 bits, with the errors that this makes of each row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.verification.backends.bound_columns import BoundColumns
from pytest_facechallenge.verification.backends.products import ZERO_POINT
from pytest_facechallenge.verification.rows import Float32Array, Float64Array, IntArray, UnitRows, row_dots

if TYPE_CHECKING:
    from pytest_facechallenge.verification.protocol import PairPlan

BLOCK = 512
_LARGEST = 127
_U32 = 2.0**-24
# Covers the rounding of ||x||**2 - ||z||**2 and what the basis lacks of being orthonormal (see `choose_basis`).
_REST_SLACK = 1e-10
#: Columns that are set aside for the bound, without and with a basis; most data need no more (see `BoundColumns`).
_ROOM, _ROOM_WITH_BASIS = 4, 8
GROUP = 4
"""Columns that processors multiply at once."""
#: Rows that a thread works on at once: what it holds for a moment stays small beside the features.
_PIECE = 256
_SAMPLE_ROWS = 512
_SAMPLE_GROUP = 64
#: With smaller steps, rows that neither the step nor the basis fits would need hundreds of columns for their bound.
_LEAST_STEP = 1 / 1400
_CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


class QuantisedSide:
    """One side in int8: blocks [columns, 512], as the product wants its right operand.

    Parameters
    ----------
    unit, rows
        The embeddings, and row numbers by position.
    scale : float
        The quantisation step s, the same for all rows; see `choose_scale`.
    basis : float64 [D, d] or None
        See `basis.choose_basis`.
    workers : int
        Threads that quantise.

    Attributes
    ----------
    blocks : int8 [ceil(n / 512), columns, 512]
        The rows' d values, then room for `BoundColumns`. Zero beyond the last row.
    error, rest : float64 [blocks * 512] or None
        Upper bounds of ||z - s q|| / s and ||x - B z|| / s; zero beyond the last row. None once they are in the blocks.
    """

    def __init__(self, unit: UnitRows, rows: IntArray, scale: float, basis: Float64Array | None, workers: int) -> None:
        count = -(-len(rows) // BLOCK)
        self.width = unit.width if basis is None else basis.shape[1]
        columns = self.width + (_ROOM if basis is None else _ROOM_WITH_BASIS)
        self.blocks = np.zeros((count, columns, BLOCK), np.int8)
        self.error, self.rest = np.zeros(count * BLOCK), np.zeros(count * BLOCK)

        def fill(block: int) -> None:
            stop = min(len(rows), (block + 1) * BLOCK)
            for start in range(block * BLOCK, stop, _PIECE):
                part = slice(start, min(stop, start + _PIECE))
                x = unit.take(rows[part])
                if basis is not None:
                    wide = x.astype(np.float64)
                    whole = row_dots(wide, wide)
                    wide = wide @ basis
                    self.rest[part] = np.sqrt(np.maximum(whole - row_dots(wide, wide), 0) + _REST_SLACK) / scale
                    x = wide.astype(np.float32)
                q, self.error[part] = _quantised(x, scale)
                # Narrowed first: turning bytes is several times faster than turning float32 values.
                place = start - block * BLOCK
                self.blocks[block, : self.width, place : place + len(q)] = q.astype(np.int8).T

        if workers == 1 or count == 1:
            for block in range(count):
                fill(block)
        else:
            with ThreadPoolExecutor(workers) as pool:
                for _ in pool.map(fill, range(count)):
                    pass

    def add_bounds(self, bounds: BoundColumns) -> None:
        """Write the columns of the bound behind the values, and forget the errors."""
        missing = -(-(self.width + bounds.count) // GROUP) * GROUP - self.blocks.shape[1]
        if missing > 0:
            self.blocks = np.pad(self.blocks, ((0, 0), (0, missing), (0, 0)))
        place = slice(self.width, self.width + bounds.count)
        for block in range(len(self.blocks)):
            part = slice(block * BLOCK, (block + 1) * BLOCK)
            self.blocks[block, place] = bounds.of(self.error[part], self.rest[part])
        self.error = self.rest = np.empty(0)

    def as_left(self, start: int, stop: int, columns: IntArray) -> npt.NDArray[np.uint8]:
        """Give the rows start … stop as a left operand of these columns: u8 [n, columns], shifted by the zero point."""
        panel = np.empty((stop - start, len(columns)), np.uint8)
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            rows = panel[block * BLOCK - start :][:BLOCK]
            rows[:] = self.blocks[block, columns, : len(rows)].T.view(np.uint8)
        panel ^= ZERO_POINT
        return panel


def _quantised(x: Float32Array, scale: float) -> tuple[Float32Array, Float64Array]:
    """Quantise rows, float32 [n, d] of norms up to 1 + 2**-22, and bound the errors.

    Returns
    -------
    q : float32 [n, d]
        Whole numbers within -127 … 127.
    error : float64 [n]
        At least ||z - s q|| / s, where z differs from x by its rounding to float32 (u in each value) at most. With
        y = fl(x / s) and r = fl(y - q) the difference to the truth is at most u |x| / s for z, u |y| for y and u |r|
        for r, so 4 u / s covers all three (|r| <= |y| + 1/2, ||y|| close to 1 / s); the sum of d squares in float32, in
        any order, errs by less than 1 +- 2 d u.
    """
    y = x * np.float32(1 / scale)
    q = np.rint(y)
    np.clip(q, -_LARGEST, _LARGEST, out=q)
    y -= q
    squares = np.einsum("ij,ij->i", y, y, optimize=False).astype(np.float64)
    width = x.shape[1]
    return q, np.sqrt(squares * (1 + 4 * width * _U32)) + 4 * _U32 * (1 / scale + np.sqrt(width))


def choose_scale(unit: UnitRows, plan: PairPlan, basis: Float64Array | None) -> float:
    """Choose the quantisation step with the smallest errors on some rows of both sides; any gives a valid bound.

    Its inverse is a float32 number. What counts is the largest error of a group of rows, averaged over groups: one row
    that is clipped badly should not set the step of all the others.
    """
    rows = np.concatenate([side.rows[:: max(1, len(side) // _SAMPLE_ROWS)] for side in (plan.left, plan.right)])
    x = unit.take(rows)
    if basis is not None:
        x = (x.astype(np.float64) @ basis).astype(np.float32)
    largest = float(np.abs(x).max())

    def typical_error(scale: float) -> float:
        errors = scale * _quantised(x, scale)[1]
        return float(np.mean([group.max() for group in np.array_split(errors, -(-len(errors) // _SAMPLE_GROUP))]))

    steps = (max(largest * clip / _LARGEST, _LEAST_STEP) for clip in _CLIPS)
    return min((1 / float(np.float32(1 / step)) for step in steps), key=typical_error)
