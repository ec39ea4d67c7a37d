"""Do two networks differ on the same images by more than chance? A paired jackknife over identities."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.core.packed import PackedError, unpack

if TYPE_CHECKING:
    from pytest_facechallenge.core.identity_counts import IdentityCounts, Packed
    from pytest_facechallenge.verification.rows import Float64Array, IntArray

CONFIDENCE = 0.95
#: Telling identities (`Spread.telling`) up to which quantiles come from random signs; above, the normal law is as good.
FEW = 100.0
_MOST_IDENTITIES, _MOST_PAIRS = 1 << 24, 1 << 22
_MOST_SIDE = 1 << 31
#: Random signs, and contributions that get one each; what is left is small and many, and gets normal noise.
_SIGNS, _SIGNED = 9999, 256
_ROUNDING = 1e-9
_MOST_COUNTED = float(1 << 60)


class UndecidableError(ValueError):
    """A score whose uncertainty these counts cannot tell; the message says why, as a part of a sentence."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A TAR that a score is made of.

    Attributes
    ----------
    weight
        Of the TAR in the score.
    testset
        Sets of one testset share its identities; those of two testsets are taken to have none in common.
    counts
        What each identity contributed.
    """

    weight: float
    testset: str
    counts: IdentityCounts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """A number with its interval.

    Attributes
    ----------
    low, high
        Its interval of confidence `CONFIDENCE`.
    p
        How probable a number as far from 0 is where the truth is 0.
    error
        The standard error.
    identities
        Identities that were resampled.
    telling
        How many identities of equal weight would make up the error: (sum u²)² / sum u⁴ over their contributions u.
    """

    value: float
    low: float
    high: float
    p: float
    error: float
    identities: int
    telling: float


@dataclasses.dataclass(frozen=True, eq=False)
class _Influence:
    """What each identity, and each pair of them by its false accepts, adds to the error of one TAR, times its weight.

    Attributes
    ----------
    testset, identities, values
        Whose identities, int64 [n] their numbers, float64 [n]: the sum of squares is the variance.
    pairs, shares
        int64 [m] pairs of identities, float64 [m].
    share
        Of how many pairs of identities false accepts were noted.
    """

    testset: str
    identities: IntArray
    values: Float64Array
    pairs: IntArray
    shares: Float64Array
    share: float


def paired_difference(one: Sequence[Part], other: Sequence[Part], value: float) -> Spread:
    """Tell how sure the difference of two networks' scores is, measured on the same images.

    Resampled are identities, each with all that it contributes under both networks: its genuine pairs, and the impostor
    pairs that its images are in. One after the other is left out (the delete-one jackknife; Efron and Stein, "The
    jackknife estimate of variance", Annals of Statistics 9 (1981), 586-596). Held fixed are the networks, the testset's
    images of each identity, and the false accept rate of the operating point. The threshold is *not* held fixed: with
    an identity left out the false accept rate at the old threshold is another one, and the threshold moves until it is
    right again. How much TAR that costs or wins is read from a second threshold, that of half as many false accepts:
    TAR is taken to be straight in the logarithm of FAR between them. So no network is run and no pair scored again.

    Why not a bootstrap: drawing identities with replacement compares a person with its own copies, and so needs to be
    recentred for what rests on impostor pairs (Conti and Clémençon, "Assessing performance and fairness metrics in face
    recognition", 2022). The jackknife draws nobody twice, and nothing in it is random.

    A pair of identities is counted with both of them, so what false accepts contribute by chance alone counts twice;
    once is taken off, and never more than half of the variance. The quantile is the normal one where many identities
    make up the error. Where it is few (`Spread.telling` up to `FEW`) it is that of what equal networks would give: the
    same contributions, each as often for the one as for the other, by random signs of a fixed seed (a randomization
    test). Where identities differ alike and all in one direction, that is the sign test: it takes six of them.

    What it leaves out: that another testset would have other images of the same people, and another selection.

    Parameters
    ----------
    one, other
        The TARs that the two scores are made of, in one order: the same sets, weights and pairs compared.
    value
        The exact difference of the scores.

    Raises
    ------
    UndecidableError
        Counts are of other identities, damaged, of fewer than two identities, or without a false accept above the
        threshold, which alone show how firm it is.
    """
    parts = []
    for mine, theirs in zip(one, other, strict=True):
        first, second = _influence(mine), _influence(theirs)
        if not np.array_equal(first.identities, second.identities):
            raise UndecidableError("the two were measured on other identities")
        parts.append(_subtracted(first, second))
    return _spread(parts, [part.weight for part in one], value)


def score_spread(parts: Sequence[Part], value: float) -> Spread:
    """Tell how sure one network's score is, in the same way as `paired_difference`.

    The interval is symmetric in the logit of the score, so it stays within 0 … 1; `Spread.p` is 0 and says nothing.

    Raises
    ------
    UndecidableError
        As for `paired_difference`.
    """
    around = _spread([_influence(part) for part in parts], [part.weight for part in parts], 0.0)
    found = dataclasses.replace(around, value=value, low=value + around.low, high=value + around.high, p=0.0)
    if not 0 < value < 1 or found.error == 0:
        return dataclasses.replace(found, low=max(0.0, found.low), high=min(1.0, found.high))
    middle, reach = math.log(value / (1 - value)), around.high / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-each)) for each in (middle - reach, middle + reach))
    return dataclasses.replace(found, low=low, high=high)


def holm(ps: Sequence[float]) -> list[float]:
    """Return p values adjusted for being looked at together (Holm, Scandinavian Journal of Statistics 6 (1979), 65-70).

    Those of at most 0.05 are the differences of which, with 95 % confidence, not a single one is chance.
    """
    adjusted = [0.0] * len(ps)
    reached = 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        reached = max(reached, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = reached
    return adjusted


def _influence(part: Part) -> _Influence:
    """Return what each identity adds to the error of a TAR.

    With identity i left out the TAR at the old threshold is (A - a_i) / (G - g_i), and the FAR there is larger by the
    factor (1 - v_i / V) / (1 - p_i / P); the threshold gives that back at `slope` a unit of its logarithm.
    """
    counts = part.counts
    try:
        identities = np.cumsum(unpack(counts.identities, _MOST_IDENTITIES))
        n = len(identities)
        genuine, accepted, impostor = (_exactly(each, n) for each in (counts.genuine, counts.accepted, counts.impostor))
        keys = np.cumsum(unpack(counts.false_accepts, _MOST_PAIRS))
        numbers = _exactly(counts.false_accept_counts, len(keys)).astype(np.float64)
    except PackedError as error:
        raise UndecidableError(f"the counts by identity are damaged: {error}") from error
    if keys.size and not (n < _MOST_SIDE and keys.min() >= 0 and keys.max() < n * n and (np.diff(keys) > 0).all()):
        raise UndecidableError("the counts by identity are damaged: they name pairs of identities that there are not")
    if (accepted > genuine).any() or max(float(each.sum(dtype=float)) for each in (genuine, impostor)) > _MOST_COUNTED:
        raise UndecidableError("the counts by identity are damaged: they cannot be counts of pairs")
    people = int(np.count_nonzero(genuine))
    if people < 2:
        raise UndecidableError(f"genuine pairs of {people} identities cannot be resampled")
    total, noted = int(genuine.sum()), float(numbers.sum())
    slope = _slope(counts, total, int(accepted.sum()))
    if not noted:
        raise UndecidableError("no false accept was noted by identity")
    shares = numbers / noted
    of_each = np.bincount(keys // n, weights=shares, minlength=n) + np.bincount(keys % n, weights=shares, minlength=n)
    rate = np.divide(
        1 - of_each, 1 - 2 * impostor / impostor.sum(), out=np.ones(n), where=2 * impostor < impostor.sum()
    )
    left = np.maximum(total - genuine, 1)
    left_out = (accepted.sum() - accepted) / left - slope * (rate - 1)
    values = part.weight * math.sqrt((n - 1) / n) * (left_out.mean() - left_out)
    return _Influence(part.testset, identities, values, keys, part.weight * slope * shares, counts.share)


def _exactly(packed: Packed, count: int) -> IntArray:
    numbers = unpack(packed, count)
    if len(numbers) != count:
        raise PackedError(f"{count:,} numbers are expected; found {len(numbers):,}")
    return numbers


def _slope(counts: IdentityCounts, genuine: int, accepted: int) -> float:
    """Return how much TAR a FAR that is larger by the factor e would give."""
    more, fewer = counts.all_false_accepts, counts.stricter_false_accepts
    if not 0 <= fewer < more:
        raise UndecidableError(
            "nothing shows how firm its threshold is: "
            + (f"all {more:,} false accepts have scores that tie" if more else "there is no false accept above it")
        )
    return max(0, accepted - counts.stricter_accepted) / genuine / math.log((more + 1) / (fewer + 1))


def _subtracted(first: _Influence, second: _Influence) -> _Influence:
    pairs, places = np.unique(np.concatenate([first.pairs, second.pairs]), return_inverse=True)
    shares: Float64Array = np.zeros(len(pairs))
    np.add.at(shares, places, np.concatenate([first.shares, -second.shares]))
    share = min(first.share, second.share)
    return _Influence(first.testset, first.identities, first.values - second.values, pairs, shares, share)


def _spread(parts: Sequence[_Influence], weights: Sequence[float], value: float) -> Spread:
    from scipy import stats  # 0.5 s, and most audits have no scores

    values = _by_person(parts)
    # What pairs of identities add by themselves stands twice in the values, and the noise of drawing them as well.
    doubled = sum((2 - part.share) * float((part.shares**2).sum()) for part in parts)
    squares = values**2
    whole = float(squares.sum())
    tail = (1 - CONFIDENCE) / 2
    if whole < np.finfo(float).eps ** 2:
        reach = sum(weight * (1 - tail ** (1 / len(part.values))) for part, weight in zip(parts, weights, strict=True))
        fewest = min(len(part.values) for part in parts)
        p = min(1.0, 2 * (1 - min(1.0, abs(value))) ** fewest)
        return Spread(
            value=value, low=max(-1.0, value - reach), high=min(1.0, value + reach), p=p, error=0.0,
            identities=len(values), telling=0.0,
        )  # fmt: skip
    error = math.sqrt(max(whole - doubled, whole / 2))
    telling = whole**2 / float((squares**2).sum())
    # The error where there is no difference: then what each contributes lies around 0, and not around its mean.
    without = abs(value) / math.hypot(error, value / math.sqrt(len(values)))
    if telling > FEW:
        quantile, p = float(stats.norm.ppf(1 - tail)), float(2 * stats.norm.sf(without))
    else:
        quantile, p = _by_signs(np.abs(values + value / len(values)), without)
    # Every difference that is not refused in this way: p below 5 % and 0 outside of the interval are the same.
    room = 1 - quantile**2 / len(values)
    reach = quantile * error / math.sqrt(room) if room > 0 else math.inf
    return Spread(
        value=value,
        low=max(-1.0, value - reach),
        high=min(1.0, value + reach),
        p=p,
        error=error,
        identities=len(values),
        telling=telling,
    )


def _by_signs(sizes: Float64Array, found: float) -> tuple[float, float]:
    """Return the quantile of the sum of contributions with random signs over its error, and the p value of one found.

    Parameters
    ----------
    sizes : float64 [n]
        Of the contributions.
    found
        A sum over its error.
    """
    order = np.sort(sizes)[::-1]
    signs, noise = _signs()
    rest = float((order[_SIGNED:] ** 2).sum())
    sums = signs[:, : min(len(order), _SIGNED)] @ order[:_SIGNED] + math.sqrt(rest) * noise
    drawn = np.sort(np.abs(sums))[::-1] / math.sqrt(float((order**2).sum()))
    # The rank at which p falls below 5 %, so that the interval leaves 0 out exactly then.
    rank = math.ceil((1 - CONFIDENCE) * (_SIGNS + 1) - _ROUNDING) - 2
    beyond = int(np.count_nonzero(drawn >= found - _ROUNDING))
    return float(drawn[rank]) + _ROUNDING, (1 + beyond) / (1 + _SIGNS)


@cache
def _signs() -> tuple[Float64Array, Float64Array]:
    """Return the signs, float64 [_SIGNS, _SIGNED] of -1 and 1, and normal noise, float64 [_SIGNS]; always the same."""
    rng = np.random.default_rng(0)
    signs: Float64Array = 2 * rng.integers(0, 2, (_SIGNS, _SIGNED)).astype(np.float64) - 1
    return signs, rng.standard_normal(_SIGNS)


def _by_person(parts: Sequence[_Influence]) -> npt.NDArray[np.float64]:
    """Return what each identity adds to the score: the sum over the sets of its testset that it is in."""
    found = []
    for testset in dict.fromkeys(part.testset for part in parts):
        mine = [part for part in parts if part.testset == testset]
        _people, places = np.unique(np.concatenate([part.identities for part in mine]), return_inverse=True)
        found.append(np.bincount(places, weights=np.concatenate([part.values for part in mine])))
    return np.concatenate(found)
