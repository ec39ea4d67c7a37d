"""The part of a bound that depends on two rows, as a few more columns of the integer product that it is added to."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.verification.rows import Float64Array, IntArray

_MOST = 126  # of 127, so that a quotient that rounds upwards still fits


@dataclasses.dataclass(frozen=True)
class BoundColumns:
    r"""Columns of small integers whose products lie above e N' + N e' + r r', for any two rows.

    e, r and N >= max(||q||, ||x|| / s) are numbers of a row, in units of the quantisation step s: the norm of its
    quantisation error, of what a basis leaves of it, and of itself. The columns are

        right: [R, …, E, …, N, …]    left: [R, …, N, …, E, …]

    with R = ceil(r / sqrt(m)) in `rest` = m columns, E = ceil(k e / n) and N = ceil(N / k) in `error` = n columns each,
    so that their products sum to at least r r' + e N' + N e'. m, n and k are chosen so that all fit into 7 bits: rows
    without outliers need three or four columns, and one row that is quantised very badly some dozens.

    Attributes
    ----------
    rest, error : int
        m and n.
    per : float
        k.
    norm : float
        An upper bound of ||x|| / s of all rows.
    """

    rest: int
    error: int
    per: float
    norm: float

    @classmethod
    def fitting(cls, norm: float, largest_error: float, largest_rest: float) -> BoundColumns:
        """Give the fewest columns in which numbers up to these fit."""
        per = (norm + largest_error) / _MOST
        return cls(
            rest=math.ceil((largest_rest / _MOST) ** 2),
            error=math.ceil(per * largest_error / _MOST),
            per=per,
            norm=norm,
        )

    @property
    def count(self) -> int:
        """How many columns there are."""
        return self.rest + 2 * self.error

    def exchanged(self, first: int) -> IntArray:
        """Give the places of all columns of a left operand in a right one, whose bound columns begin at ``first``."""
        errors, norms = first + self.rest, first + self.rest + self.error
        kept = np.arange(errors)
        return np.concatenate([kept, np.arange(norms, norms + self.error), np.arange(errors, norms)])

    def of(self, error: Float64Array, rest: Float64Array) -> npt.NDArray[np.int8]:
        """Give the columns of some rows, as a right operand has them: int8 [count, n]."""
        shares = [np.ceil(rest / math.sqrt(self.rest or 1))] * self.rest
        shares += [np.ceil(error * (self.per / (self.error or 1)))] * self.error
        shares += [np.ceil((self.norm + error) / self.per)] * self.error
        if not shares:
            return np.zeros((0, len(error)), np.int8)
        return np.stack(shares).astype(np.int8)
