"""Gathers times on this machine: of the submission, and of the reference networks beside it. Runs in the sandbox."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import psutil

from pytest_facechallenge.analyses.behaviour.gather import normalisation
from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.latency import calibration as store
from pytest_facechallenge.analyses.latency import profile as profiling
from pytest_facechallenge.analyses.latency.contention import Others, alone
from pytest_facechallenge.analyses.latency.coverage import covers, enough
from pytest_facechallenge.analyses.latency.input_cycling import IMAGES, Images, InputCycle
from pytest_facechallenge.analyses.latency.machine import describe
from pytest_facechallenge.analyses.latency.measure import Runner, interleave, processor_time_ns, rounds_within
from pytest_facechallenge.analyses.latency.run_options import (
    LEAST_ROUNDS,
    MEMORY_FACTOR,
    REFERENCE_SECONDS,
    LatencyOptions,
    idle,
)
from pytest_facechallenge.core.facts.behaviour import LoadFacts
from pytest_facechallenge.core.facts.latency import CalibrationUse, LatencyFacts, LayerTime, Machine, ReferencePoint
from pytest_facechallenge.inference.device import has_driver, reasons
from pytest_facechallenge.inference.images import natural, to_input
from pytest_facechallenge.inference.session import Session
from pytest_facechallenge.latency_estimate.references import NAMES
from pytest_facechallenge.latency_estimate.statistics import judged, spread
from pytest_facechallenge.refnets.registry import save

#: Runs of the profiled session, and how many of them are warm-up.
PROFILED_RUNS, PROFILED_WARMUP = 12, 2
#: Reference times that are less certain than this (relative) are used, but not kept for later runs.
SPREAD_LIMIT = store.DRIFT_LIMIT


def gather(context: Context) -> LatencyFacts:
    """Time the submission and, where the plan wants it, reference networks interleaved with it.

    Raises
    ------
    RuntimeError
        The model does not load or takes more than one input.
    DeviceError
        The device that was asked for is not used.
    """
    plan = context.options.of(LatencyOptions)
    if idle(context.options):
        return LatencyFacts(mode=plan.mode, asked_device=context.options.device)
    path = runnable(context)
    seed = fresh_seed()
    images = to_input(natural(IMAGES, seed), *normalisation(context))
    bench = Bench(context, plan, images)
    with alone(plan.folder, context.report):
        context.report("timing: loading the model")
        submission, session = bench.open("submission", path)
        submission.warm_up()
        machine = describe(session.providers[0], context.options.threads)
        bench.remarks += unused_gpu(context.options.device, machine.provider)
        used: CalibrationUse | None = None
        if plan.references:
            used = bench.stored(submission, machine) or bench.fresh(submission, machine)
        else:
            bench.take(submission, [])
        machine = describe(session.providers[0], context.options.threads)  # again: now the clock is that of the work
        layers: tuple[LayerTime, ...] = ()
        if plan.profile or session.providers[0] != "CPUExecutionProvider":
            layers = profiled(context, path, images[:1])
    return LatencyFacts(
        mode=plan.mode,
        asked_device=context.options.device,
        machine=machine,
        submission=submission.series(),
        references=tuple(runner.series() for runner in bench.timed),
        calibration=used,
        busy=bench.busy,
        parallel=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")),
        images=len(images),
        seed=seed,
        row_difference=bench.cycles["submission"].difference(),
        on_cpu=profiling.left_on_cpu(layers, session.providers[0]),
        profile=layers if plan.profile else (),
        remarks=tuple(bench.remarks),
    )


def unused_gpu(asked: str, provider: str) -> list[str]:
    """Return a remark where the choice was left to this tool and a GPU that seems to be there is not used."""
    if asked != "auto" or provider != "CPUExecutionProvider" or not has_driver():
        return []
    why = "; ".join(reasons("CUDAExecutionProvider")) or "the reason could not be found"
    return [f"There is an NVIDIA driver, but the times are the CPU's: {why}."]


def fresh_seed() -> int:
    """Return the seed of images that no network can have been prepared for; it stands in the facts."""
    return int.from_bytes(os.urandom(4), "big")


def runnable(context: Context) -> Path:
    """Return the file to time: the submission's own, or a copy with the batch axis that the server gives it."""
    load = context.facts.need(LoadFacts)
    if load.error:
        raise RuntimeError(f"the model does not load: {load.error}")
    return context.runnable_path


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

    def reference(self, name: str) -> Runner:
        """Build and open a reference network, warmed up; each once."""
        if name not in self._references:
            self.context.report(f"timing: building the reference network {name}")
            path = self.context.workdir / f"{name}.onnx"
            save(name, path)
            try:
                runner, _session = self.open(name, path)
            finally:
                path.unlink()
            self.context.report(f"timing: warming up {name}")
            runner.warm_up()
            self._references[name] = runner
        return self._references[name]

    def take(self, submission: Runner, references: list[Runner]) -> None:
        """Time the submission and references, interleaved; earlier samples are dropped."""
        self.timed = references
        seconds = REFERENCE_SECONDS.get(self.plan.mode, 0.0) / max(1, len(references))
        most = self.plan.rounds
        rounds = [(submission, most)]
        rounds += [(one, rounds_within(seconds, min(one.warm).wall, LEAST_ROUNDS, most)) for one in references]
        for runner, _count in rounds:
            runner.samples = []
        with Others() as others:
            interleave(rounds, lambda line: self.context.report(f"timing: {line}"))
        self.busy = others.share

    def stored(self, submission: Runner, machine: Machine) -> CalibrationUse | None:
        """Measure beside one reference of a stored calibration; None when there is none that still holds."""
        path = Path(self.plan.calibration) if self.plan.calibration else store.path_for(Path(self.plan.folder), machine)
        if not path.exists():
            return None
        try:
            kept = store.usable(path, machine)
        except store.CalibrationError as error:
            self.remarks.append(f"Not used: {error}; the references were timed again{_left_alone(self.plan)}.")
            return None
        if not covers(kept, submission.rough, self.plan.mode):
            self.remarks.append(
                f"The stored calibration {path} has too few references for this model; they were timed again"
                f"{_left_alone(self.plan)}."
            )
            return None
        nearest = kept.nearest(submission.rough)
        runner = self.reference(nearest.name)
        self.take(submission, [runner])
        now = judged(runner.comparable(runner.samples))
        drift = now / nearest.ms - 1
        if abs(drift) > store.DRIFT_LIMIT:
            self.remarks.append(
                f"The stored calibration {path} no longer holds: {nearest.name} takes {now:.3g} ms, "
                f"{drift:+.0%} against {nearest.ms:.3g} ms on {kept.made}; the references were timed again"
                f"{_left_alone(self.plan)}."
            )
            return None
        return CalibrationUse(source=str(path), points=kept.points, made=kept.made, checked=nearest.name, drift=drift)

    def fresh(self, submission: Runner, machine: Machine) -> CalibrationUse | None:
        """Time the references and the submission together, and keep the references' times."""
        references: list[Runner] = []
        while not enough([runner.rough for runner in references], submission.rough, self.plan.mode):
            name = NAMES[len(references)]
            free = psutil.virtual_memory().available
            if free < MEMORY_FACTOR * FILE_BYTES[name]:
                self.remarks.append(f"{name} and larger references were left out: {free >> 20} MiB of memory are free.")
                break
            references.append(self.reference(name))
        self.take(submission, references)
        points = tuple(
            ReferencePoint(
                name=runner.name,
                ms=judged(times),
                spread=spread(np.asarray(times)),
                rounds=len(times),
            )
            for runner in references
            if (times := runner.comparable(runner.samples))
        )
        made = store.Calibration.of(machine, points)
        self._keep(made, machine)
        return CalibrationUse(source="this run", points=made.points, made=made.made) if points else None

    def _keep(self, made: store.Calibration, machine: Machine) -> None:
        path = Path(self.plan.calibration) if self.plan.calibration else store.path_for(Path(self.plan.folder), machine)
        worst = max(made.points, key=lambda point: point.spread, default=None)
        if worst is None or worst.spread > SPREAD_LIMIT:
            why = f"{worst.name} is only known to +- {worst.spread:.0%}" if worst else "there are none"
            self.remarks.append(f"The reference times were not stored for later runs: {why}.")
            return
        if self.plan.calibration and path.exists():
            return  # refused above, and the user's: not ours to overwrite
        try:
            store.write(path, made)
        except store.CalibrationError as error:
            self.remarks.append(f"Not stored: {error}.")


def _left_alone(plan: LatencyOptions) -> str:
    """Return the end of a remark: a file that the user named is not overwritten."""
    return ", and the file was left as it is (delete it to have it written anew)" if plan.calibration else ""


#: Sizes of the reference networks' files: four bytes a weight.
FILE_BYTES = {
    "iresnet18": 96_000_000,
    "iresnet34": 137_000_000,
    "iresnet50": 175_000_000,
    "iresnet100": 261_000_000,
    "iresnet200": 500_000_000,
}


def profiled(context: Context, path: Path, image: Images) -> tuple[LayerTime, ...]:
    """Run the model in a session of its own that writes a profile, and read it."""
    context.report("profiling: time by node")
    prefix = context.workdir / "profile"
    session = Session(path, context.options.device, context.options.threads, profile=prefix)
    for _ in range(PROFILED_RUNS):
        session.run(image)
    written = Path(session.ort_session.end_profiling())
    try:
        return profiling.parse(written.read_bytes(), PROFILED_WARMUP)
    finally:
        written.unlink(missing_ok=True)
