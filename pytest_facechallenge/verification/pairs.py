"""Verification of listed pairs: LFW, CFP-FP, AgeDB-30, IJB template pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.verification.engine import HISTOGRAM_BINS, Settings, scored_pairs
from pytest_facechallenge.verification.errors import ProtocolError
from pytest_facechallenge.verification.genuine import histogram_of
from pytest_facechallenge.verification.points import find_boundary, tar_at_far
from pytest_facechallenge.verification.protocol import PairCounts
from pytest_facechallenge.verification.results import FoldAccuracy, PairsResult, ScoreHistograms, VerificationResult
from pytest_facechallenge.verification.rows import Float64Array, UnitRows
from pytest_facechallenge.verification.tail import EPS, ExtremePairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_facechallenge.verification.operating_point import OperatingPoint

_DISTANCES = np.arange(400) / 100
_NEVER_SAMPLED = 0


def verify_pairs(
    embeddings: npt.NDArray[Any],
    left: npt.NDArray[Any],
    right: npt.NDArray[Any],
    same: npt.NDArray[np.bool_],
    operating_points: Sequence[OperatingPoint] = (),
    *,
    identities: npt.NDArray[Any] | None = None,
    folds: int = 10,
    settings: Settings | None = None,
) -> PairsResult:
    """Measure listed pairs: exact TAR at each false accept rate, and the accuracy by cross-validation.

    Scores, thresholds and ties are as in `verify`. All scores are kept: 8 bytes a pair.

    Parameters
    ----------
    embeddings : float32 [N, D]
        An array or a memory map; rows need not be normalised.
    left, right : int [P]
        The row numbers of each pair. A pair that is listed twice counts twice.
    same : bool [P]
        Whether the pair is genuine.
    operating_points : sequence of OperatingPoint
        May be empty, where only the accuracy is wanted.
    identities : int [N] or None
        The identity of each row, for intervals that resample identities. Lists such as LFW's .bin files do not tell
        it; then pairs are resampled, which understates the interval where people come up in several pairs.
    folds : int
        Of the accuracy; 10 by the conventions of LFW, CFP-FP and AgeDB-30.
    settings : Settings
        `hardest`, `histograms`, `resamples` and `seed` apply; histograms are of all pairs, by their exact scores.

    Raises
    ------
    ProtocolError
        When the arrays do not fit together, a row number is out of range, or `identities` contradict `same`.
    UnusableRowsError
        When listed rows have NaN, infinite or only zero values; it names them.
    """
    settings = settings or Settings()
    left, right = _checked(left, right, same, len(embeddings))
    unit = UnitRows(embeddings, np.unique(np.append(left, right)))
    scores = unit.scores(left, right)
    genuine, impostor = scores[same], np.sort(scores[~same])
    units = _units(left, right, same, identities)
    hardest = [ExtremePairs(settings.hardest, highest=highest) for highest in (False, True)]
    hardest[0].add(genuine, left[same], right[same])
    hardest[1].add(scores[~same], left[~same], right[~same])
    points = []
    for point in operating_points:
        boundary = find_boundary(point, len(impostor), _Sorted(impostor))
        accepted = np.stack([np.bincount(units[genuine > limit], minlength=len(genuine)) for limit in boundary.limits])
        pairs = np.bincount(units, minlength=len(genuine))
        points.append(tar_at_far(boundary, accepted, pairs, resamples=settings.resamples, seed=settings.seed))
    counts = {"genuine": len(genuine), "impostor": len(impostor)}
    verification = VerificationResult(
        protocol="listed pairs",
        rows=len(np.unique(np.append(left, right))),
        identities=None if identities is None else len(np.unique(identities[np.append(left, right)])),
        pairs=PairCounts(**counts, genuine_ordered=len(genuine), impostor_ordered=len(impostor)),
        eps=EPS,
        points=tuple(points),
        hardest_genuine=scored_pairs(hardest[0]),
        hardest_impostor=scored_pairs(hardest[1]),
        histograms=_histograms(genuine, impostor) if settings.histograms else None,
        backend="float64",
    )
    return PairsResult(verification=verification, accuracy=fold_accuracy(scores, same, folds=folds))


def fold_accuracy(scores: Float64Array, same: npt.NDArray[np.bool_], *, folds: int = 10) -> FoldAccuracy | None:
    """Give the accuracy of each fold at the threshold that is best on the others.

    As published figures for LFW, CFP-FP and AgeDB-30 are made: folds are consecutive pairs, of sizes that differ by at
    most one (the first ones larger); a pair is called genuine when the squared Euclidean distance 2 - 2 s of its unit
    rows is below one of the thresholds 0.00, 0.01, … 3.99; of equally good thresholds the smallest distance is taken.
    The convention is that of InsightFace's evaluation of .bin files, which goes back to FaceNet's (David Sandberg).

    Parameters
    ----------
    scores : float64 [P]
        Cosine similarities, in the order of the list.
    same : bool [P]
        Whether the pair is genuine.
    folds : int
        At least 2.

    Returns
    -------
    FoldAccuracy or None
        None with fewer pairs than folds.
    """
    if folds < 2:
        msg = f"Cross-validation needs at least 2 folds; got {folds}."
        raise ProtocolError(msg)
    if len(scores) < folds:
        return None
    parts = np.array_split(np.arange(len(scores)), folds)
    distances = 2 - 2 * scores
    # Right answers of each fold at each threshold; the other folds are the total less the fold.
    right = np.stack([((distances[part, None] < _DISTANCES) == same[part, None]).sum(axis=0) for part in parts])
    best = np.argmax(right.sum(axis=0) - right, axis=1)
    accuracies = [int(right[k, b]) / len(part) for k, (b, part) in enumerate(zip(best, parts, strict=True))]
    return FoldAccuracy(
        mean=float(np.mean(accuracies)),
        deviation=float(np.std(accuracies)),
        accuracies=tuple(accuracies),
        thresholds=tuple((1 - _DISTANCES[best] / 2).tolist()),
        pairs=len(scores),
    )


class _Sorted:
    """All impostor scores, ascending, as `points.find_boundary` wants to ask them."""

    def __init__(self, scores: Float64Array) -> None:
        self._scores = scores

    def largest(self) -> Float64Array:
        return self._scores[::-1]

    def count(self, low: float, high: float) -> int:
        return int(np.searchsorted(self._scores, high, "right") - np.searchsorted(self._scores, low, "left"))


def _checked(
    left: npt.NDArray[Any], right: npt.NDArray[Any], same: npt.NDArray[np.bool_], rows: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    shapes = [list(array.shape) for array in (left, right, same)]
    integers = np.issubdtype(left.dtype, np.integer) and np.issubdtype(right.dtype, np.integer)
    if left.ndim != 1 or shapes != [shapes[0]] * 3 or not integers or same.dtype != np.bool_:
        msg = (
            f"Pairs are two integer arrays and one of booleans, all [P]; found {left.dtype} {shapes[0]}, "
            f"{right.dtype} {shapes[1]} and {same.dtype} {shapes[2]}."
        )
        raise ProtocolError(msg)
    if len(left) and not (min(left.min(), right.min()) >= 0 and max(left.max(), right.max()) < rows):
        msg = (
            f"Row numbers must lie in 0 … {rows - 1}; found {min(left.min(), right.min())} … "
            f"{max(left.max(), right.max())}."
        )
        raise ProtocolError(msg)
    return left.astype(np.int64), right.astype(np.int64)


def _units(
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    same: npt.NDArray[np.bool_],
    identities: npt.NDArray[Any] | None,
) -> npt.NDArray[np.int64]:
    """Give the unit of resampling of each genuine pair, an ordinal: its identity, or itself where that is unknown."""
    if identities is None:
        return np.arange(np.count_nonzero(same))
    wrong = np.flatnonzero((identities[left] == identities[right]) != same)
    if wrong.size:
        msg = f"{wrong.size} pairs are listed otherwise than their rows' identities say; pair {wrong[0]} is the first."
        raise ProtocolError(msg)
    return np.unique(identities[left[same]], return_inverse=True)[1].astype(np.int64)


def _histograms(genuine: Float64Array, impostor: Float64Array) -> ScoreHistograms:
    return ScoreHistograms(
        genuine=tuple(histogram_of(genuine, HISTOGRAM_BINS).tolist()),
        impostor=tuple(histogram_of(impostor, HISTOGRAM_BINS).tolist()),
        genuine_pairs=len(genuine),
        impostor_pairs_scored=len(impostor),
        impostor_pairs=len(impostor),
        impostor_sampled=False,
        seed=_NEVER_SAMPLED,
    )
