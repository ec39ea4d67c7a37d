"""The step: from a submission's context to facts."""

from pathlib import Path

import onnx
import pytest

from evaluation.case import BATCH_RULE
from evaluation.cases import get
from evaluation.product import RULES
from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.gather import follow
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.checks.implicit_batch.rules import no_implicit_batch
from pytest_facechallenge.core.facts import Facts
from pytest_facechallenge.core.facts.flow import FlowFacts
from pytest_facechallenge.core.facts.implicit_batch import BatchComposition, ImplicitBatchFacts, InputView, Unseen
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.outcome import Status
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


def saturated_unless_normalised(net: Net) -> str:
    """Values of 0 to 255 would be clipped to nothing: what is fed is -1 to 1, of which this is the mirror image."""
    levels = net.op("Mul", net.op("Round", net.op("Div", net.x, net.const(0.0125))), net.const(0.0125))
    look = net.mirror(net.op("Clip", levels, net.const(-1), net.const(1)))
    kernels = net.body_weights()
    one, two = (net.pool(net.body(x, kernels)) for x in (net.x, look))
    return str(net.op("Mul", net.op("Add", one, two), net.const(0.5)))


def test_a_constant_like_a_normalisation_does_not_hide_what_the_server_feeds(tmp_path: Path) -> None:
    """By its constants the network takes 0 to 255; by the names of its nodes the server feeds -1 to 1."""
    net = Net()
    path = net.save(saturated_unless_normalised(net), tmp_path)
    assert Feed(onnx.load(path), tmp_path, 1, DEFAULTS).images.high == 255
    facts = follow(path, threads=1)
    outcome = no_implicit_batch(Facts.of(facts), RULES[BATCH_RULE])
    assert outcome.status is Status.FAILED, outcome.message


@pytest.mark.parametrize("op", ["Log", "Pow"])
def test_what_only_pixels_above_zero_can_be_fed_is_followed_as_pixels_alone(op: str, tmp_path: Path) -> None:
    """A challenge that feeds 0 to 255: of -1 to 1 there are no logarithms, and that is no gap."""
    net = Net()
    light = net.op("Add", net.op("Div", net.x, net.const(255)), net.const(1e-3))
    x = net.op("Pow", light, net.const(1 / 2.2)) if op == "Pow" else net.op("Log", light)
    facts = follow(
        net.save(net.fc(net.pool(net.body(x, net.body_weights())), net.weights(16, 32)), tmp_path), threads=1
    )
    assert not facts.of(Unseen)
    assert no_implicit_batch(Facts.of(facts), RULES[BATCH_RULE]).status is Status.PASSED


def test_what_both_feeds_show_is_told_once(tmp_path: Path) -> None:
    net = Net()
    x = net.op("Div", net.x, net.const(255))
    kernels = net.body_weights()
    one, two = (net.pool(net.body(each, kernels)) for each in (x, net.mirror(x)))
    facts = follow(net.save(str(net.op("Add", one, two)), tmp_path), threads=1)
    assert Feed(onnx.load(tmp_path / "net.onnx"), tmp_path, 1, DEFAULTS).as_served() is not None
    layers = [view.layer for view in facts.of(InputView)]
    assert len(layers) == len(set(layers)) == 2


def test_what_a_layer_sees_of_images_in_one_range_is_not_compared_with_another(tmp_path: Path) -> None:
    """Of -1 to 1 a clip to 0 to 255 leaves half of the pixels, whose colours are exchanged before they are scaled."""
    net = Net()
    colours = net.op("Split", net.x, outputs=3, axis=1)
    swapped = net.op("Clip", net.op("Concat", *colours[::-1], axis=1), net.const(0), net.const(255))
    x = net.op("Add", net.op("Div", swapped, net.const(127.5)), net.const(-1))
    path = net.save(net.fc(net.pool(net.body(x, net.body_weights())), net.weights(16, 32)), tmp_path)
    assert Feed(onnx.load(path), tmp_path, 1, DEFAULTS).as_served() is not None
    outcome = no_implicit_batch(Facts.of(follow(path, threads=1)), RULES[BATCH_RULE])
    assert outcome.status is Status.PASSED, outcome.message


@pytest.mark.parametrize("name", ["swap_split", "shuffled_groups"])
def test_networks_whose_observations_are_alike_but_for_numbers(name: str, tmp_path: Path) -> None:
    """Two groups of channels are seen twice, of which one alone goes on apart: neither stands for the other."""
    case = get(name)
    onnx.save(case.build(), tmp_path / "model.onnx")
    outcome = no_implicit_batch(Facts.of(follow(tmp_path / "model.onnx", threads=1)), RULES[BATCH_RULE])
    assert outcome.status is (Status.PASSED if case.honest else Status.FAILED), outcome.message
