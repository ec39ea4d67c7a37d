"""The sessions that are timed together: the submission, and reference networks that are built when they are wanted."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.latency.input_cycling import Images, InputCycle
from pytest_facechallenge.analyses.latency.measure import Runner, processor_time_ns, rounds_within
from pytest_facechallenge.analyses.latency.run_options import (
    LEAST_ROUNDS,
    MEMORY_FACTOR,
    REFERENCE_SECONDS,
    LatencyOptions,
)
from pytest_facechallenge.analyses.latency.windows import measure
from pytest_facechallenge.inference.session import Session
from pytest_facechallenge.refnets.registry import save

#: Runs of a reference network before its samples: the first allocates, the second finds everything in place.
REFERENCE_WARMUP_RUNS = 3
#: Weights that are drawn of each layer and then repeated; a prime, so that no two filters are the same.
DRAWN = 65_521
#: Sizes of the reference networks' files: four bytes a weight.
FILE_BYTES = {
    "iresnet18": 96_000_000,
    "iresnet34": 137_000_000,
    "iresnet50": 175_000_000,
    "iresnet100": 261_000_000,
    "iresnet200": 500_000_000,
}


class Bench:
    """The sessions that are timed together.

    Attributes
    ----------
    timed
        Reference networks that have samples of the latest measurement.
    busy
        Of the latest measurement, see `LatencyFacts.busy`.
    cycles
        What runs each network on the images, by name.
    remarks
        See `LatencyFacts.remarks`.
    """

    def __init__(self, context: Context, plan: LatencyOptions, images: Images) -> None:
        self.context = context
        self.plan = plan
        self.images = images
        self.timed: list[Runner] = []
        self.busy = 0.0
        self.cycles: dict[str, InputCycle] = {}
        self.remarks: list[str] = []
        self._references: dict[str, Runner] = {}

    def open(self, name: str, path: Path) -> tuple[Runner, Session]:
        """Load a model for timing; its session lives as long as the runner."""
        start = time.perf_counter()
        session = Session(path, self.context.options.device, self.context.options.threads)
        load = (time.perf_counter() - start) * 1000
        if len(session.inputs) != 1:
            raise RuntimeError(f"the model has {len(session.inputs)} inputs; one is expected, so it was not timed")
        self.cycles[name] = InputCycle(session, self.images)
        on_cpu = session.providers[0] == "CPUExecutionProvider" and processor_time_ns() > 0
        return Runner(name, self.cycles[name], load=load, on_cpu=on_cpu), session

    def reference(self, name: str) -> Runner | None:
        """Build and open a reference network, warmed up, each once; None, with a remark, where memory is short."""
        if name in self._references:
            return self._references[name]
        free = psutil.virtual_memory().available
        if free < MEMORY_FACTOR * FILE_BYTES[name]:
            self.remarks.append(f"{name} and larger references were left out: {free >> 20} MiB of memory are free.")
            return None
        self.context.report(f"timing: building the reference network {name}")
        path = self.context.workdir / f"{name}.onnx"
        save(name, path, drawn=DRAWN)
        try:
            runner, _session = self.open(name, path)
        finally:
            path.unlink()
        self.context.report(f"timing: warming up {name}")
        runner.warm_up(REFERENCE_WARMUP_RUNS)
        self._references[name] = runner
        return runner

    def take(self, submission: Runner, references: list[Runner]) -> None:
        """Time the submission and references beside each other; earlier samples are dropped."""
        self.timed = references
        seconds = REFERENCE_SECONDS.get(self.plan.mode, 0.0) / max(1, len(references))
        most = self.plan.rounds
        rounds = [(submission, most)]
        rounds += [(one, rounds_within(seconds, min(one.warm).wall, LEAST_ROUNDS, most)) for one in references]
        found = measure(rounds, lambda line: self.context.report(f"timing: {line}"))
        self.busy = found.busy
        if found.remark:
            self.remarks.append(found.remark)
