"""What a run ran on: versions, machine, and the things that an auditor must know about the run itself."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest

from pytest_facechallenge.core.facts.behaviour import LoadFacts

if TYPE_CHECKING:
    from pytest_facechallenge.engine.session import ChallengeSession

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
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def runtimes_clash() -> str:
    """Return a warning when both onnxruntime packages are installed: they share one folder and break each other."""
    found = versions()
    if "onnxruntime" in found and "onnxruntime-gpu" in found:
        return (
            "both onnxruntime and onnxruntime-gpu are installed; they overwrite each other's files: "
            "pip uninstall both, then install one"
        )
    return ""


def loaded_conftests(config: pytest.Config) -> list[str]:
    """Return the conftest.py files that run in this process: code that could change what tests report."""
    found = []
    for name, plugin in config.pluginmanager.list_name_plugin():
        if plugin is not None and name.endswith("conftest.py"):
            found.append(name)
    return sorted(found)


def describe(config: pytest.Config, session: ChallengeSession) -> dict[str, Any]:
    """Return the environment as plain data for the JSON report; providers are those that sessions really used."""
    loads = [facts.get(LoadFacts) for _name, facts in session.recorded_facts()]
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "gpus": gpus(),
        "providers": sorted({provider for load in loads if load is not None for provider in load.providers}),
        "conftests": loaded_conftests(config),
        "warnings": [line for line in [runtimes_clash()] if line],
    }


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


def _processor() -> str:
    if sys.platform == "linux":
        try:
            with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123  # not a user's file
                for line in file:
                    if line.startswith("model name"):
                        return line.partition(":")[2].strip()
        except OSError:
            pass
    return platform.processor()


def header_lines(config: pytest.Config, session: ChallengeSession) -> list[str]:
    """Return the lines that pytest prints before the tests."""
    books = {ref.book: session.books[ref.book] for ref in session.tracks}
    tracks = ", ".join(f"{ref.full} (rulebook version {books[ref.book].version})" for ref in session.tracks)
    found = versions()
    runtime = next((f"{name} {found[name]}" for name in ("onnxruntime-gpu", "onnxruntime") if name in found), "none")
    lines = [f"facechallenge: {len(session.sources)} submission(s) on {tracks}; runtime {runtime}"]
    conftests = loaded_conftests(config)
    if conftests:
        lines.append(
            f"facechallenge: code that can change results is loaded: {', '.join(conftests)} "
            "(an audit uses --noconftest)"
        )
    clash = runtimes_clash()
    if clash:
        lines.append(f"facechallenge: warning: {clash}")
    return lines
