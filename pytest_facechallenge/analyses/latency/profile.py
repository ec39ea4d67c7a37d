"""Where the time goes: the runtime's own profile, per node of the optimised graph, and which nodes ran where."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from pytest_facechallenge.core.facts.latency import LatencyFacts, LayerTime

if TYPE_CHECKING:
    from rich.console import JustifyMethod

    from pytest_facechallenge.engine.session import ChallengeSession

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


def table(name: str, layers: Sequence[LayerTime], width: int = 80, most: int = 20) -> str:
    """Return the profile as text of at most ``width`` columns: by operator, then the ``most`` slowest nodes."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    total = sum(layer.ms for layer in layers) or 1.0
    console = Console(file=io.StringIO(), width=width, highlight=False, color_system=None)

    def new(*columns: str) -> Table:
        made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column in columns:
            justify: JustifyMethod = "right" if column in ("ms", "share", "nodes") else "left"
            made.add_column(column, justify=justify, overflow="fold", no_wrap=column not in ("node", "operator"))
        return made

    operators: dict[str, list[float]] = {}
    for layer in layers:
        operators.setdefault(layer.op, []).append(layer.ms)
    by_operator = new("operator", "nodes", "ms", "share")
    for op, times in sorted(operators.items(), key=lambda item: -sum(item[1])):
        by_operator.add_row(op, str(len(times)), f"{sum(times):.3f}", f"{sum(times) / total:.1%}")
    providers = {layer.provider for layer in layers}
    several = ("provider",) if len(providers) > 1 else ()
    shown = layers[:most]
    slowest = new("node", "operator", "output", *several, "ms", "share")
    for layer in shown:
        where = (_short(layer.provider),) if several else ()
        slowest.add_row(layer.node, layer.op, layer.shape, *where, f"{layer.ms:.3f}", f"{layer.ms / total:.1%}")
    ran = ", ".join(sorted(_short(provider) for provider in providers))
    console.print(f"{name}: {total:.2f} ms in {len(layers)} nodes on {ran}, by operator", soft_wrap=True)
    console.print(by_operator)
    console.print(f"\n{name}: the slowest nodes", soft_wrap=True)
    console.print(slowest)
    assert isinstance(console.file, io.StringIO)  # noqa: S101  # the one made above
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def _short(provider: str) -> str:
    return provider.removesuffix("ExecutionProvider")


def tables(session: ChallengeSession, width: int = 80) -> Iterator[str]:
    """Yield the profile of every submission that has one, as text of at most ``width`` columns."""
    for source in session.submissions:
        facts = session.store.recorded(source).get(LatencyFacts)
        if facts is not None and facts.profile:
            yield table(source.name, facts.profile, width)
