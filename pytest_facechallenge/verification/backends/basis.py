"""Fewer dimensions for the filter: a basis that holds nearly all of the rows, chosen on a sample."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.verification.rows import Float32Array, Float64Array, IntArray, UnitRows

if TYPE_CHECKING:
    from pytest_facechallenge.verification.protocol import PairPlan, Side

_STEP = 64
_SAMPLE_ROWS = 2048
#: Between these the slack of the filter covers the rounding of the turned rows (see `choose_basis`).
_WIDTHS = range(2 * _STEP, 4097)
_ORTHONORMAL = 1e-11
#: Rows of each side whose pairs are scored to find out how many candidates a width leaves.
_SCORED_ROWS = 1024
#: Rows that are worked on at once: what is held for a moment stays small beside the features.
_PIECE = 256
#: What one candidate costs, in multiplications of 8 bits: 0.6 us at 200 of them a ns (measured, AVX-512 with VNNI).
_CANDIDATE = 120_000
#: Typical error of quantisation of a score's bound: 0.01 for each of the two rows.
_QUANTISATION = 0.02
#: A basis must save at least a quarter of the dimensions, or turning the rows costs more than it saves.
_MOST = 0.75


def choose_basis(unit: UnitRows, plan: PairPlan, keep: int = 1) -> Float64Array | None:
    """Choose orthonormal columns that hold nearly all of the rows, or None when that takes most of the dimensions.

    The embeddings of face networks have fewer effective dimensions than values. With z = B'x and r = x - B z, where the
    columns of B are orthonormal, x.y = z.w + r.r' <= z.w + ||r|| ||r'|| by Cauchy-Schwarz, so a filter may multiply z
    instead of x and add the product of two known norms: whatever B is, its bound holds, and a bad B only lets more
    pairs through.

    The columns are the principal axes of a sample, turned at random among themselves: one scale of quantisation for all
    values fits best when no value is much larger than others. How many there are is a matter of cost: each multiplies
    every pair once more, and each that is left out lets more pairs through whose scores have to be computed. Both are
    counted on pairs of other rows than the axes come from.

    Parameters
    ----------
    unit, plan
        What is compared.
    keep : int
        Impostor scores that are looked for.

    Returns
    -------
    float64 [D, d]
        B'B differs from the identity by less than 1e-11 (Frobenius norm), and z is computed with an error below
        D sqrt(d) 2**-53, which is 3e-11 for the widest rows taken here.
    """
    if unit.width not in _WIDTHS:
        return None
    axes = np.linalg.eigh(_gram(unit, _sampled(plan, 0.0)[0]))[1][:, ::-1]
    # Twice as many, since the cutoff begins too low and rises.
    width = _cheapest_width(*_compared(unit, plan), axes, 2 * keep / max(1, plan.counts.impostor))
    if width > _MOST * unit.width:
        return None
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((width, width)))[0]
    basis: Float64Array = np.linalg.qr(axes[:, :width] @ turn)[0]
    defect = float(np.linalg.norm(basis.T @ basis - np.eye(width)))
    return np.ascontiguousarray(basis) if defect < _ORTHONORMAL else None


def _gram(unit: UnitRows, rows: IntArray) -> Float64Array:
    """Give the sum of x x' over some rows: float64 [D, D]."""
    total = np.zeros((unit.width, unit.width))
    for start in range(0, len(rows), _PIECE):
        x = unit.take(rows[start : start + _PIECE]).astype(np.float64)
        total += x.T @ x
    return total


def _cheapest_width(
    left: Float32Array, right: Float32Array, impostor: npt.NDArray[np.bool_], axes: Float64Array, share: float
) -> int:
    """Give the number of axes with the least cost a pair, where this share of impostor pairs is looked for.

    Parameters
    ----------
    left, right : float32 [n, D], [m, D]
        Unit rows.
    impostor : bool [n, m]
        Which of their pairs count.
    axes : float64 [D, D]
        Orthonormal, the most important first.
    """
    x, y = _turned(left, axes), _turned(right, axes)
    scores = (x @ y.T)[impostor]
    scores.sort()
    cutoff = _cutoff(scores[::-1], share) - _QUANTISATION
    del scores
    rests = [_rests(rows) for rows in (x, y)]
    held = np.zeros((len(x), len(y)), np.float32)
    best, least = len(axes), math.inf
    pairs = max(1, int(np.count_nonzero(impostor)))
    for width in range(_STEP, axes.shape[1] + 1, _STEP):
        columns, through = slice(width - _STEP, width), 0
        for start in range(0, len(x), _PIECE):
            part = slice(start, start + _PIECE)
            held[part] += x[part, columns] @ y[:, columns].T
            bound = np.outer(rests[0][part, width - 1], rests[1][:, width - 1])
            bound += held[part]
            through += int(np.count_nonzero((bound >= cutoff) & impostor[part]))
        cost = width + _CANDIDATE * through / pairs
        if cost < least:
            best, least = width, cost
    return best


def _turned(rows: Float32Array, axes: Float64Array) -> Float32Array:
    """Give rows along some axes: float32 [n, D]."""
    pieces = (rows[start : start + _PIECE] for start in range(0, len(rows), _PIECE))
    return np.concatenate(
        [np.empty((0, axes.shape[1]), np.float32), *((each @ axes).astype(np.float32) for each in pieces)]
    )


def _rests(rows: Float32Array) -> Float32Array:
    """Give what the first k + 1 values of each unit row leave of its norm: float32 [n, D]."""
    left = rows**2
    np.cumsum(left, axis=1, out=left)
    np.subtract(1, left, out=left)
    np.maximum(left, 0, out=left)
    return np.sqrt(left, out=left)


def _cutoff(scores: npt.NDArray[np.float32], share: float) -> float:
    """Estimate the score that this share of all reach, from a sample in descending order.

    A share of fewer than some of the sample's scores is extrapolated: normal scores would lie on a line of the normal
    distribution's quantiles, and the line through two quantiles of the sample follows others for a while.
    """
    few = 50 / max(1, len(scores))
    if share >= few or len(scores) < _STEP:
        return float(scores[min(len(scores) - 1, int(share * len(scores)))]) if len(scores) else 0.0
    places = [NormalDist().inv_cdf(1 - max(few, wanted)) for wanted in (few, 1e-2)]
    found = [float(scores[min(len(scores) - 1, int(max(few, wanted) * len(scores)))]) for wanted in (few, 1e-2)]
    slope = (found[0] - found[1]) / max(places[0] - places[1], 1e-3)
    return found[0] + slope * (NormalDist().inv_cdf(1 - max(share, 1e-15)) - places[0])


def _compared(unit: UnitRows, plan: PairPlan) -> tuple[Float32Array, Float32Array, npt.NDArray[np.bool_]]:
    """Read rows to be compared with each other, and which of the pairs are impostor pairs."""
    rows, people = _sampled(plan, 0.5)
    if plan.symmetric:
        sides = slice(0, None, 2), slice(1, None, 2)
    else:
        first = len(_positions(plan.left, 0.5))
        sides = slice(0, first), slice(first, None)
    thinned = [np.arange(len(rows))[side] for side in sides]
    thinned = [side[:: -(-len(side) // _SCORED_ROWS) or 1] for side in thinned]
    left, right = (unit.take(rows[side]) for side in thinned)
    return left, right, people[thinned[0]][:, None] != people[thinned[1]]


def _sampled(plan: PairPlan, offset: float) -> tuple[IntArray, IntArray]:
    """Choose rows of both sides at equal distances, beginning at a share of that distance: row numbers, identities."""
    sides = (plan.left,) if plan.symmetric else (plan.left, plan.right)
    chosen = [_positions(side, offset) for side in sides]
    numbers, people = (
        np.concatenate([values[places] for values, places in zip(found, chosen, strict=True)])
        for found in ([side.rows for side in sides], [side.identities for side in sides])
    )
    return numbers, people


def _positions(side: Side, offset: float) -> IntArray:
    step = max(1, len(side) // _SAMPLE_ROWS)
    return np.arange(int(offset * step), len(side), step)
