"""Series of times as they are recorded: steady, throttled, with outliers, at two speeds. No clock is used."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_facechallenge.latency_estimate.statistics import (
    drift,
    judged,
    modes,
    outliers,
    rank,
    rule_in_words,
    spread,
    summarise,
)


def steady(count: int = 50, seed: int = 1) -> np.ndarray:
    """10 ms with the right-skewed noise of a quiet machine."""
    return 10 + np.random.default_rng(seed).gamma(2.0, 0.05, count)


@pytest.mark.parametrize(("count", "expected"), [(50, 6), (10, 2), (1, 1)])
def test_the_judged_sample_is_the_organisers_quantile(count: int, expected: int) -> None:
    assert rank(count) == expected
    samples = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    assert judged(samples.tolist()) == expected


def test_more_rounds_are_more_measurements_of_the_organisers_and_not_another_quantile() -> None:
    fifty = np.arange(1.0, 51.0)
    assert judged([*(fifty + 100), *(fifty + 10), *fifty]) == 16.0  # of 106, 16 and 6
    assert judged([*fifty, *(fifty + 100)]) == 56.0
    assert judged([*fifty, *([0.0] * 20)]) == 6.0  # no whole series of theirs
    assert [rule_in_words(count) for count in (10, 50, 200)] == [
        "no. 2 of 10 by size",
        "no. 6 of 50 by size",
        "median of 4 times no. 6 of 50 by size",
    ]


def test_four_times_the_rounds_halve_the_uncertainty() -> None:
    noise = np.random.default_rng(2).gamma(2.0, 1.0, 200)
    assert spread(10 + noise) < 0.8 * np.mean([spread(10 + part) for part in np.split(noise, 4)])


def test_no_samples_have_no_statistic() -> None:
    with pytest.raises(ValueError, match="without samples"):
        judged([])


def test_a_steady_series_has_no_findings() -> None:
    for seed in range(20):
        found = summarise(steady(seed=seed).tolist())
        assert (found.drift, found.modes) == (0.0, ())
        assert found.spread < 0.01
        assert found.smallest <= found.judged <= found.median <= found.p95 <= found.largest


def test_throttling_is_seen_as_drift_and_not_as_two_speeds() -> None:
    for slope in (np.linspace(1, 1.4, 50), np.repeat([1.0, 1.3], 25)):
        found = summarise((steady() * slope).tolist())
        assert 0.15 < found.drift < 0.45
        assert found.modes == ()


def test_becoming_faster_is_drift_too() -> None:
    assert drift(steady() * np.linspace(1.3, 1, 50)) < -0.15


def test_a_drift_below_five_percent_is_normal() -> None:
    assert drift(steady() * np.linspace(1, 1.03, 50)) == 0.0


def test_outliers_are_counted_and_neither_judged_nor_taken_for_a_second_speed() -> None:
    samples = steady()
    samples[[7, 23, 41]] = [25.0, 31.0, 18.0]
    found = summarise(samples.tolist())
    assert found.outliers == 3
    assert found.modes == ()
    assert found.judged < 10.2
    assert list(np.flatnonzero(outliers(samples))) == [7, 23, 41]


def test_two_speeds_are_found_when_they_alternate() -> None:
    samples = steady() * np.where(np.arange(50) % 5 < 2, 1.5, 1.0)
    low, high = modes(samples)
    assert low == pytest.approx(10.1, rel=0.02)
    assert high == pytest.approx(15.1, rel=0.02)
    assert summarise(samples.tolist()).modes == (low, high)


@pytest.mark.parametrize("shape", ["normal", "exponential", "uniform"])
def test_one_broad_speed_is_not_two(shape: str) -> None:
    rng = np.random.default_rng(3)
    drawn = {
        "normal": rng.normal(10, 1, 60),
        "exponential": 10 + rng.exponential(2, 60),
        "uniform": rng.uniform(9, 12, 60),
    }
    assert modes(drawn[shape]) == ()


def test_the_spread_grows_with_the_noise_and_sees_slow_disturbances() -> None:
    calm = spread(steady())
    assert calm < spread(10 + np.random.default_rng(1).gamma(2.0, 1.0, 50))
    disturbed = steady()
    disturbed[:20] *= 1.3
    assert spread(disturbed) > 3 * calm


def test_constant_and_single_samples_are_fine() -> None:
    assert summarise([5.0] * 50).spread == 0.0
    assert summarise([5.0]).judged == 5.0
