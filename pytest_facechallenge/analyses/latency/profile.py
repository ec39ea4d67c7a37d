"""Where the time goes: the runtime's own profile, per node of the optimised graph, and which nodes ran where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from pytest_facechallenge.analyses.latency.run_options import LatencyOptions
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.latency import LatencyFacts, LayerTime
from pytest_facechallenge.core.tables import NamedTable

#: The heading of the tables.
SECTION = "face challenge profile"
#: In the names of the events that time a node's kernel.
KERNEL = "_kernel_time"


def read(events: Sequence[Mapping[str, Any]], skip: int = 0) -> tuple[LayerTime, ...]:
    """Turn onnxruntime's profile into times per node, longest first.

    Parameters
    ----------
    events
        The parsed JSON file: Chrome trace events, times in microseconds.
    skip
        How many runs of each node to leave out (warm-up).

    Returns
    -------
    tuple of LayerTime
        The median over the remaining runs. Events that are no nodes are left out.
    """
    times: dict[tuple[str, str, str], list[float]] = {}
    shapes: dict[tuple[str, str, str], str] = {}
    for event in events:
        name, arguments = str(event.get("name", "")), event.get("args", {})
        if event.get("cat") != "Node" or not name.endswith(KERNEL):
            continue
        key = (name.removesuffix(KERNEL), str(arguments.get("op_name", "")), str(arguments.get("provider", "")))
        times.setdefault(key, []).append(float(event.get("dur", 0)) / 1000)
        shapes.setdefault(key, _first_shape(arguments.get("output_type_shape", [])))
    layers = [
        LayerTime(node=key[0], op=key[1], provider=key[2], ms=float(np.median(runs[skip:] or runs)), shape=shapes[key])
        for key, runs in times.items()
    ]
    return tuple(sorted(layers, key=lambda layer: -layer.ms))


def _first_shape(outputs: Any) -> str:
    """Read [{"float": [1, 64, 56, 56]}, …]."""
    for output in outputs if isinstance(outputs, list) else []:
        for extents in output.values() if isinstance(output, dict) else []:
            return "x".join(str(extent) for extent in extents)
    return ""


def left_on_cpu(layers: Sequence[LayerTime], provider: str) -> tuple[str, ...]:
    """Return the nodes that ran on the CPU although the session's provider is another, in words."""
    if provider == "CPUExecutionProvider":
        return ()
    return tuple(f"{layer.node} ({layer.op})" for layer in layers if layer.provider == "CPUExecutionProvider")


def parse(data: bytes, skip: int = 0) -> tuple[LayerTime, ...]:
    """Read the file that onnxruntime wrote."""
    return read(msgspec.json.decode(data), skip)


def asked_for(facts: Facts, options: LatencyOptions) -> list[NamedTable]:
    """Return the profile as tables where the user asked for it: by operator, then the slowest nodes."""
    found = facts.get(LatencyFacts)
    if not options.profile or found is None or not found.profile:
        return []
    return [by_operator(found.profile), slowest(found.profile)]


def by_operator(layers: Sequence[LayerTime]) -> NamedTable:
    """Return the time in ms that each kind of operator takes, and its share."""
    total = sum(layer.ms for layer in layers) or 1.0
    operators: dict[str, list[float]] = {}
    for layer in layers:
        operators.setdefault(layer.op, []).append(layer.ms)
    ran = ", ".join(sorted({_short(layer.provider) for layer in layers}))
    return NamedTable(
        section=SECTION,
        title=f"{total:.2f} ms in {len(layers)} nodes on {ran}, by operator",
        headings=("operator", "nodes", "ms", "share"),
        rows=tuple(
            (op, str(len(times)), f"{sum(times):.3f}", f"{sum(times) / total:.1%}")
            for op, times in sorted(operators.items(), key=lambda item: -sum(item[1]))
        ),
    )


def slowest(layers: Sequence[LayerTime], most: int = 20) -> NamedTable:
    """Return the ``most`` slowest nodes, with their times in ms."""
    total = sum(layer.ms for layer in layers) or 1.0
    several = ("provider",) if len({layer.provider for layer in layers}) > 1 else ()
    rows = []
    for layer in layers[:most]:
        where = (_short(layer.provider),) if several else ()
        rows.append((layer.node, layer.op, layer.shape, *where, f"{layer.ms:.3f}", f"{layer.ms / total:.1%}"))
    return NamedTable(
        section=SECTION,
        title="the slowest nodes",
        headings=("node", "operator", "output", *several, "ms", "share"),
        rows=tuple(rows),
        numbers_from=3 + len(several),
    )


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider")
