"""Fewer dimensions for the filter: a basis that holds nearly all of the rows, chosen on a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_facechallenge.verification.rows import Float64Array, UnitRows

if TYPE_CHECKING:
    from pytest_facechallenge.verification.protocol import PairPlan

#: What a basis may leave of a row (squared norm, on average), as a share of the spread of the scores. The filter's
#: bound loosens by about that much; half a spread lets five to ten times as many pairs through, which still are few.
_LOSS = 0.5
#: A basis must save at least a quarter of the dimensions, or turning the rows costs more than it saves.
_MOST = 0.75
_STEP = 64
_SAMPLE_ROWS = 2048
#: Between these the slack of the filter covers the rounding of the turned rows (see `choose_basis`).
_WIDTHS = range(2 * _STEP, 4097)
_ORTHONORMAL = 1e-11


def choose_basis(unit: UnitRows, plan: PairPlan) -> Float64Array | None:
    """Choose orthonormal columns that hold nearly all of the rows, or None when that takes most of the dimensions.

    The embeddings of face networks have fewer effective dimensions than values. With z = B'x and r = x - B z, where the
    columns of B are orthonormal, x.y = z.w + r.r' <= z.w + ||r|| ||r'|| by Cauchy-Schwarz, so a filter may multiply z
    instead of x and add the product of two known norms: whatever B is, its bound holds, and a bad B only lets more
    pairs through.

    The columns are the principal axes of a sample, turned at random among themselves: one scale of quantisation for all
    values fits best when no value is much larger than others. How many there must be is found on other rows than the
    axes come from.

    Returns
    -------
    float64 [D, d]
        B'B differs from the identity by less than 1e-11 (Frobenius norm), and z is computed with an error below
        D sqrt(d) 2**-53, which is 3e-11 for the widest rows taken here.
    """
    if unit.width not in _WIDTHS:
        return None
    fitted, others = (_sample(unit, plan, offset) for offset in (0.0, 0.5))
    moment = fitted.T @ fitted / len(fitted)
    axes = np.linalg.eigh(moment)[1][:, ::-1]
    # Scores of two random rows have the second moment tr(M^2), and the mean |m|^2, m being the mean row.
    mean = fitted.mean(axis=0)
    spread = np.sqrt(max(0.0, float((moment**2).sum()) - float(mean @ mean) ** 2))
    left_over = 1 - np.cumsum(((others @ axes) ** 2).mean(axis=0))
    enough = int(np.argmax(left_over <= _LOSS * spread)) + 1 if (left_over <= _LOSS * spread).any() else unit.width
    width = -(-enough // _STEP) * _STEP
    if width > _MOST * unit.width:
        return None
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((width, width)))[0]
    basis: Float64Array = np.linalg.qr(axes[:, :width] @ turn)[0]
    defect = float(np.linalg.norm(basis.T @ basis - np.eye(width)))
    return np.ascontiguousarray(basis) if defect < _ORTHONORMAL else None


def _sample(unit: UnitRows, plan: PairPlan, offset: float) -> Float64Array:
    """Read rows of both sides at equal distances, beginning at a share of that distance: float64 [n, D]."""
    chosen = []
    for side in (plan.left,) if plan.symmetric else (plan.left, plan.right):
        step = max(1, len(side) // _SAMPLE_ROWS)
        chosen.append(side.rows[int(offset * step) :: step])
    rows: Float64Array = unit.take(np.concatenate(chosen)).astype(np.float64)
    return rows
