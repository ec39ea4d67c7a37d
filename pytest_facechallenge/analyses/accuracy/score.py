"""Scoring one set: which entries it takes, the verification core's call, and its result as facts."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable
from functools import partial

import msgspec
import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.accuracy.kept_verification import NOWHERE, KeptVerification, verified
from pytest_facechallenge.analyses.accuracy.request import SetRequest
from pytest_facechallenge.core.facts.accuracy import (
    CurvePoint,
    EqualErrorRate,
    FoldAccuracy,
    HardPair,
    Histogram,
    Interval,
    PairCounts,
    PointResult,
    SetResult,
)
from pytest_facechallenge.core.set_names import folded, split_sets
from pytest_facechallenge.testsets.model import SET_COLUMN, BoolArray, Testset
from pytest_facechallenge.verification import (
    AllToAll,
    Cross,
    OperatingPoint,
    Settings,
    TarAtFar,
    UnusableRowsError,
    VerificationError,
    VerificationResult,
    curve_points,
    equal_error_rate,
    verify_pairs,
)
from pytest_facechallenge.verification import FoldAccuracy as MeasuredFolds

#: Points of a curve that are kept for reports, and the digits of each: a drawing shows no more, and facts are read by
#: people and kept for years.
MAX_CURVE_POINTS = 150
CURVE_DIGITS = 6
#: Bins of the histograms that are kept; the curves and the equal error rate are read from the finer ones before.
HISTOGRAM_BINS = 200


class SetError(ValueError):
    """A set that cannot be scored on this testset; the message says what is missing."""


@dataclasses.dataclass(frozen=True)
class _Sides:
    """What is compared: the entries of the set, and of these the probes and the gallery of a cross protocol."""

    chosen: BoolArray
    probe: BoolArray
    gallery: BoolArray


def select_entries(testset: Testset, select: dict[str, tuple[str, ...]]) -> BoolArray:
    """Return which entries a selection takes: bool [entries].

    Raises
    ------
    SetError
        The testset lacks a column, or no entry is taken.
    """
    chosen = np.ones(len(testset), dtype=bool)
    for column, accepted in select.items():
        values = testset.columns.get(column)
        if values is None:
            raise SetError(f"a column {column!r} is needed to choose its images; there is {_columns(testset)}")
        kinds, which = np.unique(values, return_inverse=True)
        parts = [split_sets(str(kind)) if column == SET_COLUMN else [folded(str(kind))] for kind in kinds]
        chosen &= np.array([not set(accepted).isdisjoint(part) for part in parts])[which]
    if not chosen.any():
        wanted = "; ".join(f"{column} = {' or '.join(values)}" for column, values in select.items())
        raise SetError(f"no image has {wanted}")
    return chosen


def score_set(
    testset: Testset,
    request: SetRequest,
    rows: npt.NDArray[np.float32],
    usable: BoolArray,
    settings: Settings,
    kept: KeptVerification = NOWHERE,
) -> SetResult:
    """Score one set of a testset.

    Parameters
    ----------
    rows : float32 [entries, D]
    usable : bool [entries]
        Entries that have an embedding; the others are left out and counted.
    settings, kept
        Of the verification core.

    Returns
    -------
    SetResult
        With ``error`` and no numbers when the testset lacks what the protocol needs, or embeddings have no direction.
    """
    started = time.perf_counter()
    blank = SetResult(
        testset=testset.name,
        set=request.name,
        official=request.official,
        protocol=request.protocol,
        select=request.select,
        flip=request.flip,
        raw=request.raw,
    )
    points = tuple(OperatingPoint(far=point.far, comparison=point.comparison) for point in request.points)
    try:
        chosen = select_entries(testset, request.select)
        if request.protocol == "pairs":
            result = _score_pairs(testset, blank, rows, usable & chosen, points, settings)
        else:
            sides = _sides(testset, request, chosen)
            result = _score_protocol(testset, blank, rows, usable, sides, points, partial(verified, settings, kept))
    except UnusableRowsError as error:
        names = [testset.entry_names[row] for row in (*error.non_finite, *error.zero)]
        return _with(
            blank,
            error=str(error),
            unusable=tuple(names),
            unusable_count=error.non_finite_count + error.zero_count,
        )
    except (SetError, VerificationError) as error:
        return _with(blank, error=str(error))
    return _with(result, seconds=time.perf_counter() - started)


def _sides(testset: Testset, request: SetRequest, chosen: BoolArray) -> _Sides:
    nothing = np.zeros(len(testset), dtype=bool)
    if testset.identities is None:
        raise SetError(
            "identities are needed to tell genuine from impostor pairs, and this testset has none; give a manifest or "
            "a folder per identity (for LFR19 lists: a second column, or --facechallenge-labels)"
        )
    if request.protocol == "all-to-all":
        return _Sides(chosen, nothing, nothing)
    masked = testset.masked()
    if masked is None:
        raise SetError(
            "this set compares masked with non-masked images: a manifest column 'masked' is needed, or two folders "
            f"'mask' and 'nonmask'; there is {_columns(testset)}"
        )
    return _Sides(chosen, chosen & masked, chosen & ~masked)


def _score_protocol(
    testset: Testset,
    blank: SetResult,
    rows: npt.NDArray[np.float32],
    usable: BoolArray,
    sides: _Sides,
    points: tuple[OperatingPoint, ...],
    verify: Callable[..., VerificationResult],
) -> SetResult:
    assert testset.identities is not None  # noqa: S101 - `_sides` refused a testset without
    cross = blank.protocol == "cross"
    probe, gallery = sides.probe & usable, sides.gallery & usable
    protocol = Cross(probe=probe, gallery=gallery) if cross else AllToAll(rows=sides.chosen & usable)
    found = verify(rows, testset.identities, points, protocol)
    return _with(
        _filled(blank, testset, found),
        identities=found.identities or 0,
        compared=_digest(testset, probe, gallery, sides.chosen & usable),
        probe_images=int(probe.sum()) if cross else 0,
        gallery_images=int(gallery.sum()) if cross else 0,
        excluded=int((sides.chosen & ~usable).sum()),
    )


def _digest(testset: Testset, *sides: BoolArray) -> str:
    """Return what `SetResult.compared` is: SHA-256 of names, identities and sides of the entries that are in one."""
    assert testset.identities is not None  # noqa: S101 - `_sides` refused a testset without
    taken = np.flatnonzero(np.logical_or.reduce(sides))
    found = hashlib.sha256("\0".join(testset.entry_names[row] for row in taken).encode("utf-8", "backslashreplace"))
    found.update(np.ascontiguousarray(testset.identities[taken], dtype="<i8").data)
    for side in sides:
        found.update(np.packbits(side[taken]).data)
    return found.hexdigest()


def _score_pairs(
    testset: Testset,
    blank: SetResult,
    rows: npt.NDArray[np.float32],
    usable: BoolArray,
    points: tuple[OperatingPoint, ...],
    settings: Settings,
) -> SetResult:
    pairs = testset.pairs
    if pairs is None:
        raise SetError(f"this set is of listed pairs, and the testset ({testset.form}) lists none")
    kept = usable[pairs.left] & usable[pairs.right]
    found = verify_pairs(
        rows,
        pairs.left[kept],
        pairs.right[kept],
        pairs.same[kept],
        points,
        identities=testset.identities,
        folds=pairs.folds or 2,
        settings=settings,
    )
    return _with(
        _filled(blank, testset, found.verification),
        excluded=int((~usable).sum()),
        excluded_pairs=int((~kept).sum()),
        folds=_folds(found.accuracy) if pairs.folds and found.accuracy is not None else None,
    )


def _filled(blank: SetResult, testset: Testset, found: VerificationResult) -> SetResult:
    histograms = found.histograms
    eer = None if histograms is None else equal_error_rate(histograms)
    names = testset.entry_names
    hard = {
        side: tuple(HardPair(left=names[pair.left], right=names[pair.right], score=pair.score) for pair in pairs)
        for side, pairs in (("genuine", found.hardest_genuine), ("impostor", found.hardest_impostor))
    }
    return _with(
        blank,
        images=found.rows,
        pairs=PairCounts(
            genuine=found.pairs.genuine,
            impostor=found.pairs.impostor,
            genuine_ordered=found.pairs.genuine_ordered,
            impostor_ordered=found.pairs.impostor_ordered,
        ),
        points=tuple(_point(point, named=blank.official) for point in found.points),
        eer=None
        if eer is None
        else EqualErrorRate(rate=eer.rate, threshold_low=eer.threshold_low, threshold_high=eer.threshold_high),
        curve=() if histograms is None else _curve(found),
        histogram=None
        if histograms is None
        else Histogram(
            genuine=_coarser(histograms.genuine),
            impostor=_coarser(histograms.impostor),
            sampled=histograms.impostor_sampled,
        ),
        hardest_genuine=hard["genuine"],
        hardest_impostor=hard["impostor"],
        backend=found.backend,
    )


def _point(point: TarAtFar, *, named: bool) -> PointResult:
    """Return a point as facts; counts by identity of a set that is ``named`` by the rulebook alone."""
    interval = point.interval
    return PointResult(
        far=point.operating_point.far,
        comparison=point.operating_point.comparison,
        tar=point.tar,
        threshold=point.threshold,
        allowed_false_accepts=point.allowed_false_accepts,
        false_accepts=point.false_accepts,
        boundary_ties=point.boundary_ties,
        genuine_pairs=point.genuine_pairs,
        genuine_accepted=point.genuine_accepted,
        tar_at_plus_eps=point.tar_at_plus_eps,
        tar_at_minus_eps=point.tar_at_minus_eps,
        interval=None
        if interval is None
        else Interval(
            low=interval.low,
            high=interval.high,
            confidence=interval.confidence,
            method=interval.method,
            units=interval.units,
        ),
        undecided=point.undecided or "",
        impostor_pairs_needed=point.impostor_pairs_needed,
        impostor_pairs_for_rule_of_30=point.impostor_pairs_for_rule_of_30,
        below_rule_of_30=point.below_rule_of_30,
        by_identity=point.by_identity if named else None,
    )


def _folds(folds: MeasuredFolds) -> FoldAccuracy:
    return FoldAccuracy(
        mean=folds.mean,
        deviation=folds.deviation,
        accuracies=folds.accuracies,
        thresholds=folds.thresholds,
        pairs=folds.pairs,
    )


def _curve(found: VerificationResult) -> tuple[CurvePoint, ...]:
    """Return at most `MAX_CURVE_POINTS` of the curve's points, its two ends among them."""
    assert found.histograms is not None  # noqa: S101 - the caller looked
    points = curve_points(found.histograms)
    kept = np.unique(np.linspace(0, len(points) - 1, min(len(points), MAX_CURVE_POINTS)).round().astype(int))
    return tuple(
        CurvePoint(
            threshold=_short(points[at].threshold),
            far=_short(points[at].far),
            tar=_short(points[at].tar),
            far_deviate=_short_or_none(points[at].far_deviate),
            frr_deviate=_short_or_none(points[at].frr_deviate),
        )
        for at in kept
    )


def _short(value: float) -> float:
    return float(f"{value:.{CURVE_DIGITS}g}")


def _short_or_none(value: float | None) -> float | None:
    return None if value is None else _short(value)


def _coarser(counts: tuple[int, ...]) -> tuple[int, ...]:
    """Add up neighbouring bins: `HISTOGRAM_BINS` of them are left."""
    return tuple(np.array(counts, dtype=np.int64).reshape(HISTOGRAM_BINS, -1).sum(axis=1).tolist())


def _with(result: SetResult, **changes: object) -> SetResult:
    return msgspec.structs.replace(result, **changes)


def _columns(testset: Testset) -> str:
    return ", ".join(map(repr, sorted(testset.columns))) or "no group column"
