"""The reference networks: those with a published time that the project builds, and the launches each of them takes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from pytest_facechallenge.core.facts.latency import LaunchGroup, LaunchKind

#: By growing cost.
NAMES = ("iresnet18", "iresnet34", "iresnet50", "iresnet100", "iresnet200")
#: What the reference networks consist of.
FAMILIAR: frozenset[LaunchKind] = frozenset({"conv", "gemm", "pointwise"})
#: Made by ``python -m pytest_facechallenge.analyses.latency launches``: building the five networks takes half a
#: minute, and their launches never change.
TABLE = Path(__file__).with_name("reference_launches.json")


@cache
def launches() -> dict[str, tuple[LaunchGroup, ...]]:
    """Return the kernel launches of every reference network, by name."""
    return msgspec.json.decode(TABLE.read_bytes(), type=dict[str, tuple[LaunchGroup, ...]])
