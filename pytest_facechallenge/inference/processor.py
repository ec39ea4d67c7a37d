"""The name of this computer's processor."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path


@cache
def processor_name() -> str:
    """Return the name that the maker gave the processor, "AMD EPYC 7763 64-Core Processor"; "" when nothing tells it.

    Linux says it in a file, on most architectures. Elsewhere py-cpuinfo asks the system's tools, which takes half a
    second; pytest-benchmark brings it along.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return name or _asked() or platform.processor() or platform.machine()


def _asked() -> str:
    try:
        import cpuinfo
    except ImportError:
        return ""
    return str((cpuinfo.get_cpu_info() or {}).get("brand_raw", ""))
