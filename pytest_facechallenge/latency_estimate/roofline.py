"""Grade 3, modelled: the time of one image on the rulebook's GPU, from the graph alone.

    time = fixed + sum over launches of (overhead + max(operations / (e * u * peak), bytes / (m * bandwidth)))

(the roofline model of Williams, Waterman and Patterson, CACM 52(4), 2009, per kernel launch). ``u`` is the share of the
GPU that a launch occupies: each of its processors computes a tile of the outputs at a time, over all products that are
summed, so a launch of fewer tiles than processors leaves the others idle (tile quantisation in NVIDIA's "Matrix
Multiplication Background User's Guide"). A convolution of a single image in the late layers of a network is such a
launch: of equal operations, a layer of 14 x 14 positions takes longer than one of 56 x 56. Of other launches the
references say nothing in this respect, so they are taken as full.

The constants are fitted on the published times. Those do not determine them: among iResNets, arithmetic, bytes and the
number of launches grow together, so very different constants explain the published times about equally well. Two
families are told apart, that of idle processors (the better one) and that of a GPU that is always full (u = 1), where
dear launches explain what idle processors do in the other. Of both the best are kept, and the interval spans what they
predict: narrow for a network like the references, wide for a depthwise net or a transformer.
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
    """float32 operations and bytes per millisecond that the maker states, and the number of its multiprocessors."""

    peak: float
    bandwidth: float
    processors: int


#: NVIDIA's data sheet of the Tesla V100 (SXM2): 15.7 TFLOPS in float32, 900 GB/s, 80 streaming multiprocessors.
GPUS: Mapping[str, Gpu] = {"Tesla V100": Gpu(15.7e9, 0.9e9, 80)}

#: Candidates of the constants. Overhead of a launch: from 0 (launches overlap) to 20 microseconds (a kernel launch
#: takes a few, and onnxruntime's own work per node comes on top). Shares of peak and bandwidth: what kernels reach.
OVERHEADS = np.arange(0.0, 0.0201, 0.001)
MEMORY_SHARES = np.arange(0.2, 0.91, 0.1)
ARITHMETIC_SHARES = np.geomspace(0.08, 1.0, 120)
#: Outputs in the tile that a processor computes at a time; 0: the GPU is always full. Larger ones (128 x 32 and more)
#: explain no published time: even at the stated peak the late layers would take longer than was measured.
TILES = np.array([0.0, 1024.0, 2048.0])
#: Constants are kept when they explain the published times at most this much worse than the best of their family do
#: (root mean square relative error).
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
    tile
        See `TILES`.
    error
        Root mean square relative error on the published times.
    """

    fixed: Floats
    overhead: Floats
    arithmetic: Floats
    memory: Floats
    tile: Floats
    error: Floats


class Constants(NamedTuple):
    """Sets of constants, as arrays of equal length; see `Fit`."""

    overhead: Floats
    arithmetic: Floats
    memory: Floats
    tile: Floats


@lru_cache(maxsize=1)
def _grid() -> Constants:
    found = np.meshgrid(OVERHEADS, ARITHMETIC_SHARES, MEMORY_SHARES, TILES, indexing="ij")
    return Constants(*(values.ravel() for values in found))


def occupied(outputs: int, tile: Floats, gpu: Gpu) -> Floats:
    """Return the share of the GPU that a launch occupies which computes so many sums; 1 where that is not counted."""
    return np.minimum(1.0, outputs / np.maximum(tile * gpu.processors, 1.0)) if outputs else np.ones_like(tile)


def busy_part(group: LaunchGroup, gpu: Gpu, constants: Constants) -> Floats:
    """Return the time of one launch without its overhead for each set of constants, in milliseconds."""
    share = occupied(group.outputs, constants.tile, gpu)
    arithmetic = group.flops / (constants.arithmetic * share * gpu.peak)
    return np.asarray(np.maximum(arithmetic, group.bytes / (constants.memory * gpu.bandwidth)), np.float64)


def variable_part(groups: Sequence[LaunchGroup], gpu: Gpu, constants: Constants) -> Floats:
    """Return the time of all launches for each set of constants, in milliseconds."""
    total = np.zeros_like(constants.overhead)
    for group in groups:
        total += group.count * (constants.overhead + busy_part(group, gpu, constants))
    return total


@lru_cache(maxsize=8)
def _reference_part(name: str, gpu: Gpu) -> Floats:
    return variable_part(launches()[name], gpu, _grid())


def fit(points: Sequence[Published], gpu: Gpu) -> Fit:
    """Find all constants that explain the published times about as well as the best ones.

    Parameters
    ----------
    points
        At least three.
    """
    return _fit(tuple(points), gpu)


@lru_cache(maxsize=32)
def _fit(points: tuple[Published, ...], gpu: Gpu) -> Fit:
    grid = _grid()
    parts = np.stack([_reference_part(point.name, gpu) for point in points])
    times = np.array([[point.ms] for point in points])
    # Least squares of the relative errors has a closed form for the fixed part.
    weights = 1 / times**2
    fixed = np.maximum(0.0, ((times - parts) * weights).sum(axis=0) / weights.sum())
    error = np.sqrt((((parts + fixed) / times - 1) ** 2).mean(axis=0))
    full = grid.tile == 0
    best = np.where(full, error[full].min(), error[~full].min())
    kept = np.flatnonzero(error <= best * AS_GOOD)
    kept = kept[np.argsort(error[kept], kind="stable")]
    return Fit(fixed[kept], grid.overhead[kept], grid.arithmetic[kept], grid.memory[kept], grid.tile[kept], error[kept])


def predict(groups: Sequence[LaunchGroup], found: Fit, gpu: Gpu) -> Floats:
    """Return the time in milliseconds under each of the kept constants, the best ones first."""
    return found.fixed + variable_part(groups, gpu, constants_of(found))


def constants_of(found: Fit) -> Constants:
    """Return the constants of a fit that say what launches take."""
    return Constants(found.overhead, found.arithmetic, found.memory, found.tile)


def held_out(points: Sequence[Published], gpu: Gpu, *, full: bool = False) -> tuple[Held, ...]:
    """Predict each published time from constants fitted on the others.

    Parameters
    ----------
    full
        Whether the GPU is taken as always full (`TILES`); by default the constants that explain the others best count.
    """
    results = []
    for point in points:
        others = fit([other for other in points if other is not point], gpu)
        first = int(np.argmax(others.tile == 0)) if full else 0
        predicted = float(predict(launches()[point.name], others, gpu)[first])
        results.append(Held(name=point.name, published=point.ms, predicted=predicted))
    return tuple(results)


def unfamiliar_share(groups: Sequence[LaunchGroup], found: Fit, gpu: Gpu) -> float:
    """Return which share of the modelled time lies in launches of kinds that no reference network has.

    The larger one of what the best constants of both families say.
    """
    firsts = [int(np.argmax(found.tile == 0)), int(np.argmax(found.tile > 0))]
    best = Fit(*(values[firsts] for values in found))
    strange = [group for group in groups if not is_familiar(group)]
    return float((variable_part(strange, gpu, constants_of(best)) / predict(groups, best, gpu)).max())


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
    worst = max(abs(entry.error) for entry in (*held, *held_out(points, gpu, full=True)))
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
