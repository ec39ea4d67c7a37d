"""Rows quantised to int8 as filter, with a rigorous bound of the quantisation error per pair."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pytest_facechallenge.verification.backends.basis import choose_basis
from pytest_facechallenge.verification.backends.products import ZERO_POINT, IntegerProduct, integer_product, is_exact
from pytest_facechallenge.verification.backends.tile import EMPTY, Candidates, Tile
from pytest_facechallenge.verification.errors import BackendUnavailableError
from pytest_facechallenge.verification.rows import Float64Array, IntArray, UnitRows, row_dots

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_facechallenge.verification.protocol import PairPlan

MAX_WIDTH = 65_000
"""Widest rows whose int32 sums cannot overflow: 2**31 / (255 * 127) = 66,311."""

# Covers the rounding of the bound's own float64 arithmetic and of the deciding score: n * 2**-53 < 1e-11 for MAX_WIDTH
# terms, a few times over.
_SLACK = 1e-9
# Covers the rounding of ||x||**2 - ||z||**2 and what the basis lacks of being orthonormal (see `choose_basis`).
_REST_SLACK = 1e-10
_LARGEST = 127
_BLOCK = 512
_SAMPLE_ROWS = 512
_SAMPLE_GROUP = 64
_CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


class Int8Filter:
    r"""Integer products that bound every score from above.

    A unit row is x = B z + r, where the few columns of B hold nearly all of it (see `basis.choose_basis`; without B,
    z is x and r is zero), and z = s q + d with q in int8, one scale s for all rows, and d the quantisation error
    (clipping included) of norm e. Then x.y = s**2 q.q' + d.(s q') + z.d' + r.r', so by Cauchy-Schwarz

        x.y <= s**2 q.q' + e ||s q'|| + ||z|| e' + ||r|| ||r'||

    where q.q' is an exact integer and the norms are known per row. Pairs whose bound stays below the cutoff cannot
    reach it; the others are candidates. One scale for all rows makes the comparison an integer one per row.

    Parameters
    ----------
    unit, plan
        The embeddings and the pairs. The quantised sides take at most a quarter of the features' size.
    reduce : bool
        Whether fewer dimensions may be multiplied, where the embeddings allow it. That loosens the bound a little, so
        it pays where few pairs are looked for.
    workers : int
        Threads that quantise.
    make_product : callable
        Makes one integer product per worker.

    Raises
    ------
    BackendUnavailableError
        When the product saturates on this CPU (see `is_exact`) or the rows are wider than `MAX_WIDTH`.
    """

    name = "int8"
    left_block = 2 * _BLOCK
    right_block = _BLOCK

    def __init__(
        self,
        unit: UnitRows,
        plan: PairPlan,
        make_product: Callable[[], IntegerProduct] = integer_product,
        *,
        reduce: bool = False,
        workers: int = 1,
    ) -> None:
        if unit.width > MAX_WIDTH:
            msg = f"The int8 filter takes at most {MAX_WIDTH} values a row; found {unit.width}. Use 'sgemm'."
            raise BackendUnavailableError(msg)
        if not _exact_here(make_product):
            msg = "The runtime's u8 x s8 product saturates on this CPU, so its bound would not hold. Use 'sgemm'."
            raise BackendUnavailableError(msg)
        self.make_product = make_product
        # One BLAS thread for each of ours: BLAS threads that wait for each other on busy cores burn more than they do.
        with threadpool_limits(1, "blas") if reduce else nullcontext():
            self.basis = choose_basis(unit, plan) if reduce else None
            self.scale = _choose_scale(unit, plan, self.basis)
            self.right = _QuantisedSide(unit, plan.right.rows, self.scale, self.basis, workers)
            self.left = self.right
            if not plan.symmetric:
                self.left = _QuantisedSide(unit, plan.left.rows, self.scale, self.basis, workers)

    def worker(self) -> _Int8Worker:
        """Make a worker with a runtime session and an output tile of its own."""
        return _Int8Worker(self)


class _QuantisedSide:
    """One side in int8: blocks [d, 512], as the product wants its right operand, and four norms per row.

    Attributes
    ----------
    blocks : int8 [ceil(n / 512), d, 512]
        Zero beyond the last row.
    error, approximate, norm, rest : float64 [blocks * 512]
        ||z - s q||, ||s q||, ||z|| and ||r||; zero beyond the last row.
    largest_error, largest, largest_rest : float64 [blocks]
        Of `error`, `approximate` and `rest` in each block.
    """

    def __init__(self, unit: UnitRows, rows: IntArray, scale: float, basis: Float64Array | None, workers: int) -> None:
        count = -(-len(rows) // _BLOCK)
        self.blocks = np.zeros((count, unit.width if basis is None else basis.shape[1], _BLOCK), np.int8)
        self.error, self.approximate, self.norm, self.rest = (np.zeros(count * _BLOCK) for _ in range(4))

        def fill(block: int) -> None:
            part = slice(block * _BLOCK, min(len(rows), (block + 1) * _BLOCK))
            x = unit.take(rows[part]).astype(np.float64)
            if basis is not None:
                whole = row_dots(x, x)
                x = x @ basis
                self.rest[part] = np.sqrt(np.maximum(whole - row_dots(x, x), 0) + _REST_SLACK)
            q = _quantise(x, scale)
            # Narrowed first: turning bytes is several times faster than turning float64 values.
            self.blocks[block, :, : len(q)] = q.astype(np.int8).T
            self.norm[part] = np.sqrt(row_dots(x, x))
            q *= scale
            self.approximate[part] = np.sqrt(row_dots(q, q))
            x -= q
            self.error[part] = np.sqrt(row_dots(x, x))

        if workers == 1 or count == 1:
            for block in range(count):
                fill(block)
        else:
            with ThreadPoolExecutor(workers) as pool:
                for _ in pool.map(fill, range(count)):
                    pass
        self.largest_error = self.error.reshape(count, _BLOCK).max(axis=1)
        self.largest = self.approximate.reshape(count, _BLOCK).max(axis=1)
        self.largest_rest = self.rest.reshape(count, _BLOCK).max(axis=1)

    def as_left(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """Give the rows start … stop as a left operand: u8 [n, d], shifted by the zero point."""
        panel = np.empty((stop - start, self.blocks.shape[1]), np.uint8)
        for block in range(start // _BLOCK, -(-stop // _BLOCK)):
            rows = panel[block * _BLOCK - start :][:_BLOCK]
            rows[:] = self.blocks[block, :, : len(rows)].T.view(np.uint8)
        panel ^= ZERO_POINT
        return panel


class _Int8Worker:
    def __init__(self, shared: Int8Filter) -> None:
        self._shared = shared
        self._product = shared.make_product()
        self._output = np.empty(shared.left_block * shared.right_block, np.int32)
        self._panel = np.empty((0, 0), np.uint8)
        self._panel_start = -1

    def candidates(self, tile: Tile, cutoff: float) -> Candidates:
        """Give the pairs whose upper bound reaches the cutoff."""
        shared = self._shared
        if self._panel_start != tile.left_start:
            self._panel = shared.left.as_left(tile.left_start, tile.left_stop)
            self._panel_start = tile.left_start
        products = self._output[: len(self._panel) * _BLOCK].reshape(len(self._panel), _BLOCK)
        self._product(self._panel, shared.right.blocks[tile.right_start // _BLOCK], products)

        rows = slice(tile.left_start, tile.left_stop)
        columns = slice(tile.right_start, tile.right_start + _BLOCK)
        error, reach, rest = shared.left.error[rows], shared.left.norm[rows], shared.left.rest[rows]
        # First a limit per row that holds for every column of the block, and only the rows' maxima against it.
        block = tile.right_start // _BLOCK
        needed = cutoff - _SLACK - error * shared.right.largest[block] - reach * shared.right.largest_error[block]
        needed -= rest * shared.right.largest_rest[block]
        limit = _as_limit(needed / shared.scale**2)
        hot = np.flatnonzero(products.max(axis=1) >= limit)
        if not hot.size:
            return EMPTY
        left, right = np.divmod(np.flatnonzero(products[hot] >= limit[hot, None]), _BLOCK)
        left = hot[left]
        # Then each remaining pair against its own bound; columns beyond the last row are padding.
        bound = products[left, right] * shared.scale**2
        bound += (
            error[left] * shared.right.approximate[columns][right] + reach[left] * shared.right.error[columns][right]
        )
        bound += rest[left] * shared.right.rest[columns][right]
        kept = (bound >= cutoff - _SLACK) & (right < tile.right_stop - tile.right_start)
        return left[kept] + tile.left_start, right[kept] + tile.right_start


@functools.cache
def _exact_here(make_product: Callable[[], IntegerProduct]) -> bool:
    """Probe each kind of product once per process."""
    return is_exact(make_product())


def _as_limit(limit: Float64Array) -> npt.NDArray[np.int32]:
    """Round integer limits downwards and into the range of int32; minus infinity lets everything pass."""
    # One less than the floor: the division may have rounded up to an integer.
    np.floor(limit, out=limit)
    limit -= 1
    np.minimum(limit, 2.0**31 - 1, out=limit)
    rounded: npt.NDArray[np.int32] = np.maximum(limit, -(2.0**31), out=limit).astype(np.int32)
    return rounded


def _quantise(x: Float64Array, scale: float) -> Float64Array:
    q: Float64Array = x * (1 / scale)
    np.rint(q, out=q)
    return np.clip(q, -_LARGEST, _LARGEST, out=q)


def _choose_scale(unit: UnitRows, plan: PairPlan, basis: Float64Array | None) -> float:
    """Choose the scale with the smallest errors on some rows of both sides; any scale gives a valid bound.

    A limit per tile has to allow for the largest error of its columns, so what counts is the largest of a group of
    rows, averaged over groups: one row that is clipped badly should not set the scale of all the others.
    """
    rows = np.concatenate([side.rows[:: max(1, len(side) // _SAMPLE_ROWS)] for side in (plan.left, plan.right)])
    x = unit.take(rows).astype(np.float64)
    if basis is not None:
        x = x @ basis
    largest = float(np.abs(x).max())

    def typical_error(scale: float) -> float:
        error = x - scale * _quantise(x, scale)
        errors = np.sqrt(row_dots(error, error))
        return float(np.mean([group.max() for group in np.array_split(errors, -(-len(errors) // _SAMPLE_GROUP))]))

    return min((largest * clip / _LARGEST for clip in _CLIPS), key=typical_error)
