"""The step: from a submission's context to facts."""

from pathlib import Path

from pytest_facechallenge.facts import Facts
from pytest_facechallenge.facts.dataflow import DataflowFacts
from pytest_facechallenge.facts.package import PackageFacts
from pytest_facechallenge.runtime.context import Context, Knobs
from pytest_facechallenge.steps import STEPS
from tests.dataflow.nets import Net


def test_the_step_gathers_its_facts(tmp_path: Path) -> None:
    net = Net()
    path = net.save(net.fc(net.pool(net.body(net.x, net.body_weights())), net.weights(16, 32)), tmp_path)
    package = PackageFacts(
        form="onnx", entries=(), model_path=str(path), model_name=path.name, sha256="", bytes=path.stat().st_size
    )
    step = STEPS["dataflow"]
    assert step.facts_type() is DataflowFacts
    facts = step.gatherer()(Context(path, tmp_path, Facts.of(package), Knobs(threads=1)))
    assert isinstance(facts, DataflowFacts)
    assert facts.layers == 4
    assert facts.macs == 32 * 32 * 27 * 8 + 16 * 16 * 72 * 16 + 8 * 8 * 144 * 16 + 16 * 32
    assert [view.layer for view in facts.views] == ["Conv_0"]
    assert not facts.gaps
