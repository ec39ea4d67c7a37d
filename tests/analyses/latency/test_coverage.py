"""The stated confidence, held on machines made up by the test: how often the interval holds the true time.

A made-up machine needs for a network a time that is linear in the true one, times a deviation of its own (its kernels
are not the V100's), and its runs scatter. Everything is drawn from seeds, so the figures are always the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from pytest_facechallenge.latency_estimate.estimate import Estimate, launch_count
from pytest_facechallenge.latency_estimate.references import NAMES, launches
from pytest_facechallenge.latency_estimate.scaling import CONFIDENCE, Point, scale
from pytest_facechallenge.latency_estimate.statistics import judged, spread

#: How many machines are tried for each kind of them.
MACHINES = 60
#: Arithmetic of the references, GMAC, and their launches.
WORK = {name: sum(group.flops * group.count for group in launches()[name]) / 2e9 for name in NAMES}
LAUNCHES = {name: launch_count(launches()[name]) for name in NAMES}
ROWS = {"iresnet100": 4, "iresnet200": 1}


class Kind(NamedTuple):
    """What machines of a kind have in common.

    Attributes
    ----------
    deviation
        Standard deviation of how far a network is from the line, relative: the machine's, not the measurement's.
    noise
        Scatter of the runs, relative.
    overhead
        The largest cost of a launch on the rulebook's GPU, milliseconds.
    references
        How many are timed.
    """

    deviation: float
    noise: float
    overhead: float
    references: int


def timed(rng: np.random.Generator, ms: float, noise: float) -> tuple[float, float]:
    """Return the judged time and its spread from 50 runs that scatter to the right."""
    runs = ms * (1 + noise * rng.gamma(2.0, 1.0, 50))
    return judged(runs.tolist()), spread(runs)


def machine(rng: np.random.Generator, kind: Kind, work: float, published: float = 0.02) -> tuple[Estimate, float]:
    """Make up a machine; return the estimate for a network of ``work`` GMAC there, and its true time."""
    fixed, overhead, slowness = rng.uniform(0, 1), rng.uniform(0, kind.overhead), rng.uniform(2, 40)

    def here(macs: float) -> tuple[float, float]:
        return timed(rng, slowness * macs * float(np.exp(rng.normal(0, kind.deviation))), kind.noise)

    points = []
    for name in NAMES[: kind.references]:
        true = fixed + 0.5 * WORK[name] + overhead * LAUNCHES[name]
        stated = true * (1 + rng.normal(0, published) / ROWS.get(name, 2) ** 0.5)
        points.append(Point(name, *here(WORK[name]), LAUNCHES[name], stated))
    count = int(rng.uniform(20, 60) * work)  # the references have about 28 launches per GMAC
    return scale(*here(work), count, points, published, 0.0), fixed + 0.5 * work + overhead * count


@pytest.mark.parametrize("references", [4, 5])
@pytest.mark.parametrize("overhead", [0.0, 0.008])
@pytest.mark.parametrize(("deviation", "noise"), [(0.01, 0.01), (0.05, 0.01), (0.10, 0.05)])
def test_the_interval_holds_the_true_time_as_often_as_stated(
    deviation: float, noise: float, overhead: float, references: int
) -> None:
    rng = np.random.default_rng([int(1000 * deviation), int(1000 * overhead), references])
    kind = Kind(deviation, noise, overhead, references)
    for work in (0.5, 6.0, 20.0):  # far below, among, and at the end of the references
        found = [machine(rng, kind, work) for _ in range(MACHINES)]
        held = np.mean([estimate.low <= true <= estimate.high for estimate, true in found])
        assert held >= CONFIDENCE, (work, held)


def test_the_interval_is_no_wider_for_a_good_machine_than_it_has_to_be() -> None:
    rng = np.random.default_rng(5)
    widths = {
        deviation: np.median(
            [e.high / e.low for e, _ in (machine(rng, Kind(deviation, 0.01, 0.0, 5), 6.0) for _ in range(50))]
        )
        for deviation in (0.0, 0.02, 0.08)
    }
    assert widths[0.0] < 1.6 < widths[0.08] < 2.5
    assert widths[0.0] < widths[0.02] < widths[0.08]
