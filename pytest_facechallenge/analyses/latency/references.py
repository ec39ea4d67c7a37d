"""The reference networks: those with a published time that the project builds, and the launches each of them takes."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from pytest_facechallenge.core.facts.latency import LaunchFacts, LaunchGroup, LaunchKind

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


def count_launches(name: str) -> LaunchFacts:
    """Build a reference network and find its launches anew; up to 10 s and 1.5 GB for the largest."""
    from pytest_facechallenge.analyses.latency.launches import facts_of
    from pytest_facechallenge.onnx_graph.ir import from_model
    from pytest_facechallenge.refnets.registry import build

    return facts_of(from_model(build(name), Path()))
