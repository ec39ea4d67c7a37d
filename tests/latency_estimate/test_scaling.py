"""The map from local times to the rulebook's GPU."""

from __future__ import annotations

import pytest

from pytest_facechallenge.latency_estimate.estimate import launch_count
from pytest_facechallenge.latency_estimate.published import published
from pytest_facechallenge.latency_estimate.references import launches
from pytest_facechallenge.latency_estimate.scaling import Point, fit, held_out, scale
from tests.analyses.latency.nets import LOCAL, mfr21


def points(count: int = 5, spread: float = 0.005) -> list[Point]:
    there = {point.name: point.ms for point in published(mfr21())}
    return [
        Point(name, ms, spread, launch_count(launches()[name]), there[name]) for name, ms in list(LOCAL.items())[:count]
    ]


def estimate(name: str = "iresnet100", *, count: int = 5, spread: float = 0.005, unfamiliar: float = 0.0) -> float:
    found = scale(LOCAL[name], spread, launch_count(launches()[name]), points(count), 0.02, unfamiliar)
    assert found.low < found.ms < found.high
    return found.high / found.low


def test_a_line_is_found_exactly() -> None:
    exact = [Point(name, ms, 0.0, 1, 0.5 + 0.04 * ms) for name, ms in LOCAL.items()]
    line = fit(exact)[0]
    assert [line.fixed, line.factor] == pytest.approx([0.5, 0.04])
    assert line.overhead == 0
    assert all(abs(held.error) < 1e-9 for held in held_out(exact))
    assert scale(200.0, 0.0, 1, exact, 0.0, 0.0).ms == pytest.approx(8.5)


def test_fixed_part_and_factor_are_never_negative() -> None:
    bent = [Point("a", 10, 0, 1, 1.0), Point("b", 20, 0, 1, 3.0), Point("c", 30, 0, 1, 9.0)]
    assert all(line.fixed >= 0 and line.factor >= 0 for line in fit(bent))


def test_the_interval_holds_every_published_time() -> None:
    for point in points():
        found = scale(point.here, 0.005, point.launches, points(), 0.02, 0.0)
        assert found.low < point.there < found.high


def test_noise_strangeness_and_fewer_references_widen_the_interval() -> None:
    plain = estimate()
    assert estimate(spread=0.10) > plain
    assert estimate(unfamiliar=0.5) > 1.4 * plain
    assert estimate("iresnet34", count=3) > estimate("iresnet34")


def test_extrapolation_is_wider_than_interpolation() -> None:
    inside = scale(100.0, 0.005, 180, points(), 0.02, 0.0)
    outside = scale(3000.0, 0.005, 5400, points(), 0.02, 0.0)
    assert outside.high / outside.low > inside.high / inside.low


def test_many_launches_in_little_time_are_less_certain() -> None:
    like = scale(40.0, 0.005, 70, points(), 0.02, 0.0)
    many = scale(40.0, 0.005, 500, points(), 0.02, 0.0)
    assert many.high > 1.3 * like.high


def test_two_references_are_too_few() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        scale(40.0, 0.0, 70, points(2), 0.0, 0.0)
