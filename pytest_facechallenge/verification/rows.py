"""Embeddings as unit rows, normalised where they are read, and the one function whose scores decide."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.verification.errors import ProtocolError, UnusableRowsError
from pytest_facechallenge.verification.rounding import LARGEST_NORM, SMALLEST_NORM, raw_margin

Float32Array: TypeAlias = npt.NDArray[np.float32]
Float64Array: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

_CHECK_ELEMENTS = 1 << 19
_DOT_ELEMENTS = 1 << 16
_LISTED_ROWS = 20
#: Norms this close to one need not be divided by where float32 is good enough.
_NEARLY_UNIT = 1e-6


def _float32_dots(left: Float32Array, right: Float32Array) -> Float32Array:
    """Give the dot product of each row of `left` with the same row of `right`, summed in any order: float32 [n]."""
    vecdot = getattr(np, "vecdot", None)  # numpy 2; twice as fast
    dots: Float32Array = np.einsum("ij,ij->i", left, right, optimize=False) if vecdot is None else vecdot(left, right)
    return dots


def row_dots(left: Float64Array, right: Float64Array) -> Float64Array:
    """Give the dot product of each row of `left` with the same row of `right`: the score that decides.

    Parameters
    ----------
    left, right : float64 [n, D], C-contiguous
        Rows whose values are float32 numbers, so that every product is exact in float64 and only the sum rounds.

    Returns
    -------
    float64 [n]
        Each value depends on its own two rows only, not on n or on the place in the batch (a test holds this), and
        is the same with the two rows exchanged. That is why equal rows give equal scores and ties are ties.
    """
    # einsum's inner loop runs over one row at a time; a BLAS product would sum in an order that depends on the block.
    dots: Float64Array = np.einsum("ij,ij->i", left, right, optimize=False)
    return dots


class UnitRows:
    """Embeddings seen as L2-normalised float32 rows, without a normalised copy.

    A row x is read as float32(x / ||x||) with the norm and the division in float64. Rows that are normalised already
    come out unchanged but for the last bit of a few values.

    Parameters
    ----------
    embeddings : float32 [N, D]
        An array or a memory map; it is only read, a few MB at a time.
    used : int [n] or None
        The rows that will be read; only these are checked. None for all.

    Raises
    ------
    ProtocolError
        When `embeddings` is not a float32 matrix with at least one column.
    UnusableRowsError
        When used rows are not finite or zero; it names them.
    """

    def __init__(self, embeddings: npt.NDArray[Any], used: IntArray | None = None) -> None:
        if embeddings.ndim != 2 or embeddings.shape[1] == 0 or embeddings.dtype != np.float32:
            msg = f"Embeddings must be a float32 matrix [N, D]; found {embeddings.dtype} {list(embeddings.shape)}."
            raise ProtocolError(msg)
        # A memmap's own class makes each slice slow; the plain view reads the same pages.
        self._embeddings: Float32Array = np.asarray(embeddings)
        self._norms = np.full(len(embeddings), np.nan)
        self._already_unit = True
        self._check(np.arange(len(embeddings)) if used is None else used)

    @property
    def width(self) -> int:
        """D, the number of values of an embedding."""
        return int(self._embeddings.shape[1])

    def take(self, rows: IntArray) -> Float32Array:
        """Read some rows, normalised: float32 [len(rows), D], C-contiguous, not to be written to."""
        raw = self._raw(rows)
        return raw if self._already_unit else self._normalised(raw, self._norms[rows])

    def scores(self, left: IntArray, right: IntArray) -> Float64Array:
        """Give the exact scores of the pairs (left[k], right[k]) of row numbers: float64 [n]."""
        scores = np.empty(len(left))
        step = max(1, _DOT_ELEMENTS // self.width)
        for start in range(0, len(left), step):
            part = slice(start, start + step)
            x = self.take(left[part]).astype(np.float64)
            scores[part] = row_dots(x, self.take(right[part]).astype(np.float64))
        return scores

    def may_reach(self, left: IntArray, right: IntArray, cutoff: float) -> npt.NDArray[np.bool_]:
        """Tell of which pairs of row numbers the exact score may reach a cutoff: bool [n].

        By float32 dot products of the rows as they are, several times faster than `scores`; false means that the exact
        score surely stays below.
        """
        reach = np.ones(len(left), np.bool_)
        if cutoff == -np.inf or not self._ordinary_norms:
            return reach
        limit = cutoff - raw_margin(self.width)
        if self._nearly_unit:
            # |dot| <= (1 + t)**2 with t = _NEARLY_UNIT, and 1 / (norm norm) lies within 1 +- 2.1 t.
            limit -= 2.2 * _NEARLY_UNIT
        step = max(1, 2 * _DOT_ELEMENTS // self.width)
        for start in range(0, len(left), step):
            i, j = left[start : start + step], right[start : start + step]
            dots = _float32_dots(self._raw(i), self._raw(j))
            if self._nearly_unit:
                # In float64, where the limit is not rounded.
                np.greater_equal(dots.astype(np.float64), limit, out=reach[start : start + step])
            else:
                reach[start : start + step] = dots / (self._norms[i] * self._norms[j]) >= limit
        return reach

    def _raw(self, rows: IntArray) -> Float32Array:
        """Read some rows as they are: float32 [len(rows), D], C-contiguous; a view where they follow each other."""
        if not self._embeddings.flags.c_contiguous:
            # Products read rows by address and sums go along them, and numpy promises no layout for what indexing
            # gives. `take` would copy the whole first.
            return np.ascontiguousarray(self._embeddings[rows])
        count = len(rows)
        if count and rows[-1] - rows[0] == count - 1 and (rows[1:] - rows[:-1] == 1).all():
            return self._embeddings[rows[0] : rows[-1] + 1]
        return self._embeddings.take(rows, axis=0)

    @staticmethod
    def _normalised(raw: Float32Array, norms: Float64Array) -> Float32Array:
        wide = raw.astype(np.float64)
        wide /= norms[:, None]
        return wide.astype(np.float32)

    def _check(self, used: IntArray) -> None:
        """Compute the norms, look for rows without a direction, and see whether normalising changes anything."""
        non_finite: list[int] = []
        zero: list[int] = []
        non_finite_count = zero_count = 0
        step = max(1, _CHECK_ELEMENTS // self.width)
        for start in range(0, len(used), step):
            rows = used[start : start + step]
            raw = self._raw(rows)
            wide = raw.astype(np.float64)
            # The square of a float32 neither overflows nor vanishes in float64, so this is zero or NaN only for rows
            # that really are.
            norms = np.sqrt(row_dots(wide, wide))
            bad, null = rows[~np.isfinite(norms)], rows[norms == 0]
            non_finite += bad[: _LISTED_ROWS - len(non_finite)].tolist()
            zero += null[: _LISTED_ROWS - len(zero)].tolist()
            non_finite_count += len(bad)
            zero_count += len(null)
            self._norms[rows] = norms
            if self._already_unit and not (len(bad) or len(null)):
                self._already_unit = np.array_equal(raw, self._normalised(raw, norms))
        if non_finite_count or zero_count:
            raise UnusableRowsError(tuple(non_finite), non_finite_count, tuple(zero), zero_count)
        norms = self._norms[used]
        self._nearly_unit = bool((np.abs(norms - 1) <= _NEARLY_UNIT).all())
        self._ordinary_norms = bool(((norms >= SMALLEST_NORM) & (norms <= LARGEST_NORM)).all())
