"""Gathers times on this machine: of the submission, and of the reference networks beside it. Runs in the sandbox."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_facechallenge.analyses.behaviour.gather import normalisation
from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.latency import profile as profiling
from pytest_facechallenge.analyses.latency.bench import Bench
from pytest_facechallenge.analyses.latency.contention import Others, alone
from pytest_facechallenge.analyses.latency.input_cycling import IMAGES, Images
from pytest_facechallenge.analyses.latency.machine import describe
from pytest_facechallenge.analyses.latency.reference_times import reference_times
from pytest_facechallenge.analyses.latency.run_options import LatencyOptions, idle
from pytest_facechallenge.core.facts.behaviour import LoadFacts
from pytest_facechallenge.core.facts.latency import CalibrationUse, LatencyFacts, LayerTime
from pytest_facechallenge.inference.device import has_driver, reasons
from pytest_facechallenge.inference.images import natural, to_input
from pytest_facechallenge.inference.session import Session

#: Runs of the profiled session, and how many of them are warm-up.
PROFILED_RUNS, PROFILED_WARMUP = 12, 2


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
        with Others() as others:
            submission, session = bench.open("submission", path)
            submission.warm_up()
        machine = describe(session.providers[0], context.options.threads)
        bench.remarks += unused_gpu(context.options.device, machine.provider)
        used: CalibrationUse | None = None
        if plan.references:
            used = reference_times(bench, submission, machine, others.share)
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
