"""The step: from a submission's context to facts."""

from pathlib import Path

import pytest

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.facts import Facts
from pytest_facechallenge.core.facts.flow import FlowFacts
from pytest_facechallenge.core.facts.implicit_batch import BatchComposition, ImplicitBatchFacts, InputView, Unseen
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.run_options import RunOptions
from tests.analyses.implicit_batch.nets import Net


@pytest.mark.parametrize(("flow", "batches"), [(FlowFacts(), 0), (FlowFacts(lost="'Conv_0'"), 6)])
def test_the_step_gathers_its_facts(tmp_path: Path, flow: FlowFacts, batches: int) -> None:
    """No batch is run where the graph shows that images never meet."""
    net = Net()
    path = net.save(net.fc(net.pool(net.body(net.x, net.body_weights())), net.weights(16, 32)), tmp_path)
    package = PackageFacts(
        form="onnx", entries=(), model_path=str(path), model_name=path.name, sha256="", bytes=path.stat().st_size
    )
    step = STEPS["implicit_batch"]
    assert step.facts_type() is ImplicitBatchFacts
    facts = step.gatherer()(Context(path, tmp_path, Facts.of(package, flow), RunOptions(threads=1)))
    assert isinstance(facts, ImplicitBatchFacts)
    assert facts.layers == 4
    assert facts.macs == 32 * 32 * 27 * 8 + 16 * 16 * 72 * 16 + 8 * 8 * 144 * 16 + 16 * 32
    assert [view.layer for view in facts.of(InputView)] == ["Conv_0"]
    assert not facts.of(Unseen)
    assert len(facts.of(BatchComposition)) == batches
    assert all(found.change is not None and found.change < 1e-5 for found in facts.of(BatchComposition))
