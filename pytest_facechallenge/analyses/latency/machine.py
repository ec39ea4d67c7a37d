"""What a time was taken on: the host, the GPU, the runtime and its libraries."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from pytest_facechallenge.analyses.latency.server_timing import libraries, nvidia, runtime_name
from pytest_facechallenge.core.facts.latency import Machine
from pytest_facechallenge.core.run_options import AnalysisOptions
from pytest_facechallenge.inference.processor import processor_name

#: Which fields make two machines the same for a calibration, and how a message names them.
IDENTITY = {
    "processor": "processor",
    "cores": "cores",
    "memory_gib": "memory (GiB)",
    "gpu": "GPU",
    "driver": "driver",
    "runtime": "runtime",
    "provider": "execution provider",
    "threads": "threads",
}


@cache
def host() -> dict[str, Any]:
    """Return processor, usable cores and memory of this computer."""
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 0
    memory = round(psutil.virtual_memory().total / 2**30)
    return {"processor": processor_name(), "cores": usable, "memory_gib": memory}


def describe(provider: str, threads: int) -> Machine:
    """Describe this process's machine after a session was opened on ``provider``: libraries load with the session."""
    import onnxruntime

    on_gpu = provider not in ("", "CPUExecutionProvider")
    gpu: dict[str, Any] = nvidia() if on_gpu else {}
    loaded: dict[str, Any] = libraries() if on_gpu else {}
    return Machine(
        **host(), **gpu, **loaded, runtime=runtime_name(onnxruntime.__version__), provider=provider, threads=threads
    )


def differences(here: Machine, there: Machine) -> list[str]:
    """Return in words how two machines differ in what decides about times; empty when they do not."""
    return [
        f"{words} {getattr(there, field) or 'none'!s} (here {getattr(here, field) or 'none'!s})"
        for field, words in IDENTITY.items()
        if getattr(here, field) != getattr(there, field)
    ]


def depends(_source: Path, _options: AnalysisOptions | None) -> list[str]:
    """Return what times depend on: this computer and its GPU."""
    return [_this_machine()]


@cache
def _this_machine() -> str:
    gpu = nvidia()
    return f"{platform.node()} {host()} {gpu['gpu']} {gpu['driver']}"
