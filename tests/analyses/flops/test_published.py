"""Whole networks: the published integers, layer by layer where they are known, and another ONNX counter."""

from __future__ import annotations

import csv
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
import pytest

from pytest_facechallenge.analyses.flops.gather import facts_of
from pytest_facechallenge.core.facts.flops import FlopsFacts
from pytest_facechallenge.onnx_graph.ir import from_model
from pytest_facechallenge.refnets import build

#: FLOPs by the organisers' own counter, multiply-accumulates, parameters.
PUBLISHED = {
    "y2": (933_336_950, 468_825_088, 1_996_288),
    "r100fc": (24_169_929_728, 12_089_606_144, 65_156_160),
    "vargfacenet": (1_022_388_952, 512_355_840, 4_957_512),
    "iresnet18": (5_216_096_256, 2_609_954_816, 24_025_600),
    "iresnet34": (8_914_217_984, 4_459_642_880, 34_139_328),
    "iresnet50": (12_612_791_296, 6_309_330_944, 43_590_848),
}


@lru_cache
def counted(name: str, *, folded: bool) -> FlopsFacts:
    return facts_of(from_model(build(name, fold_batchnorm=folded), Path()))


@pytest.mark.parametrize("name", PUBLISHED)
def test_training_graph(name: str) -> None:
    facts = counted(name, folded=False)
    assert (facts.low, facts.macs, facts.parameters) == PUBLISHED[name]
    assert facts.low == facts.high == facts.literal
    assert (facts.uncounted, facts.problems, facts.assumed) == ((), (), ())


@pytest.mark.parametrize("name", PUBLISHED)
def test_exported_graph(name: str) -> None:
    facts = counted(name, folded=True)
    assert (facts.low, facts.macs) == PUBLISHED[name][:2]
    assert facts.high == facts.literal > facts.low


@pytest.mark.parametrize(("name", "excess"), [("r100fc", 9_282_560), ("iresnet18", 3_813_376)])
def test_folded_biases_cost_what_was_measured(name: str, excess: int) -> None:
    facts = counted(name, folded=True)
    assert facts.high - facts.low == excess


@pytest.mark.parametrize("name", ["y2", "vargfacenet", "iresnet18", "r100fc"])
def test_layers(name: str) -> None:
    table = Path(__file__).parents[2] / "refnets" / "layers.csv"
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["network"] == name]
    published = sorted((int(row["flops"]), int(row["macs"])) for row in rows)
    assert sorted((layer.low, layer.macs) for layer in counted(name, folded=True).layers) == published


@pytest.mark.parametrize("name", ["y2", "vargfacenet", "mobilefacenet-small", "vit-tiny"])
def test_onnx_tool_counts_the_same_products(name: str) -> None:
    """onnx-tool adds one multiply-accumulate per output for a bias; taken off, every layer agrees."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import onnx_tool
    made = build(name, batch=1)
    facts = facts_of(from_model(made, Path()))
    graph = onnx_tool.Model(onnx.ModelProto.FromString(made.SerializeToString()), {"verbose": False}).graph
    graph.shape_infer({made.graph.input[0].name: np.zeros((1, 3, 112, 112), np.float32)})
    graph.profile()
    theirs = {}
    for node in graph.nodemap.values():
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            bias = len(node.input) > 2
            outputs = int(np.prod(graph.tensormap[node.output[0]].get_shape()))
            theirs[node.name] = int(node.macs[0]) - (outputs if bias else 0)
    assert theirs == {layer.node: layer.macs for layer in facts.layers}
