"""The outline: which node feeds which, through subgraphs, with its ends, and with a cap."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pytest_facechallenge.analyses.outline import gather as outline
from pytest_facechallenge.analyses.outline.gather import outline_of
from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.facts.outline import OutlineFacts
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.onnx_graph.ir import from_model
from pytest_facechallenge.sandbox.fact_store import FactStore
from pytest_facechallenge.sandbox.process import Limits
from tests.support.models import network, save


def read(model: onnx.ModelProto) -> dict[str, tuple[str, list[str]]]:
    """The operator of each node and the names of what it reads from."""
    nodes = outline_of(from_model(model, Path())).nodes
    return {f"{each.op} {each.name}": (each.op, [nodes[place].name for place in each.sources]) for each in nodes}


def test_a_chain_from_the_input_to_the_output() -> None:
    found = read(network())
    assert list(found)[:3] == ["input input", "Conv conv0", "Relu relu0"]
    assert found["Conv conv1"] == ("Conv", ["relu0"])
    assert found["output embedding"] == ("output", ["head"])


def test_a_sum_reads_from_both_sides_and_not_from_constants() -> None:
    tail = [
        helper.make_node("Neg", ["embedding"], ["minus"], "negate"),
        helper.make_node("Add", ["embedding", "minus"], ["sum"], "join"),
        helper.make_node("Mul", ["sum", "two"], ["row"], "double"),
    ]
    found = read(network(tail=tail, constants={"two": np.full(64, 2, np.float32)}, output="row"))
    assert found["Add join"][1] == ["head", "negate"]
    assert found["Mul double"][1] == ["join"]


def test_a_body_reads_from_around_it_and_from_the_node_that_holds_it() -> None:
    flag = numpy_helper.from_array(np.array(True), "flag")
    branches = {
        name: helper.make_graph(
            [helper.make_node(op, ["embedding"], [f"{name}_out"], f"inner_{op}")], name, [],
            [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)],
        )
        for name, op in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }  # fmt: skip
    holder = helper.make_node("If", ["flag"], ["row"], "choose", **branches)
    model = network(tail=[holder], output="row")
    model.graph.initializer.append(flag)
    found = read(model)
    assert found["If choose"][1] == ["head"]
    inner = next(value for name, value in found.items() if name.endswith("inner_Neg"))
    assert inner == ("Neg", ["head"])
    assert found["output row"][1] == ["choose"]


def test_every_source_stands_before_its_reader() -> None:
    nodes = outline_of(from_model(network(), Path())).nodes
    assert all(source < place for place, node in enumerate(nodes) for source in node.sources)


@pytest.mark.parametrize("cap", ["MOST_NODES", "MOST_CHARACTERS"])
def test_a_large_network_is_counted_only(monkeypatch: pytest.MonkeyPatch, cap: str) -> None:
    whole = len(outline_of(from_model(network(), Path())).nodes)
    monkeypatch.setattr(outline, cap, 11)
    assert outline_of(from_model(network(), Path())) == OutlineFacts(left_out=whole)


def test_it_takes_few_bytes() -> None:
    facts = outline_of(from_model(network(), Path()))
    assert len(msgspec.json.encode(facts)) < 60 * len(facts.nodes)


def store(folder: Path) -> FactStore:
    return FactStore(folder, RunOptions(threads=1, device="cpu"), Limits(idle_seconds=60.0, memory_bytes=4 << 30))


def test_it_comes_along_where_the_graph_is_read_and_is_no_failure_where_it_cannot(tmp_path: Path) -> None:
    assert [step.name for step in STEPS.values() if step.for_views] == ["outline"]
    save(network(), tmp_path / "model.onnx")
    assert "outline" in store(tmp_path / "good").facts(tmp_path / "model.onnx", ["interface"]).gathered
    (tmp_path / "none.onnx").write_bytes(b"\x08\x07none")
    bad = store(tmp_path / "bad").facts(tmp_path / "none.onnx", ["interface"])
    assert "interface" in bad.failures
    assert "outline" not in {**bad.failures, **bad.gathered}
