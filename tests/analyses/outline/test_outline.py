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
from pytest_facechallenge.engine.gatherer import Gatherer
from pytest_facechallenge.engine.options import values_from
from pytest_facechallenge.engine.plan import JudgedRule, make_plan
from pytest_facechallenge.onnx_graph.ir import from_model
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


@pytest.mark.parametrize(("rule", "there"), [("input", True), ("organization", False)])
def test_it_comes_along_where_the_graph_is_read_anyway(tmp_path: Path, rule: str, there: bool) -> None:
    assert [step.name for step in STEPS.values() if step.for_views] == ["outline"]
    save(network(), tmp_path / "model.onnx")
    gatherer, judged = planned(tmp_path / "model.onnx", rule)
    gatherer.facts_for(judged)
    assert ("outline" in gatherer.recorded(judged.source).gathered) is there
    gatherer.close()


def test_it_is_no_failure_where_there_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07none")
    gatherer, judged = planned(tmp_path / "model.onnx", "input")
    gatherer.facts_for(judged)
    found = gatherer.recorded(judged.source)
    gatherer.close()
    assert "interface" in found.failures
    assert "outline" not in {**found.failures, **found.gathered}


def planned(model: Path, rule: str) -> tuple[Gatherer, JudgedRule]:
    plan = make_plan(values_from({"model": [model], "track": ["mfr21/A"], "device": "cpu"}))
    (source,) = plan.sources
    (judged,) = [each for each in plan.expected(source) if each.rule.id == rule]
    gatherer = Gatherer(plan)
    gatherer.note([judged])
    return gatherer, judged
