"""Facts of the steps ``launches``, ``latency`` and ``server_latency``: what was timed, and what a GPU has to do."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts

#: Kinds of kernel launches. "conv", "gemm" and "pointwise" make up the reference networks; for the others nobody
#: published a time.
LaunchKind = Literal["conv", "gemm", "pointwise", "depthwise", "matmul", "reduction", "movement", "other"]

#: What ``--facechallenge-latency`` may be.
Mode = Literal["auto", "measured", "scaled", "modelled"]


class LaunchGroup(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Equal kernel launches; stored as a plain list, in this order.

    Attributes
    ----------
    kind
        See `LaunchKind`.
    flops
        Operations of one launch (two per multiply-accumulate).
    bytes
        Bytes that one launch must read and write at least.
    count
        How many of them one image takes.
    outputs
        Values that one launch of a "conv" computes: a GPU computes them side by side, and few of them leave most of it
        idle. 0: not counted.
    """

    kind: LaunchKind
    flops: int
    bytes: int
    count: int
    outputs: int = 0


class LaunchFacts(StepFacts, frozen=True, kw_only=True):
    """What the graph asks of a GPU for one image.

    Attributes
    ----------
    groups
        All kernel launches, equal ones together.
    problems
        Why launches may be missing, in sentences; a modelled time is then a lower bound.
    varying
        Nodes that do more or less work depending on what is in the image, "gate (If)"; a time taken with some
        images then says nothing about others.
    """

    step: ClassVar[str] = "launches"

    groups: tuple[LaunchGroup, ...]
    problems: tuple[str, ...] = ()
    varying: tuple[str, ...] = ()


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Times of one network on single images, in milliseconds, input and output copies included.

    Attributes
    ----------
    name
        "submission", or the reference network.
    samples
        In the order in which they were taken; warm-up excluded.
    work
        For each sample the processor time of all threads, where the CPU did the work; else empty. Other programs on the
        machine make a run longer, but add little to its processor time.
    first
        The first run of the session, which pays for algorithm search and allocations.
    warmup, warmup_runs
        Time and number of all runs before the samples, the first one included.
    load
        Opening the session.
    """

    name: str
    samples: tuple[float, ...]
    work: tuple[float, ...] = ()
    first: float = 0.0
    warmup: float = 0.0
    warmup_runs: int = 0
    load: float = 0.0


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where times were taken: everything that makes two machines differ, as far as it can be read.

    Attributes
    ----------
    processor, cores, memory_gib
        Of the host.
    gpu, driver, clock, clock_max
        Name, driver version, and current and highest SM clock (MHz) of the first NVIDIA GPU; "" and 0 without one.
    runtime
        "onnxruntime-gpu 1.31.0".
    cuda, cudnn
        Versions of the libraries that the process had loaded; "" when it had loaded none.
    provider
        The execution provider that the session really used first.
    threads
        Asked for; 0: the runtime's choice.
    """

    processor: str
    cores: int
    memory_gib: int
    gpu: str = ""
    driver: str = ""
    clock: int = 0
    clock_max: int = 0
    runtime: str = ""
    cuda: str = ""
    cudnn: str = ""
    provider: str = ""
    threads: int = 0


class ReferencePoint(msgspec.Struct, frozen=True, kw_only=True):
    """Local time of a reference network.

    Attributes
    ----------
    name
        "iresnet50".
    ms
        Judged statistic, milliseconds; of the processor time where the CPU did the work.
    spread
        Relative standard error of it.
    rounds
        How many samples it rests on.
    """

    name: str
    ms: float
    spread: float
    rounds: int


class CalibrationUse(msgspec.Struct, frozen=True, kw_only=True):
    """Which local times of the reference networks stand beside the submission's.

    Attributes
    ----------
    source
        "this run", or the file they were read from.
    points
        By growing time.
    made
        Date, UTC.
    checked, drift
        For a stored one: the reference that was timed again, and its time now over its time then, minus 1.
    """

    source: str
    points: tuple[ReferencePoint, ...]
    made: str = ""
    checked: str = ""
    drift: float = 0.0


class LayerTime(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where the time goes: one node of the optimised graph; stored as a plain list, in this order.

    Attributes
    ----------
    node, op, provider
        As the runtime names them after its optimisations.
    ms
        Median over the profiled runs, milliseconds.
    shape
        Of the first output, "1x64x56x56".
    """

    node: str
    op: str
    provider: str
    ms: float
    shape: str = ""


class LatencyFacts(StepFacts, frozen=True, kw_only=True):
    """What was timed on this machine.

    Attributes
    ----------
    mode
        What was asked for.
    asked_device
        As given to ``--facechallenge-device``.
    machine
        None when nothing was timed.
    submission
        None when nothing was timed.
    references
        Series of the reference networks that were timed in this run, interleaved with the submission.
    calibration
        None when there are no reference times.
    busy
        Share (0..1) of the host's processors that other programs used while times were taken.
    parallel
        How many pytest-xdist workers ran at the same time, 0 without.
    images, seed
        How many different images took turns, and the seed that `runtime.images.natural` made them from: a new one
        in every run, so that a network cannot know them.
    row_difference
        How far the embeddings of the timed runs are from those of the same images in one batch, see
        `latency.input_cycling.row_difference`; -1 when they could not be compared.
    on_cpu
        Nodes that ran on the CPU inside a session of another provider.
    profile
        Time by node, longest first; empty unless asked for.
    remarks
        What else should be known, in sentences (a refused calibration, references left out).
    """

    step: ClassVar[str] = "latency"

    mode: Mode
    asked_device: str = "auto"
    machine: Machine | None = None
    submission: Series | None = None
    references: tuple[Series, ...] = ()
    calibration: CalibrationUse | None = None
    busy: float = 0.0
    parallel: int = 0
    images: int = 0
    seed: int = 0
    row_difference: float = -1.0
    on_cpu: tuple[str, ...] = ()
    profile: tuple[LayerTime, ...] = ()
    remarks: tuple[str, ...] = ()


class ServerLatencyFacts(StepFacts, frozen=True, kw_only=True):
    """What was timed in the interpreter that has the evaluation server's onnxruntime.

    Attributes
    ----------
    asked
        Whether such an interpreter was named.
    problem
        Why nothing could be timed there; "" when something was.
    python
        Its version.
    busy, row_difference, on_cpu
        As in `LatencyFacts`.
    """

    step: ClassVar[str] = "server_latency"

    asked: bool
    problem: str = ""
    python: str = ""
    machine: Machine | None = None
    submission: Series | None = None
    busy: float = 0.0
    row_difference: float = -1.0
    on_cpu: tuple[str, ...] = ()
