"""How one version of some data follows from another one, told from where the same elements stand in both."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch_kinds import Difference, Relation

Array = npt.NDArray[Any]


def relate(ours: Array, theirs: Array, equal: bool, limits: Thresholds) -> Difference:
    """Return how the places of one version follow from those of the other.

    Parameters
    ----------
    ours, theirs
        Integer [pairs, axes]: places of the same datum in the two versions.
    equal
        Whether the values agree too.
    """
    rank = ours.shape[1]
    mirrored, odd = [], 0
    shifts, zooms = [0] * rank, [1.0] * rank
    for axis in range(rank):
        a, b = ours[:, axis].astype(float), theirs[:, axis].astype(float)
        if np.mean(a == b) > limits.places.unmoved:
            continue
        if np.ptp(a) == 0 or np.ptp(b) == 0:
            odd += 1
            continue
        if _constant(a + b, limits) and not _constant(b - a, limits):
            mirrored.append(axis)
            continue
        step = _step(a, b, limits)
        if step is not None:
            shifts[axis] = step
            continue
        slope = _zoom(a, b, limits)
        if slope is None:
            odd += 1
        else:
            zooms[axis] = slope
    if odd:
        swapped = rank >= 2 and _swapped(ours[:, -2:].astype(float), theirs[:, -2:].astype(float), limits)
        return Difference(relation=Relation.ROTATED if swapped else Relation.REARRANGED, rank=rank)
    if mirrored:
        return Difference(relation=_turn(mirrored, rank), rank=rank, mirrored=tuple(mirrored))
    if any(factor != 1 for factor in zooms):
        return Difference(relation=Relation.SCALED, rank=rank, zoom=tuple(round(factor, 4) for factor in zooms))
    if any(shifts):
        # From row to row: windows that overlap, not a version of the whole.
        relation = Relation.REARRANGED if shifts[0] else Relation.SHIFTED
        return Difference(relation=relation, rank=rank, shift=tuple(shifts))
    return Difference(relation=Relation.IDENTICAL if equal else Relation.RESCALED, rank=rank)


def _turn(mirrored: list[int], rank: int) -> Relation:
    """Return what a tensor is called in which these axes are reversed."""
    if len(mirrored) == 2:
        return Relation.ROTATED
    return Relation.UPSIDE_DOWN if mirrored == [rank - 2] and rank >= 4 else Relation.MIRRORED


def _constant(values: Array, limits: Thresholds) -> bool:
    """Whether most are one value."""
    return int(np.unique(values, return_counts=True)[1].max()) >= limits.places.constant * len(values)


def _step(a: Array, b: Array, limits: Thresholds) -> int | None:
    """Return the one step from ``a`` to ``b``; it may wrap around (a roll). None when there is none."""
    steps, counts = np.unique(b - a, return_counts=True)
    order = np.argsort(-counts)
    if counts[order[0]] >= limits.places.step * len(a):
        return int(steps[order[0]])
    if len(steps) > 1 and counts[order[:2]].sum() >= limits.places.wrapped * len(a):
        one, two = steps[order[0]], steps[order[1]]
        if one * two < 0 and abs(one - two) >= limits.places.around * (np.ptp(a) + 1):
            return int(one)
    return None


def _zoom(a: Array, b: Array, limits: Thresholds) -> float | None:
    """Return the factor by which ``b`` is ``a`` zoomed; None when it is not."""
    wanted = limits.places
    slope, offset = np.polyfit(a, b, 1)
    straight = np.mean(np.abs(b - slope * a - offset) < wanted.off_line) >= wanted.straight
    if straight and slope > wanted.least_slope and abs(slope - 1) > wanted.zoom and np.ptp(a) >= wanted.zoom_extent:
        return float(slope)
    return None


def _swapped(ours: Array, theirs: Array, limits: Thresholds) -> bool:
    """Whether rows of one version go with columns of the other, and columns with rows."""
    if min(np.ptp(ours[:, 0]), np.ptp(ours[:, 1]), np.ptp(theirs[:, 0]), np.ptp(theirs[:, 1])) == 0:
        return False
    cross = np.corrcoef(np.hstack([ours, theirs]).T)[:2, 2:]
    return bool(min(abs(cross[0, 1]), abs(cross[1, 0])) > limits.places.swapped)
