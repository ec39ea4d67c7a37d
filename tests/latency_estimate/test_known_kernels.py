"""The narrow interval of a network that consists of the references' kernels: who gets it, and that it covers.

A made-up GPU has constants of its own, and every kernel a rate of its own on top of them; the organisers time the five
references on it, each row with an error. Then networks of other depths are estimated. Everything is drawn from seeds.
"""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest

from pytest_facechallenge.core.facts.latency import LaunchGroup
from pytest_facechallenge.latency_estimate.estimate import Estimate
from pytest_facechallenge.latency_estimate.known_kernels import CONFIDENCE, estimate, kernel
from pytest_facechallenge.latency_estimate.published import Published, published
from pytest_facechallenge.latency_estimate.references import NAMES, launches
from pytest_facechallenge.latency_estimate.roofline import GPUS, Constants, busy_part
from tests.analyses.latency.nets import launch_facts, mfr21

V100 = GPUS["Tesla V100"]
#: Rows that the organisers published of each reference, and how far rows of one network differ.
ROWS = {"iresnet18": 2, "iresnet34": 2, "iresnet50": 2, "iresnet100": 4, "iresnet200": 1}
ROW_SPREAD = 0.024


def counts(name: str) -> Counter[tuple[object, ...]]:
    return Counter({kernel(group): group.count for group in launches()[name]})


def minus(one: str, other: str) -> dict[tuple[object, ...], float]:
    return {each: counts(one)[each] - counts(other)[each] for each in counts("iresnet200") | counts(one)}


def deeper(ends: int, second: int, third: int) -> list[LaunchGroup]:
    """Return the launches of an iResNet-18 with so many more blocks: at both ends, in stage 2, in stage 3.

    The references differ in these only: 34 from 18 by (1, 2, 4), 50 from 34 by 8 of stage 3, 100 from 50 by 9 and 16.
    """
    third_block = {each: count / 8 for each, count in minus("iresnet50", "iresnet34").items()}
    long = minus("iresnet100", "iresnet50")
    second_block = {each: (long[each] - 16 * third_block.get(each, 0)) / 9 for each in long}
    step = minus("iresnet34", "iresnet18")
    end_blocks = {each: step[each] - 2 * second_block.get(each, 0) - 4 * third_block.get(each, 0) for each in step}
    found = dict(counts("iresnet18"))
    for blocks, times in ((end_blocks, ends), (second_block, second), (third_block, third)):
        for each, count in blocks.items():
            found[each] = found.get(each, 0) + round(times * count)
    return [
        LaunchGroup(kind=k, flops=f, bytes=b, outputs=o, count=int(count))  # type: ignore[arg-type]
        for (k, f, b, o), count in found.items()
        if count
    ]


def test_blocks_put_together_are_the_published_networks() -> None:
    for name, blocks in (("iresnet100", (1, 11, 28)), ("iresnet200", (4, 24, 58))):
        assert {kernel(each): each.count for each in deeper(*blocks)} == dict(counts(name))


class MadeUp:
    """A GPU: constants, and for every kernel how far its rate is from what they say."""

    def __init__(self, rng: np.random.Generator, deviation: float) -> None:
        self.rng = rng
        self.fixed, self.overhead = rng.uniform(0.3, 1.0), rng.uniform(0, 0.006)
        values = (0.0, rng.uniform(0.4, 0.9), rng.uniform(0.4, 0.9), rng.choice([512.0, 1024.0, 2048.0, 3000.0]))
        self.constants = Constants(*(np.array([value]) for value in values))
        self.rates = {each: float(np.exp(rng.normal(0, deviation))) for each in counts("iresnet200")}

    def time(self, groups: list[LaunchGroup]) -> float:
        """Return the true time, ms."""
        parts = [
            group.count * (self.overhead + self.rates[kernel(group)] * float(busy_part(group, V100, self.constants)[0]))
            for group in groups
        ]
        return self.fixed + sum(parts)

    def published(self) -> list[Published]:
        """Return what the organisers publish of the references."""
        found = []
        for name in NAMES:
            rows = self.time(list(launches()[name])) * (1 + ROW_SPREAD * self.rng.standard_normal(ROWS[name]))
            found.append(Published(name=name, ms=float(rows.mean()), rows=tuple(rows.tolist())))
        return found


@pytest.mark.parametrize(
    "deviation", [0.2, pytest.param(0.1, marks=pytest.mark.slow), pytest.param(0.0, marks=pytest.mark.slow)]
)
def test_the_interval_holds_the_true_time_as_often_as_stated(deviation: float) -> None:
    rng = np.random.default_rng(int(100 * deviation))
    held: list[bool] = []
    for _ in range(40):
        gpu = MadeUp(rng, deviation)
        points = gpu.published()
        for _ in range(4):
            blocks = deeper(*rng.integers((0, 0, 0), (5, 25, 60)))
            found = estimate(blocks, points, V100)
            if isinstance(found, Estimate):
                held.append(found.low <= gpu.time(blocks) <= found.high)
    assert len(held) > 60
    assert np.mean(held) >= CONFIDENCE, (len(held), np.mean(held))


def test_each_published_time_is_held_by_a_tenth_around_what_the_other_four_say() -> None:
    points = published(mfr21())
    for point in points:
        found = estimate(launches()[point.name], points, V100)
        assert isinstance(found, Estimate)
        assert found.high / found.ms - 1 <= 0.10
        assert found.low < point.ms < found.high
        (held,) = (each for each in found.held_out if each.name == point.name)
        assert abs(held.error) < found.high / found.ms - 1


def test_other_kernels_other_proportions_and_other_sizes_are_refused() -> None:
    points = published(mfr21())
    for name in ("mobilefacenet", "vit-small"):
        assert "kernels that no reference has" in str(estimate(launch_facts(name).groups, points, V100))
    ends = estimate(deeper(20, 0, 0), points, V100)
    assert "proportions" in str(ends)
    assert "further from the references" in str(estimate(deeper(10, 60, 150), points, V100))


def test_a_few_new_kernels_widen_the_interval_and_many_are_refused() -> None:
    points = published(mfr21())
    groups = list(launches()["iresnet100"])
    plain = estimate(groups, points, V100)
    new = LaunchGroup(kind="conv", flops=200_000_001, bytes=2_000_000, outputs=90_000, count=2)
    few = estimate([*groups, new], points, V100)
    assert isinstance(plain, Estimate)
    assert isinstance(few, Estimate)
    assert few.high / few.low > plain.high / plain.low
    many = estimate([*groups, msgspec.structs.replace(new, count=20)], points, V100)
    assert "kernels that no reference has" in str(many)


def test_many_small_launches_are_not_taken_to_be_free() -> None:
    groups = [*launches()["iresnet34"], LaunchGroup(kind="pointwise", flops=512, bytes=4096, count=600)]
    found = estimate(groups, published(mfr21()), V100)
    assert isinstance(found, Estimate)
    assert found.high > found.ms + 600 * 0.008


def test_launches_of_an_earlier_version_are_no_evidence() -> None:
    old = [msgspec.structs.replace(group, outputs=0) for group in launches()["iresnet50"]]
    assert "earlier version" in str(estimate(old, published(mfr21()), V100))
