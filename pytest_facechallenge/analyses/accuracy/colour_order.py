"""Does the model expect RGB? The same images as RGB and as BGR, and whether the difference is more than chance."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.accuracy.entries import How, SomeImages, embed_images
from pytest_facechallenge.core.facts.accuracy import ColourOrder
from pytest_facechallenge.testsets.model import BoolArray, IntArray, ListedPairs, Testset
from pytest_facechallenge.verification import (
    AllToAll,
    OperatingPoint,
    Settings,
    VerificationError,
    verify,
    verify_pairs,
)
from pytest_facechallenge.verification.rows import UnitRows

#: Feeding everything twice would double the time of a big run; so many images of whole identities are enough.
MAX_IMAGES = 1000
#: Of these the lowest with 30 expected false accepts is used.
FARS = ("1e-4", "1e-3", "1e-2", "1e-1")
RESAMPLES = 2000
RULE_OF_30 = 30
#: Of a list of pairs, half of them genuine: each brings two images.
MAX_PAIRS = 1000


def compare_colour_orders(
    how: How, testset: Testset, rows: npt.NDArray[np.float32], usable: BoolArray, *, raw: bool = False
) -> ColourOrder:
    """Measure TAR on RGB and on BGR, each at its own threshold, on the same pairs.

    Parameters
    ----------
    rows : float32 [images, D]
        The embeddings of the images as RGB.
    usable : bool [images]
    raw
        Whether pixels are fed as 0..255.

    Returns
    -------
    ColourOrder
        With the interval of the difference by a paired bootstrap over identities (Efron and Tibshirani, An Introduction
        to the Bootstrap, 1993): the thresholds are held fixed, and each resample takes the same identities for both.
    """
    if testset.pooling is not None:
        return ColourOrder(testset=testset.name, why_not="its entries are made of several images each")
    if testset.identities is None and testset.pairs is not None:
        return _of_pairs(how, testset, testset.pairs, rows, usable, raw=raw)
    if testset.identities is None:
        return ColourOrder(testset=testset.name, why_not="the testset gives neither identities nor pairs")
    chosen = images_to_compare(testset.identities, usable)
    people = testset.identities[chosen]
    try:
        bgr = embed_images(how, SomeImages(testset.images, chosen), testset.name, flip=False, bgr=True, raw=raw).rows
        accepted_rgb, pairs, far = _accepted(np.ascontiguousarray(rows[chosen]), people)
        accepted_bgr, _pairs, _far = _accepted(bgr, people, far)
    except (VerificationError, _TooFewError) as error:
        return ColourOrder(testset=testset.name, images=len(chosen), why_not=str(error))
    low, high = paired_bootstrap(accepted_rgb, accepted_bgr, pairs, seed=0)
    total = int(pairs.sum())
    return ColourOrder(
        testset=testset.name,
        images=len(chosen),
        far=far,
        tar_rgb=int(accepted_rgb.sum()) / total,
        tar_bgr=int(accepted_bgr.sum()) / total,
        low=low,
        high=high,
        units=int((pairs > 0).sum()),
    )


def _of_pairs(
    how: How, testset: Testset, pairs: ListedPairs, rows: npt.NDArray[np.float32], usable: BoolArray, *, raw: bool
) -> ColourOrder:
    """Measure TAR on RGB and on BGR on listed pairs, at most `MAX_PAIRS`; the bootstrap is over genuine pairs."""
    whole = np.flatnonzero(usable[pairs.left] & usable[pairs.right])
    drawn = np.random.default_rng(0).permutation(whole)
    same = pairs.same[drawn]
    taken = np.sort(np.concatenate([drawn[same][: MAX_PAIRS // 2], drawn[~same][: MAX_PAIRS // 2]]))
    chosen = np.unique(np.concatenate([pairs.left[taken], pairs.right[taken]])).astype(np.int64)
    left, right = (np.searchsorted(chosen, side[taken]).astype(np.int64) for side in (pairs.left, pairs.right))
    same = pairs.same[taken]
    try:
        far = _deciding_far(int(np.count_nonzero(~same)), int(np.count_nonzero(same)))
        bgr = embed_images(how, SomeImages(testset.images, chosen), testset.name, flip=False, bgr=True, raw=raw).rows
        point = OperatingPoint(far=far, comparison="<=")
        accepted = [
            _accepted_pairs(np.ascontiguousarray(each), left, right, same, point) for each in (rows[chosen], bgr)
        ]
    except (VerificationError, _TooFewError) as error:
        return ColourOrder(testset=testset.name, images=len(chosen), unit="pairs", why_not=str(error))
    ones = np.ones(len(accepted[0]), dtype=np.int64)
    low, high = paired_bootstrap(accepted[0], accepted[1], ones, seed=0)
    return ColourOrder(
        testset=testset.name,
        images=len(chosen),
        far=far,
        tar_rgb=float(accepted[0].mean()),
        tar_bgr=float(accepted[1].mean()),
        low=low,
        high=high,
        units=len(ones),
        unit="pairs",
    )


def _deciding_far(impostor: int, genuine: int) -> str:
    """Return the lowest FAR with 30 expected false accepts."""
    found = next((far for far in FARS if impostor * Fraction(far) >= RULE_OF_30), "")
    if not found or not genuine:
        needed = round(RULE_OF_30 / Fraction(FARS[-1]))
        raise _TooFewError(
            f"{impostor:,} impostor and {genuine:,} genuine pairs are too few; {needed:,} impostor pairs are needed"
        )
    return found


def _accepted_pairs(
    rows: npt.NDArray[np.float32], left: IntArray, right: IntArray, same: BoolArray, point: OperatingPoint
) -> IntArray:
    """Return 1 for each genuine pair that is accepted at the point's own threshold, else 0."""
    found = verify_pairs(rows, left, right, same, [point], folds=2, settings=Settings(hardest=0))
    threshold = found.verification.points[0].threshold
    limit = -np.inf if threshold is None else threshold
    scores = UnitRows(rows).scores(left[same], right[same])
    return (scores > limit).astype(np.int64)


def paired_bootstrap(first: IntArray, second: IntArray, pairs: IntArray, *, seed: int) -> tuple[float, float]:
    """Return a 95 % percentile interval of (sum(first) - sum(second)) / sum(pairs), resampling units.

    Parameters
    ----------
    first, second, pairs : int64 [units]
        Accepted pairs under the two conditions, and all genuine pairs, of each identity.
    """
    present = pairs > 0
    # Units with the same counts are interchangeable, and there are few kinds of them.
    table = np.stack([first[present] - second[present], pairs[present]], axis=1)
    kinds, numbers = np.unique(table, axis=0, return_counts=True)
    units = int(numbers.sum())
    drawn = np.random.default_rng(seed).multinomial(units, numbers / units, size=RESAMPLES)
    sums = drawn @ kinds
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return float(low), float(high)


class _TooFewError(ValueError):
    """Too few pairs for any operating point."""


def images_to_compare(identities: IntArray, usable: BoolArray) -> IntArray:
    """Return the images of randomly drawn (seeded) whole identities, as many as `MAX_IMAGES` allows, in order."""
    people, counts = np.unique(identities[usable], return_counts=True)
    order = np.random.default_rng(0).permutation(len(people))
    order = order[counts[order] > 1]  # who has one image only brings no genuine pair
    taken = people[order[np.cumsum(counts[order]) <= MAX_IMAGES]]
    return np.flatnonzero(usable & np.isin(identities, taken)).astype(np.int64)


def _accepted(rows: npt.NDArray[np.float32], people: IntArray, far: str = "") -> tuple[IntArray, IntArray, str]:
    """Return accepted and all genuine pairs of each identity, and the FAR used."""
    wanted = [OperatingPoint(far=each, comparison="<=") for each in ((far,) if far else FARS)]
    found = verify(rows, people, wanted, protocol=AllToAll(), settings=Settings(hardest=0))
    decided = [point for point in found.points if not point.below_rule_of_30]
    if not decided or found.pairs.genuine == 0 or len(np.unique(people)) < 2:
        raise _TooFewError(
            f"{found.pairs.impostor:,} impostor and {found.pairs.genuine:,} genuine pairs are too few; "
            f"{wanted[-1].impostor_pairs_for_rule_of_30:,} impostor pairs are needed"
        )
    point = decided[0]
    limit = -np.inf if point.threshold is None else point.threshold
    left, right = _genuine_pairs(people)
    scores = UnitRows(rows).scores(left, right)
    ordinals = np.unique(people, return_inverse=True)[1]
    count = int(ordinals.max()) + 1
    accepted = np.bincount(ordinals[left], weights=scores > limit, minlength=count).astype(np.int64)
    return accepted, np.bincount(ordinals[left], minlength=count), point.operating_point.far


def _genuine_pairs(people: IntArray) -> tuple[IntArray, IntArray]:
    order = np.argsort(people, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(people[order]) != 0))
    pieces = [np.array(np.triu_indices(len(group), 1)) for group in np.split(order, starts[1:])]
    sizes = [len(group) for group in np.split(order, starts[1:])]
    offsets = np.repeat(starts, [size * (size - 1) // 2 for size in sizes])
    flat = np.concatenate(pieces, axis=1) + offsets
    return order[flat[0]].astype(np.int64), order[flat[1]].astype(np.int64)
