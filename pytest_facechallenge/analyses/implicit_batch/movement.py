"""Weights that only move data: matrices and kernels that pick, average or interpolate, and are no layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds

Array = npt.NDArray[Any]


def averages(rows: Array, limits: Thresholds) -> bool:
    """Whether every channel gets the same averaging kernel: a blur or a bilinear resize written as a convolution.

    Parameters
    ----------
    rows
        The kernel of each channel, float [channels, taps].
    """
    wanted = limits.movement
    kernels = rows.astype(np.float64)
    sums = kernels.sum(1, keepdims=True)
    negative = (kernels < -wanted.negative * np.abs(kernels).max()).any()
    if rows.shape[1] < 2 or negative or (sums <= 0).any():
        return False
    shapes = kernels / sums
    same = np.abs(shapes - shapes[0]).max() < wanted.same_kernel
    return bool(same and np.abs(sums - sums[0]).max() < wanted.same_sum * sums[0, 0])


def picks(rows: Array, limits: Thresholds) -> bool:
    """Whether every row has one entry that counts."""
    for part in _a_few_then_all(rows, limits):
        sizes = np.abs(part.astype(np.float64))
        totals = sizes.sum(1)
        if not (totals > 0).all() or not (sizes.max(1) >= limits.movement.one_hot * totals).all():
            return False
    return True


def interpolates(rows: Array, limits: Thresholds) -> bool:
    """Whether every row is zero or takes at most 4 (2-D: 16) entries with like sums: a permutation or interpolation."""
    wanted = limits.movement
    most = wanted.linear if rows.shape[1] < wanted.wide else wanted.bilinear
    most = 1 if rows.shape[1] < wanted.narrow else most
    for part in _a_few_then_all(rows, limits):
        matrix = part.astype(np.float64)
        sizes = np.abs(matrix)
        totals = sizes.sum(1)
        live = totals > wanted.live
        used = (sizes[live] > wanted.used * totals[live, None]).sum(1)
        single = bool((sizes[live].max(1, initial=0) >= wanted.one_hot * totals[live]).all())
        if not single and used.max(initial=0) > most:
            return False
    if live.sum() < wanted.live_share * len(totals) or live.sum() < wanted.live_fewest:
        return False
    sums = matrix[live].sum(1)
    usual = np.median(sums)
    alike = np.quantile(np.abs(sums - usual), wanted.quantile) <= wanted.sum_error * np.abs(usual) + wanted.live
    return single or bool(used.max() <= most and alike)


def _a_few_then_all(rows: Array, limits: Thresholds) -> Iterator[Array]:
    """Yield a few of many rows, then all: one that breaks a condition settles it without reading the others."""
    yield rows[:: max(1, len(rows) // limits.movement.rows)]
    yield rows
