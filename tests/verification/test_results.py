"""What is reported beside the TAR: decidability, intervals, listed pairs, histograms and what is read from them."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
import scipy
from scipy import stats
from sklearn.metrics import roc_curve
from sklearn.model_selection import KFold

from pytest_facechallenge.verification import (
    Cross,
    OperatingPoint,
    PairsResult,
    ProtocolError,
    Settings,
    VerificationResult,
    curve_points,
    equal_error_rate,
    fold_accuracy,
    tar_interval,
    verify,
    verify_pairs,
)

from .oracle import check_point, split_scores


def people(rows: int = 400, per_identity: int = 4, noise: float = 1.5, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    identities = np.arange(rows) // per_identity
    x = rng.standard_normal((rows, 16))[identities] + noise * rng.standard_normal((rows, 16))
    return x.astype(np.float32), identities


def test_results_are_plain_data() -> None:
    x, identities = people()
    points = [OperatingPoint(far="1e-3"), OperatingPoint(far="1", comparison="<=")]
    result = verify(x, identities, points, settings=Settings(histograms=True))
    assert msgspec.json.decode(msgspec.json.encode(result), type=VerificationResult) == result
    listed = verify_pairs(x, np.arange(200), np.arange(200, 400), np.arange(200) > 100, points)
    assert msgspec.json.decode(msgspec.json.encode(listed), type=PairsResult) == listed


@pytest.mark.parametrize(
    ("far", "undecided", "below_rule_of_30"),
    [("1/79200", False, True), ("1/79201", True, True), ("30/79200", False, False), ("30/79201", False, True)],
)
def test_too_few_impostor_pairs_are_said(far: str, undecided: bool, below_rule_of_30: bool) -> None:
    x, identities = people()  # 79,200 impostor pairs
    (point,) = verify(x, identities, [OperatingPoint(far=far)]).points
    assert point.below_rule_of_30 == below_rule_of_30
    assert (point.undecided is not None) == undecided
    assert point.tar is not None
    if undecided:
        assert "79,201 impostor pairs, and there are 79,200" in str(point.undecided)


def test_a_protocol_without_genuine_pairs_has_no_tar() -> None:
    (point,) = verify(np.eye(20, dtype=np.float32), np.arange(20), [OperatingPoint(far="0.1")]).points
    assert (point.tar, point.interval) == (None, None)
    assert "no genuine pair" in str(point.undecided)


def test_a_protocol_without_impostor_pairs_has_no_threshold() -> None:
    result = verify(np.eye(5, dtype=np.float32), np.zeros(5, int), [OperatingPoint(far="0.1")])
    assert (result.points[0].threshold, result.points[0].tar) == (None, None)
    assert "10 impostor pairs, and there are 0" in str(result.points[0].undecided)
    assert result.hardest_impostor == ()
    assert len(result.hardest_genuine) == 10


def test_one_row_alone_is_no_error() -> None:
    result = verify(np.ones((1, 2), np.float32), np.zeros(1, int), [OperatingPoint(far="0.1")])
    assert (result.pairs.genuine, result.pairs.impostor, result.points[0].tar) == (0, 0, None)


def test_the_hardest_pairs_are_named_by_row() -> None:
    x, identities = people()
    result = verify(x, identities, [], settings=Settings(hardest=3))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    scores = unit @ unit.T
    same = identities[:, None] == identities
    upper = np.triu(np.ones_like(same), 1)
    worst = np.argsort(np.where(same & upper, scores, 2), axis=None)[:3]
    best = np.argsort(np.where(~same & upper, -scores, 2), axis=None)[:3]
    assert [(p.left, p.right) for p in result.hardest_genuine] == [divmod(int(k), 400) for k in worst]
    assert [(p.left, p.right) for p in result.hardest_impostor] == [divmod(int(k), 400) for k in best]


def test_the_interval_resamples_identities_not_pairs() -> None:
    # 60 people with ten pairs each that are all accepted or all rejected: no more is known than from 60 trials.
    accepted, pairs = np.repeat([10, 0], [40, 20]), np.full(60, 10)
    interval = tar_interval(accepted, pairs)
    assert interval is not None
    assert (interval.method, interval.units) == ("subsets-bootstrap-bca", 60)
    of_people = stats.binomtest(40, 60).proportion_ci(method="wilson")
    of_pairs = stats.binomtest(400, 600).proportion_ci(method="wilson")
    assert interval.low == pytest.approx(of_people.low, abs=0.02)
    assert interval.high == pytest.approx(of_people.high, abs=0.02)
    assert interval.high - interval.low > 2.5 * (of_pairs.high - of_pairs.low)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for k in range(300):
        pairs = rng.integers(1, 20, 150)
        skill = rng.beta(4, 1, 150)
        interval = tar_interval(rng.binomial(pairs, skill), pairs, resamples=400, seed=k)
        assert interval is not None
        covered += interval.low <= 0.8 <= interval.high
    assert 0.91 <= covered / 300 <= 0.98


def test_the_interval_is_corrected_for_its_bias_near_one() -> None:
    """Plain percentiles miss the truth here on one side in 8 % and on the other in 1 % of cases, these in 5 and 3."""
    rng = np.random.default_rng(2)
    missed = np.zeros(2)
    for k in range(400):
        pairs = rng.integers(1, 29, 100)
        interval = tar_interval(rng.binomial(pairs, rng.beta(0.95, 0.05, 100)), pairs, resamples=300, seed=k)
        assert interval is not None
        missed += [interval.low > 0.95, interval.high < 0.95]
    assert missed[0] / 400 < 0.06
    assert missed[1] / 400 > 0.015


@pytest.mark.skipif(tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 15), reason="names its seed otherwise")
def test_the_bca_quantiles_are_those_of_scipy() -> None:
    rng = np.random.default_rng(3)
    pairs = rng.integers(1, 9, 80)
    accepted = rng.binomial(pairs, rng.beta(3, 1, 80))
    ours = tar_interval(accepted, pairs, resamples=20_000)
    assert ours is not None
    theirs = stats.bootstrap(
        (accepted, pairs),
        lambda a, m, axis=-1: a.sum(axis=axis) / m.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.003)


def test_a_perfect_score_is_not_certain() -> None:
    interval = tar_interval(np.full(30, 5), np.full(30, 5))
    assert interval is not None
    exact = stats.binomtest(30, 30).proportion_ci(method="exact", confidence_level=0.95)
    assert (interval.method, interval.high) == ("clopper-pearson", 1)
    assert interval.low == pytest.approx(exact.low)
    none = tar_interval(np.zeros(30, int), np.full(30, 5))
    assert none is not None
    assert none.low == 0
    assert none.high == pytest.approx(1 - exact.low)


def test_one_identity_gives_no_interval() -> None:
    assert tar_interval(np.array([3, 0]), np.array([5, 0])) is None


@pytest.mark.parametrize("with_identities", [True, False])
def test_listed_pairs_equal_the_definition(with_identities: bool) -> None:
    x, identities = people()
    rng = np.random.default_rng(1)
    left, right = rng.integers(0, 200, (2, 3000))
    same = identities[left] == identities[right]
    points = [OperatingPoint(far=far, comparison=c) for far in ("1e-3", "0.1", "1", "1e-9") for c in ("<", "<=")]
    result = verify_pairs(x, left, right, same, points, identities=identities if with_identities else None)
    both = x[np.stack([left, right], axis=1)]
    scored = [
        split_scores(pair, np.array([0, 1 - s]), Cross(probe=np.array([0]), gallery=np.array([1])))
        for pair, s in zip(both, same.astype(int), strict=True)
    ]
    genuine, impostor = ([score for pair in scored for score in pair[k]] for k in (0, 1))
    for point in result.verification.points:
        check_point(point, genuine, impostor)
    interval = result.verification.points[0].interval
    assert interval is not None
    assert interval.units == (len(np.unique(identities[left[same]])) if with_identities else same.sum())


def test_fold_accuracy_follows_the_convention_of_bin_files() -> None:
    # The convention, step by step: squared distances of unit rows, thresholds 0 … 3.99, folds in order.
    x, identities = people(noise=1.0)
    rng = np.random.default_rng(2)
    left = rng.integers(0, 400, 604)
    right = np.where(rng.random(604) < 0.5, (left // 4) * 4 + rng.integers(0, 4, 604), rng.integers(0, 400, 604))
    same = identities[left] == identities[right]
    unit = x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    distances = np.square(unit[left] - unit[right]).sum(axis=1)
    expected = []
    for train, test in KFold(10).split(distances):
        grid = np.arange(0, 4, 0.01)
        threshold = grid[np.argmax([np.mean((distances[train] < t) == same[train]) for t in grid])]
        expected.append(np.mean((distances[test] < threshold) == same[test]))
    accuracy = verify_pairs(x, left, right, same).accuracy
    assert accuracy is not None
    assert accuracy.accuracies == pytest.approx(expected)
    assert accuracy.mean == pytest.approx(np.mean(expected))
    assert accuracy.deviation == pytest.approx(np.std(expected))
    assert 0.6 < accuracy.mean < 1


def test_fewer_pairs_than_folds_have_no_accuracy() -> None:
    assert fold_accuracy(np.zeros(9), np.ones(9, bool)) is None
    with pytest.raises(ProtocolError, match="at least 2 folds"):
        fold_accuracy(np.zeros(9), np.ones(9, bool), folds=1)


@pytest.mark.parametrize(
    ("left", "same", "identities", "text"),
    [
        ([0, 4], [True, False], None, "0 … 3; found 0 … 4"),
        ([0, 1], [True], None, r"found int64 \[2\], int64 \[2\] and bool \[1\]"),
        ([0, 1], [True, False], [0, 1, 2, 3], "1 pairs are listed otherwise .* pair 0 is the first"),
    ],
)
def test_lists_that_do_not_fit_are_refused(left: Any, same: Any, identities: Any, text: str) -> None:
    named = None if identities is None else np.array(identities)
    with pytest.raises(ProtocolError, match=text):
        verify_pairs(np.eye(4, dtype=np.float32), np.array(left), np.array([2, 3]), np.array(same), identities=named)


def test_curves_and_eer_hold_to_the_width_of_a_bin() -> None:
    x, identities = people()
    histograms = verify(x, identities, [], settings=Settings(histograms=True)).histograms
    assert histograms is not None
    assert not histograms.impostor_sampled
    assert (sum(histograms.genuine), sum(histograms.impostor)) == (600, 79_200)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    i, j = np.triu_indices(400, 1)
    scores, same = (unit @ unit.T)[i, j], (identities[i] == identities[j])
    fpr, tpr, _ = roc_curve(same, scores, drop_intermediate=False)
    crossing = np.argmin(np.abs(fpr - (1 - tpr)))
    eer = equal_error_rate(histograms)
    assert eer is not None
    assert eer.rate == pytest.approx((fpr[crossing] + 1 - tpr[crossing]) / 2, abs=2e-3)
    assert eer.threshold_high - eer.threshold_low == pytest.approx(histograms.bin_width)
    curve = curve_points(histograms)
    assert (curve[0].far, curve[0].tar, curve[-1].far, curve[-1].tar) == (0, 0, 1, 1)
    for point in curve[:: len(curve) // 20]:
        assert point.far == pytest.approx(np.mean(scores[~same] >= point.threshold), abs=1e-3)
        assert point.tar == pytest.approx(np.mean(scores[same] >= point.threshold), abs=5e-3)
        if point.far_deviate is not None:
            assert stats.norm.cdf(point.far_deviate) == pytest.approx(point.far)


def test_sampled_histograms_say_so() -> None:
    x, identities = people(3000)
    settings = Settings(histograms=True, histogram_pairs=1 << 20)
    histograms = verify(x, identities, [], settings=settings).histograms
    full = verify(x, identities, [], settings=Settings(histograms=True)).histograms
    assert histograms is not None
    assert full is not None
    assert histograms.impostor_sampled
    assert not full.impostor_sampled
    assert histograms.genuine == full.genuine
    assert sum(histograms.impostor) == histograms.impostor_pairs_scored <= 1 << 20
    assert histograms.impostor_pairs == full.impostor_pairs_scored
    sampled, all_pairs = (np.cumsum(h.impostor) / sum(h.impostor) for h in (histograms, full))
    assert np.abs(sampled - all_pairs).max() < 0.02


def test_nothing_to_draw_a_curve_of() -> None:
    histograms = verify(np.eye(3, dtype=np.float32), np.arange(3), [], settings=Settings(histograms=True)).histograms
    assert histograms is not None
    assert curve_points(histograms) == ()
    assert equal_error_rate(histograms) is None
