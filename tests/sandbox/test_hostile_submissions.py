"""Submissions made to harm whoever judges them: each ends in a finding, in bounded time and memory."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.engine.extensions import load_checks
from pytest_facechallenge.engine.judge import judge_rule as judge
from pytest_facechallenge.sandbox.fact_store import FactStore
from pytest_facechallenge.sandbox.process import Limits
from tests.security import contents
from tests.support.gathering import rule
from tests.support.models import network, save

LIMITS = Limits(idle_seconds=3, memory_bytes=1 << 30)


def judged(path: Path, folder: Path, *rule_ids: str) -> tuple[Facts, dict[str, Outcome]]:
    store = FactStore(folder / "run", RunOptions(threads=1, device="cpu"), LIMITS)
    checks = load_checks()
    steps = {step for rule_id in rule_ids for step in checks[rule(rule_id).check].steps}
    facts = store.facts(path, steps)
    return facts, {rule_id: judge(facts, rule(rule_id)) for rule_id in rule_ids}


def test_endless_loop(tmp_path: Path) -> None:
    path = save(contents.endless(), tmp_path / "model.onnx")
    facts, outcomes = judged(path, tmp_path, "batch", "onnx-valid", "deterministic", "helper-verdict")
    assert facts.failures["batch"].kind == "timeout"
    assert "running a batch of 32 images" in facts.failures["batch"].message
    assert outcomes["batch"].status is Status.UNDECIDED
    assert outcomes["onnx-valid"].status is Status.PASSED
    # Waiting for it once is enough.
    assert {facts.failures[step].because_of for step in ("repeat", "organisers_checker")} == {"batch"}
    assert {outcomes[rule_id].status for rule_id in ("deterministic", "helper-verdict")} == {Status.UNDECIDED}


def test_memory_eater(tmp_path: Path) -> None:
    _, outcomes = judged(save(contents.memory_eater(), tmp_path / "model.onnx"), tmp_path, "batch", "package")
    assert outcomes["package"].status is Status.PASSED
    assert outcomes["batch"].status is not Status.PASSED


def test_huge_declared_tensor_without_data(tmp_path: Path) -> None:
    model = contents.huge_tensor()
    _, outcomes = judged(save(model, tmp_path / "model.onnx"), tmp_path, "onnx-valid", "model-size", "no-float16")
    assert outcomes["onnx-valid"].status is Status.FAILED
    assert "initializer 'w0' declares" in outcomes["onnx-valid"].message
    assert outcomes["no-float16"].status is not Status.PASSED


def test_circle(tmp_path: Path) -> None:
    model = contents.circle()
    _, outcomes = judged(save(model, tmp_path / "model.onnx"), tmp_path, "onnx-valid")
    assert outcomes["onnx-valid"].status is Status.FAILED
    assert "circle" in outcomes["onnx-valid"].message


def test_chain_of_ten_thousand_nodes_is_read(tmp_path: Path) -> None:
    names = ["embedding", *(f"v{i}" for i in range(10_000))]
    tail = [helper.make_node("Relu", [a], [b]) for a, b in zip(names, names[1:], strict=False)]
    model = network(tail=tail, output=names[-1])
    _, outcomes = judged(save(model, tmp_path / "model.onnx"), tmp_path, "onnx-valid", "no-float16", "input")
    assert {outcome.status for outcome in outcomes.values()} == {Status.PASSED}


@pytest.mark.parametrize("depth", [30, 200, 3_000])
def test_nested_graphs(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(contents.nested_graphs(depth))
    _, outcomes = judged(path, tmp_path, "onnx-valid", "no-float16", "package")
    assert outcomes["onnx-valid"].status is Status.FAILED
    assert outcomes["package"].status is Status.PASSED


def test_external_data_of_the_host_is_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"\x01" * (1 << 20))
    path = tmp_path / "entry" / "model.onnx"
    path.parent.mkdir()
    onnx.save(network(), str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    for location in ("../secret.bin", str(secret)):
        model = onnx.load(str(path), load_external_data=False)
        for tensor in model.graph.initializer:
            tensor.external_data[0].value = location
        path.write_bytes(model.SerializeToString())
        facts, outcomes = judged(path, tmp_path / location.replace("/", "_"), "onnx-valid", "batch", "package")
        assert {outcomes[rule_id].because_of for rule_id in ("onnx-valid", "batch")} == {"package"}
        assert outcomes["package"].status is Status.FAILED
        assert "does not load" in facts.failures["batch"].message
