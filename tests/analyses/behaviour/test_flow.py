"""Random nodes, conditions and the images made for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from evaluation.builder import Array
from evaluation.graph_shows.network import WIDTH, Net, random_values
from pytest_facechallenge.analyses.behaviour import condition_search
from pytest_facechallenge.analyses.behaviour.conditions import conditions, never_negative
from pytest_facechallenge.analyses.behaviour.image_family import EXTREMES, Look, drawn, near
from pytest_facechallenge.core.facts.flow import FlowFacts, ProbesFacts
from pytest_facechallenge.inference.images import natural
from pytest_facechallenge.inference.session import Session
from pytest_facechallenge.onnx_graph.ir import Graph, from_model
from pytest_facechallenge.onnx_graph.randomness import drawn as drawn_numbers
from tests.support.gathering import gather
from tests.support.models import network, save


def graph_of(net: Net, out: str) -> Graph:
    return from_model(net.model(out, 0), Path())


def new() -> tuple[Net, str]:
    net = Net(1, 13)
    return net, net.embedding(net.x)


def test_a_plain_network_calls_for_no_probes(tmp_path: Path) -> None:
    facts = gather(save(network(), tmp_path / "model.onnx"), tmp_path, {"probes"})
    flow = facts.need(FlowFacts)
    assert (flow.batch, flow.lost, flow.random, flow.conditions) == ((), "", (), ())
    assert facts.need(ProbesFacts) == ProbesFacts()


def test_random_numbers_times_a_stored_zero_reach_nothing() -> None:
    net, e = new()
    noise = net.op("Mul", net.op("RandomNormalLike", e), 0.0)
    (found,) = drawn_numbers(graph_of(net, net.op("Add", e, noise)))
    assert not found.reaches


@pytest.mark.parametrize(("ratio", "mode", "draws"), [(0.5, True, True), (0.0, True, False), (0.5, False, False)])
def test_dropout_draws_in_training_mode(ratio: float, mode: bool, draws: bool) -> None:
    net, e = new()
    out = net.op("Dropout", e, np.array(ratio, np.float32), net.const(np.array(mode), bool))
    assert [each.reaches for each in drawn_numbers(graph_of(net, out))] == [True] * draws


def test_a_condition_is_what_is_compared_or_may_be_no_number() -> None:
    net, e = new()
    safe = net.op("Sqrt", net.op("Add", net.op("Mul", e, e), 0.1))
    unsafe = net.op("Sqrt", net.op("Add", e, 3.0))
    chosen = net.op("Where", net.op("Less", e, 0.0), safe, unsafe)
    found = conditions(graph_of(net, chosen))
    assert [(each.op, each.kind) for each in found] == [("Sqrt", "domain"), ("Less", "choice")]


def test_what_is_never_negative_is_shown_by_the_graph_alone() -> None:
    net, e = new()
    square = net.op("Pow", e, 2.0)
    names = {
        square: True,
        net.mean(square, 1, keep=True): True,
        net.op("Add", square, net.op("Abs", e)): True,
        net.op("Sub", square, 0.1): False,
        net.op("Clip", e, 0.0): True,
        net.op("Clip", e, -1.0): False,
        net.op("Pow", e, 3.0): False,
    }
    graph = graph_of(net, net.op("Sum", *(net.op("Tile", name, [1, 1]) for name in names)))
    assert {name: never_negative(graph, name, {}) for name in names} == names


def test_a_network_of_many_sums_is_looked_through_once() -> None:
    net, e = new()
    value = net.op("Abs", e)
    for _ in range(30):
        value = net.op("Add", value, value)
    known: dict[str, bool] = {}
    assert never_negative(graph_of(net, value), "fc", known)
    assert len(known) == 31


def test_looks_are_what_their_words_say() -> None:
    faces = natural(1, 0)
    assert Look().words() == "ordinary image 0"
    np.testing.assert_array_equal(Look().of(faces), faces[0])
    np.testing.assert_array_equal(Look(mirrored=True).of(faces), faces[0][:, ::-1])
    bluish = Look(gains=(0.35, 0.7, 1.5))
    assert bluish.words() == "ordinary image 0, red x0.35, green x0.70, blue x1.50"
    means = bluish.of(faces).mean((0, 1))
    assert means[2] > means[0]
    masked = Look(covered="lower half", cover=0.85).of(faces)
    assert masked[56:].std() == 0
    assert len({look.words() for look in EXTREMES}) == len(EXTREMES)


def test_looks_are_drawn_alike_from_one_seed() -> None:
    one, other = (drawn(np.random.default_rng(3), 8) for _ in range(2))
    assert one == other
    assert len(set(one)) == 8
    assert near(one[0], np.random.default_rng(0)) != one[0]


@pytest.mark.parametrize(("runs", "both"), [("never", False), ("one by one", True)])
def test_a_condition_whose_part_does_not_run_counts_as_not_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: str, both: bool
) -> None:
    class Broken(Session):
        def run(self, batch: Array, outputs: Sequence[str] | None = None) -> list[Array]:
            if runs == "never" or len(batch) > 1:
                raise RuntimeError("no")
            return super().run(batch, outputs)

    monkeypatch.setattr(condition_search, "Session", Broken)
    facts = gather(save(rarely_another(), tmp_path / "model.onnx"), tmp_path, {"probes"})
    (seen,) = facts.need(ProbesFacts).conditions
    assert (seen.guards, seen.both) == (True, both)


def rarely_another() -> onnx.ModelProto:
    """Return a network that gives something else for very green images."""
    net, e = new()
    green = net.op("Sub", net.brightness(1), net.op("Add", net.brightness(0), net.brightness(2)))
    rare = net.op("Greater", green, 1.2)
    return net.model(net.op("Where", rare, random_values(net, "other", WIDTH), e), WIDTH)


def test_a_search_finds_the_image_that_meets_a_rare_condition(tmp_path: Path) -> None:
    facts = gather(save(rarely_another(), tmp_path / "model.onnx"), tmp_path, {"probes"})
    (seen,) = facts.need(ProbesFacts).conditions
    assert (seen.both, seen.guards, seen.op) == (True, True, "Greater")
    assert "green" in seen.image
    assert seen.image in {probe.image for probe in facts.need(ProbesFacts).images}
