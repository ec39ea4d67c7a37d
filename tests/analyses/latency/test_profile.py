"""The runtime's profile: time by node, and nodes that fell back to the CPU, from recorded events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_facechallenge.analyses.latency.profile import by_operator, left_on_cpu, read, slowest
from pytest_facechallenge.core.facts.latency import LayerTime
from pytest_facechallenge.reports.terminal import render_table
from pytest_facechallenge.reports.view import View


def event(name: str, op: str, microseconds: float, provider: str = "CUDAExecutionProvider") -> dict[str, Any]:
    arguments = {"op_name": op, "provider": provider, "output_type_shape": [{"float": [1, 64, 56, 56]}]}
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": microseconds, "args": arguments}


EVENTS = [
    {"cat": "Session", "name": "model_loading_uri", "dur": 9000, "args": {}},
    event("conv", "Conv", 90000),
    event("conv", "Conv", 400),
    event("conv", "Conv", 420),
    event("conv", "Conv", 410),
    {"cat": "Node", "name": "conv_fence_before", "dur": 70, "args": {"op_name": "Conv"}},
    event("where", "NonZero", 50, "CPUExecutionProvider"),
    event("where", "NonZero", 50, "CPUExecutionProvider"),
]


def test_times_are_medians_without_warm_up_longest_first() -> None:
    layers = read(EVENTS, skip=1)
    assert layers == (
        LayerTime(node="conv", op="Conv", provider="CUDAExecutionProvider", ms=0.41, shape="1x64x56x56"),
        LayerTime(node="where", op="NonZero", provider="CPUExecutionProvider", ms=0.05, shape="1x64x56x56"),
    )


def test_nodes_left_on_the_cpu_are_named_only_in_a_session_of_another_provider() -> None:
    layers = read(EVENTS)
    assert left_on_cpu(layers, "CUDAExecutionProvider") == ("where (NonZero)",)
    assert left_on_cpu(layers, "CPUExecutionProvider") == ()


def shown(layers: Sequence[LayerTime], width: int) -> str:
    return "".join(render_table(table, View(width=width)) for table in (by_operator(layers), slowest(layers)))


def test_the_table_names_operators_and_nodes() -> None:
    layers = read(EVENTS, skip=1)
    text = shown(layers, 80)
    assert "0.46 ms in 2 nodes" in text
    assert "89.1%" in text
    assert "1x64x56x56" in text
    assert "on CPU, CUDA, by operator" in text
    assert text.count("CUDA") == 2


def test_the_table_keeps_its_width_and_all_of_long_names() -> None:
    long = "/layers/" + "layers.10/" * 20 + "PRelu"
    for provider in ("CPUExecutionProvider", "CUDAExecutionProvider"):
        layers = [
            LayerTime(node=long, op="ConvTranspose", provider=provider, ms=1.5, shape="1x512x112x112"),
            LayerTime(node="short", op="Relu", provider="CPUExecutionProvider", ms=0.5, shape="1x2"),
        ]
        text = shown(layers, 80)
        assert max(map(len, text.splitlines())) <= 80
        assert long in "".join(line.split()[0] for line in text.splitlines() if line.split())
        assert text.count("75.0%") == 2
