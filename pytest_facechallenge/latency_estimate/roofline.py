"""Grade 3, modelled: the time of one image on the rulebook's GPU, from the graph alone.

    time = fixed + sum over launches of (overhead + max(operations / (e * peak), bytes / (m * bandwidth)))

(the roofline model of Williams, Waterman and Patterson, CACM 52(4), 2009, per kernel launch). The four constants are
fitted on the published times. Those do not determine them: among iResNets, arithmetic, bytes and the number of launches
grow together, so very different constants explain the published times equally well. All of these are kept, and the
interval spans what they predict: narrow for a network like the references, wide for a depthwise net or a transformer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.core.facts.latency import LaunchGroup
from pytest_facechallenge.latency_estimate.estimate import Estimate, Held, is_familiar
from pytest_facechallenge.latency_estimate.published import Published
from pytest_facechallenge.latency_estimate.references import launches

Floats = npt.NDArray[np.float64]


class Gpu(NamedTuple):
    """float32 operations and bytes per millisecond that the maker states."""

    peak: float
    bandwidth: float


#: NVIDIA's data sheet of the Tesla V100 (SXM2): 15.7 TFLOPS in float32, 900 GB/s.
GPUS: Mapping[str, Gpu] = {"Tesla V100": Gpu(15.7e9, 0.9e9)}

#: Candidates of the constants. Overhead of a launch: from 0 (launches overlap) to 20 microseconds (a kernel launch
#: takes a few, and onnxruntime's own work per node comes on top). Shares of peak and bandwidth: what kernels reach.
OVERHEADS = np.arange(0.0, 0.0201, 0.001)
MEMORY_SHARES = np.arange(0.2, 0.91, 0.1)
ARITHMETIC_SHARES = np.geomspace(0.08, 1.0, 120)
#: Constants are kept when they explain the published times at most this much worse than the best ones do (root mean
#: square relative error).
AS_GOOD = 1.25
#: Kernels of kinds that no reference has may reach half or twice the shares of the references' kernels. An assumption:
#: nobody published a time that could replace it.
UNFAMILIAR_FACTOR = 2.0


class Fit(NamedTuple):
    """Constants that explain the published times; arrays of equal length, the best first.

    Attributes
    ----------
    fixed, overhead
        Milliseconds per image, and per launch.
    arithmetic, memory
        Shares of the stated peak and bandwidth.
    error
        Root mean square relative error on the published times.
    """

    fixed: Floats
    overhead: Floats
    arithmetic: Floats
    memory: Floats
    error: Floats


def _grid() -> tuple[Floats, Floats, Floats]:
    overhead, memory, arithmetic = np.meshgrid(OVERHEADS, MEMORY_SHARES, ARITHMETIC_SHARES, indexing="ij")
    return overhead.ravel(), memory.ravel(), arithmetic.ravel()


def variable_part(
    groups: Sequence[LaunchGroup], gpu: Gpu, overhead: Floats, arithmetic: Floats, memory: Floats
) -> Floats:
    """Return the time of all launches for each set of constants, in milliseconds."""
    total = np.zeros_like(overhead)
    for group in groups:
        busy = np.maximum(group.flops / (arithmetic * gpu.peak), group.bytes / (memory * gpu.bandwidth))
        total += group.count * (overhead + busy)
    return total


@lru_cache(maxsize=8)
def _reference_part(name: str, gpu: Gpu) -> Floats:
    overhead, memory, arithmetic = _grid()
    return variable_part(launches()[name], gpu, overhead, arithmetic, memory)


def fit(points: Sequence[Published], gpu: Gpu) -> Fit:
    """Find all constants that explain the published times about as well as the best ones.

    Parameters
    ----------
    points
        At least three.
    """
    overhead, memory, arithmetic = _grid()
    parts = np.stack([_reference_part(point.name, gpu) for point in points])
    times = np.array([[point.ms] for point in points])
    # Least squares of the relative errors has a closed form for the fixed part.
    weights = 1 / times**2
    fixed = np.maximum(0.0, ((times - parts) * weights).sum(axis=0) / weights.sum())
    error = np.sqrt((((parts + fixed) / times - 1) ** 2).mean(axis=0))
    kept = np.flatnonzero(error <= error.min() * AS_GOOD)
    kept = kept[np.argsort(error[kept], kind="stable")]
    return Fit(fixed[kept], overhead[kept], arithmetic[kept], memory[kept], error[kept])


def predict(groups: Sequence[LaunchGroup], found: Fit, gpu: Gpu) -> Floats:
    """Return the time in milliseconds under each of the kept constants, the best ones first."""
    return found.fixed + variable_part(groups, gpu, found.overhead, found.arithmetic, found.memory)


def held_out(points: Sequence[Published], gpu: Gpu) -> tuple[Held, ...]:
    """Predict each published time from constants fitted on the others."""
    results = []
    for point in points:
        others = fit([other for other in points if other is not point], gpu)
        predicted = float(predict(launches()[point.name], others, gpu)[0])
        results.append(Held(name=point.name, published=point.ms, predicted=predicted))
    return tuple(results)


def unfamiliar_share(groups: Sequence[LaunchGroup], found: Fit, gpu: Gpu) -> float:
    """Return which share of the modelled time lies in launches of kinds that no reference network has."""
    best = Fit(*(values[:1] for values in found))
    total = float(predict(groups, best, gpu)[0])
    strange = [group for group in groups if not is_familiar(group)]
    return float(variable_part(strange, gpu, best.overhead, best.arithmetic, best.memory)[0]) / total


def model(groups: Sequence[LaunchGroup], points: Sequence[Published], gpu: Gpu) -> Estimate:
    """Estimate the time of a network.

    Parameters
    ----------
    groups
        Its launches.
    points
        Published times of at least four reference networks (one is left out at a time).
    """
    found = fit(points, gpu)
    times = predict(groups, found, gpu)
    held = held_out(points, gpu)
    worst = max(abs(entry.error) for entry in held)
    strange = unfamiliar_share(groups, found, gpu)
    widen = (1 + worst) * (1 + (UNFAMILIAR_FACTOR - 1) * strange)
    best = float(times[0])
    return Estimate(
        ms=best,
        low=float(times.min()) / widen,
        high=float(times.max()) * widen,
        held_out=held,
        parts={
            "leave-one-out error": worst,
            "constants that fit as well": float(times.max() / times.min() - 1),
            "unfamiliar kernels": (UNFAMILIAR_FACTOR - 1) * strange,
        },
        unfamiliar=strange,
    )
