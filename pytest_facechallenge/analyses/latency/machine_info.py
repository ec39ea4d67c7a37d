"""What a time depends on beside the processor, for pytest-benchmark's description of the machine."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module, metadata
from typing import Any

from pytest_facechallenge.analyses.latency.server_timing import nvidia
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.latency import LatencyFacts
from pytest_facechallenge.core.options import OptionValues

PACKAGES = ("onnxruntime-gpu", "onnxruntime", "onnx", "numpy", "pytest-facechallenge")


def machine_info(values: OptionValues, recorded: Iterable[Facts]) -> dict[str, Any]:
    """Return what a time depends on.

    Asked before the tests (to compare with a saved run) and after them (to save); the provider that really ran is only
    known then, before that it is the one that will be tried. What changes by itself (the clock of the moment, the
    libraries that a session loaded) would make every saved run another machine's: it stands beside each test's times.
    """
    gpu = nvidia()
    timed = [facts.get(LatencyFacts) for facts in recorded]
    ran = sorted({facts.machine.provider for facts in timed if facts is not None and facts.machine is not None})
    return {
        "provider": ", ".join(ran) or expected_provider(values.text("device")),
        "gpu": gpu["gpu"],
        "driver": gpu["driver"],
        "clock_max_mhz": gpu["clock_max"],
        "runtime_built_for_cuda": built_for_cuda(),
        "threads": values.number("threads"),
        "versions": dict(_versions()),
    }


def _versions() -> Iterable[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue


def built_for_cuda() -> str:
    """Return the CUDA version that the installed onnxruntime was built for; "" for a build without, or if unsaid."""
    try:
        info = import_module("onnxruntime.capi.build_and_package_info")
    except ImportError:
        return ""
    return str(getattr(info, "cuda_version", "") or "")


def expected_provider(device: str) -> str:
    """Return the execution provider that a session for this device will try first."""
    from pytest_facechallenge.inference.session import DeviceError, wanted_providers

    try:
        return wanted_providers(device)[0]
    except DeviceError as error:
        return str(error)
