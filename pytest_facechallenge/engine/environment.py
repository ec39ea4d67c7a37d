"""What a run ran on: versions, machine, and the things that an auditor must know about the run itself."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.engine.report import Environment
from pytest_facechallenge.inference.processor import processor_name


@dataclass(frozen=True)
class Steering:
    """What settings and code of others a run obeyed.

    Attributes
    ----------
    settings
        The ini file, "" when there was none.
    conftests
        conftest.py files that ran in this process.
    warnings
        Sentences about those that lie with a submission.
    """

    settings: str = ""
    conftests: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


UNSTEERED = Steering()

PACKAGES = (
    "pytest-facechallenge",
    "pytest",
    "onnx",
    "onnxruntime-gpu",
    "onnxruntime",
    "numpy",
    "pytest-benchmark",
    "pillow",
)


def versions() -> dict[str, str]:
    """Return the installed version of every package that can change a result."""
    found = {package: _version(package) for package in PACKAGES}
    return {"python": platform.python_version()} | {package: version for package, version in found.items() if version}


@functools.cache
def _version(package: str) -> str:
    """Return the installed version of a package, "" when it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def runtimes_clash() -> str:
    """Return a warning when both onnxruntime packages are installed: they share one folder and break each other."""
    found = versions()
    if "onnxruntime" in found and "onnxruntime-gpu" in found:
        return (
            "both onnxruntime and onnxruntime-gpu are installed; they overwrite each other's files: "
            "python -m pip uninstall -y onnxruntime onnxruntime-gpu, then python -m pip install one of them"
        )
    return ""


def describe(facts: Iterable[Facts], steering: Steering = UNSTEERED) -> Environment:
    """Return what the run ran on; the providers are those that sessions really used, as the facts tell."""
    used = {provider for each in facts for fact in each.gathered.values() for provider in fact.providers_used()}
    return Environment(
        versions=versions(),
        platform=platform.platform(),
        machine=platform.machine(),
        processor=processor_name(),
        cores=os.cpu_count() or 0,
        gpus=tuple(gpus()),
        providers=tuple(sorted(used)),
        conftests=steering.conftests,
        settings=steering.settings,
        warnings=tuple(line for line in (*steering.warnings, runtimes_clash()) if line),
    )


def gpus() -> list[str]:
    """Return "name, driver version, memory" of every NVIDIA GPU; empty when there is none or no driver tells."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.splitlines() if line.strip()]
