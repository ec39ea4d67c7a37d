"""Rows quantised to int8 as filter, with a rigorous bound of the quantisation error per pair."""

from __future__ import annotations

import functools
import math
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from pytest_facechallenge.core.freed_memory import give_back
from pytest_facechallenge.verification.backends.basis import choose_basis
from pytest_facechallenge.verification.backends.bound_columns import BoundColumns
from pytest_facechallenge.verification.backends.products import IntegerProduct, integer_product, is_exact
from pytest_facechallenge.verification.backends.quantised import BLOCK, GROUP, QuantisedSide, choose_scale
from pytest_facechallenge.verification.backends.tile import EMPTY, Candidates, Tile
from pytest_facechallenge.verification.errors import BackendUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_facechallenge.verification.protocol import PairPlan
    from pytest_facechallenge.verification.rows import UnitRows

MAX_WIDTH = 65_000
"""Widest rows whose int32 sums cannot overflow: 2**31 / (255 * 127) = 66,311, less the columns of the bound."""

# Covers the rounding of the bound's own float64 arithmetic and of the deciding score: n * 2**-53 < 1e-11 for MAX_WIDTH
# terms, a few times over.
_SLACK = 1e-9
#: Unit rows have norms up to 1 + 2**-23 (see `rounding.float32_margin`).
_NORM = 1 + 2.0**-22


class Int8Filter:
    r"""Integer products that bound every score from above.

    A unit row is x = B z + r, where the few columns of B hold nearly all of it (see `basis.choose_basis`; without B,
    z is x and r is zero), and z = s q + d with q in int8, one step s for all rows, and d the quantisation error
    (clipping included) of norm e s. Then x.y = s**2 q.q' + d.(s q') + z.d' + r.r', so by Cauchy-Schwarz

        x.y <= s**2 (q.q' + e ||q'|| + ||z|| / s e') + ||r|| ||r'||

    where q.q' is an exact integer and the norms are known per row. The terms behind it are products of numbers of the
    left and of the right row, so they are columns of the same product, rounded upwards to integers (`BoundColumns`):
    the product is the bound itself, in units of s**2. Pairs whose bound stays below the cutoff cannot reach it; the
    others are candidates. That is one comparison with one number for a whole tile.

    Parameters
    ----------
    unit, plan
        The embeddings and the pairs. The quantised sides take about a quarter of the features' size.
    reduce : bool
        Whether fewer dimensions may be multiplied, where the embeddings allow it. That loosens the bound, so it pays
        where few pairs are looked for.
    keep : int
        Impostor scores that are looked for, which decides how many dimensions are best.
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
    left_block = 2 * BLOCK
    right_block = BLOCK

    def __init__(
        self,
        unit: UnitRows,
        plan: PairPlan,
        make_product: Callable[[], IntegerProduct] = integer_product,
        *,
        reduce: bool = False,
        keep: int = 1,
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
            self.basis = choose_basis(unit, plan, keep) if reduce else None
            self.scale = choose_scale(unit, plan, self.basis)
            give_back()  # what the choices held, before the rows are written beside it
            self.right = QuantisedSide(unit, plan.right.rows, self.scale, self.basis, workers)
            self.left = self.right
            if not plan.symmetric:
                self.left = QuantisedSide(unit, plan.left.rows, self.scale, self.basis, workers)
        sides = {id(side): side for side in (self.left, self.right)}.values()
        error, rest = (
            max(float(values.max(initial=0)) for values in found)
            for found in ([side.error for side in sides], [side.rest for side in sides])
        )
        bounds = BoundColumns.fitting(_NORM / self.scale, error, rest)
        for side in sides:
            side.add_bounds(bounds)
        # Of the columns behind the bound's, which are zero, as many as fill a group.
        self.columns = min(-(-(self.right.width + bounds.count) // GROUP) * GROUP, self.right.blocks.shape[1])
        exchanged = bounds.exchanged(self.right.width)
        self.left_columns = np.append(exchanged, np.arange(len(exchanged), self.columns))

    def worker(self) -> _Int8Worker:
        """Make a worker with a runtime session and an output tile of its own."""
        return _Int8Worker(self)

    def limit(self, cutoff: float) -> int:
        """Give the least product of a pair whose score may reach a cutoff, within the range of int32."""
        if cutoff == -np.inf:
            return -(2**31)
        # One less than the floor: the division may have rounded up to an integer.
        return max(-(2**31), min(math.floor((cutoff - _SLACK) / self.scale**2) - 1, 2**31 - 1))


class _Int8Worker:
    def __init__(self, shared: Int8Filter) -> None:
        self._shared = shared
        self._product = shared.make_product()
        self._output = np.empty(shared.left_block * BLOCK, np.int32)
        self._reached = np.empty(shared.left_block * BLOCK, np.bool_)
        self._panel = np.empty((0, 0), np.uint8)
        self._panel_start = -1

    def candidates(self, tile: Tile, cutoff: float) -> Candidates:
        """Give the pairs whose upper bound reaches the cutoff."""
        shared = self._shared
        if self._panel_start != tile.left_start:
            self._panel = shared.left.as_left(tile.left_start, tile.left_stop, shared.left_columns)
            self._panel_start = tile.left_start
        size = len(self._panel) * BLOCK
        products = self._output[:size].reshape(-1, BLOCK)
        self._product(self._panel, shared.right.blocks[tile.right_start // BLOCK, : shared.columns], products)
        reached = np.greater_equal(self._output[:size], shared.limit(cutoff), out=self._reached[:size])
        # Eight pairs at a time, since nearly all of them stay below.
        eights = np.flatnonzero(reached.view(np.uint64) != 0)
        if not eights.size:
            return EMPTY
        among = np.flatnonzero(reached.reshape(-1, 8)[eights])
        left, right = np.divmod(eights[among >> 3] * 8 + (among & 7), BLOCK)
        columns = tile.right_stop - tile.right_start
        if columns < BLOCK:  # those beyond the last row are padding
            left, right = left[right < columns], right[right < columns]
        return left + tile.left_start, right + tile.right_start


@functools.cache
def _exact_here(make_product: Callable[[], IntegerProduct]) -> bool:
    """Probe each kind of product once per process."""
    return is_exact(make_product())
