"""Gathers times in the interpreter that has the evaluation server's onnxruntime (``--facechallenge-server-python``)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pytest_facechallenge.analyses.behaviour.gather import normalisation
from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.latency import server_timing
from pytest_facechallenge.analyses.latency.contention import Others, alone
from pytest_facechallenge.analyses.latency.gather import fresh_seed, runnable
from pytest_facechallenge.analyses.latency.input_cycling import IMAGES
from pytest_facechallenge.analyses.latency.machine import host
from pytest_facechallenge.analyses.latency.measure import WARMUP_RUNS
from pytest_facechallenge.analyses.latency.run_options import LatencyOptions, idle_on_the_server
from pytest_facechallenge.analyses.server.options import ServerOptions
from pytest_facechallenge.core.facts.latency import Machine, Series, ServerLatencyFacts
from pytest_facechallenge.inference.images import natural, to_input

#: For opening, warming up and 50 runs in a process that reports no progress: below the sandbox's own default limit.
SECONDS = 110


def gather(context: Context) -> ServerLatencyFacts:
    """Time the submission there; what stands in the way is a fact, not an error."""
    plan = context.options.of(LatencyOptions)
    python = context.options.of(ServerOptions).python
    if idle_on_the_server(context.options):
        return ServerLatencyFacts(asked=False)
    images = context.workdir / "images.npy"
    np.save(images, to_input(natural(IMAGES, fresh_seed()), *normalisation(context)))
    request = {
        "model": str(runnable(context)),
        "images": str(images),
        "device": "cuda" if context.options.device == "auto" else context.options.device,
        "threads": context.options.threads,
        "rounds": plan.rounds,
        "warmup": WARMUP_RUNS,
    }
    with alone(plan.folder, context.report), Others() as others:
        context.report("timing: in the evaluation server's runtime")
        found = run(python, request, context.workdir)
    return msgspec.structs.replace(found, busy=others.share)


def run(python: str, request: dict[str, Any], workdir: Path) -> ServerLatencyFacts:
    """Run `server_timing` under another interpreter.

    Parameters
    ----------
    python
        Path of an interpreter with numpy and onnxruntime, 3.6 or newer.
    request
        See `server_timing`.
    workdir
        For the request's file.
    """
    file = workdir / "server_timing.request.json"
    file.write_bytes(msgspec.json.encode(request))
    try:
        # -I: nothing of this process's environment or folder is imported there.
        done = subprocess.run(
            [python, "-I", server_timing.__file__, str(file)],
            cwd=workdir,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return ServerLatencyFacts(asked=True, problem=f"{python} could not be used: {error}")
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    try:
        found = msgspec.json.decode(lines[-1]) if lines else None
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, dict):
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
        problem = (
            f"{python} ended with exit code {done.returncode} and gave no result; its last words: {said or 'none'}"
        )
        return ServerLatencyFacts(asked=True, problem=problem)
    return facts_of(found, request["threads"])


def facts_of(found: dict[str, Any], threads: int) -> ServerLatencyFacts:
    """Turn what the script printed into facts."""
    names = ("gpu", "driver", "clock", "clock_max", "runtime", "cuda", "cudnn", "provider")
    machine = Machine(**host(), threads=threads, **{name: found[name] for name in names if name in found})
    submission = None
    if found.get("samples"):
        submission = Series(
            name="submission",
            samples=tuple(found["samples"]),
            **{name: found[name] for name in ("first", "warmup", "warmup_runs", "load")},
        )
    return ServerLatencyFacts(
        asked=True,
        problem=str(found.get("problem", "")),
        python=str(found.get("python", "")),
        machine=machine,
        submission=submission,
        row_difference=float(found.get("row_difference", -1.0)),
        on_cpu=tuple(found.get("on_cpu", ())),
    )
