"""Facts for tests: launches of small networks, recorded series, and the rulebook with the published times."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from pytest_facechallenge.analyses.latency.launches import facts_of
from pytest_facechallenge.core.facts.latency import (
    CalibrationUse,
    LatencyFacts,
    LaunchFacts,
    Machine,
    Mode,
    ReferencePoint,
    Series,
    ServerLatencyFacts,
)
from pytest_facechallenge.core.rulebook import Rule, Rulebook
from pytest_facechallenge.core.rulebook_file import builtin_folder, load
from pytest_facechallenge.latency_estimate.references import launches
from pytest_facechallenge.onnx_graph.ir import from_model
from pytest_facechallenge.refnets.registry import build

CPU = Machine(processor="CPU X", cores=2, memory_gib=16, runtime="onnxruntime 1.31.0", provider="CPUExecutionProvider")
SERVER = Machine(
    processor="CPU Y",
    cores=8,
    memory_gib=64,
    gpu="Tesla V100-SXM2-16GB",
    driver="440.33.01",
    runtime="onnxruntime-gpu 1.6.0",
    cuda="10.2",
    cudnn="8.0.5",
    provider="CUDAExecutionProvider",
)
#: Local times as a CPU would give them: proportional to the arithmetic, plus a little.
LOCAL = {"iresnet18": 40.0, "iresnet34": 66.0, "iresnet50": 92.0, "iresnet100": 175.0, "iresnet200": 335.0}


@cache
def mfr21() -> Rulebook:
    return load(builtin_folder() / "mfr21.toml")


def rule(track: str = "A", book: Rulebook | None = None) -> Rule:
    return next(found for found in (book or mfr21()).rules_of(track) if found.id == "latency")


@cache
def launch_facts(name: str) -> LaunchFacts:
    """Of a reference from the recorded table, of any other network from its graph."""
    if name in launches():
        return LaunchFacts(groups=launches()[name])
    return facts_of(from_model(build(name), Path()))


def series(ms: float, noise: float = 0.005, name: str = "submission") -> Series:
    samples = ms * (1 + noise * np.random.default_rng(7).gamma(2.0, 1.0, 50))
    return Series(name=name, samples=tuple(samples.tolist()), first=3 * ms, warmup=8 * ms, warmup_runs=5, load=50.0)


def latency_facts(ms: float, mode: Mode = "auto", references: int = 5, **changes: object) -> LatencyFacts:
    names = list(LOCAL)[:references]
    points = tuple(ReferencePoint(name=name, ms=LOCAL[name], spread=0.005, rounds=50) for name in names)
    use = CalibrationUse(source="this run", points=points, made="2026-01-01T00:00:00+00:00") if points else None
    values = {
        "mode": mode,
        "machine": CPU,
        "submission": series(ms),
        "calibration": use,
        "row_difference": 0.0,
    } | changes
    return LatencyFacts(**values)  # type: ignore[arg-type]


def server_facts(ms: float, machine: Machine = SERVER) -> ServerLatencyFacts:
    return ServerLatencyFacts(asked=True, python="3.8.18", machine=machine, submission=series(ms), row_difference=0.0)
