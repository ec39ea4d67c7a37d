"""Decisions on the whole image that no probe image shows: each is made both ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.case import ALIGN_RULE, BATCH_RULE
from pytest_facechallenge.analyses.implicit_batch.gather import follow
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.core.facts.implicit_batch import Unseen
from pytest_facechallenge.core.facts.implicit_batch_kinds import Gap
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import Net
from tests.analyses.implicit_batch.test_detector import answer

Choice = Callable[[Net, str, str], str]


def mean(net: Net) -> str:
    return str(net.op("ReduceMean", net.x, axes=[1, 2, 3]))


def very_dark(net: Net) -> str:
    return str(net.op("Less", mean(net), net.const(-0.6)))


def by_where(net: Net, one: str, other: str) -> str:
    return str(net.op("Where", very_dark(net), one, other))


def by_two_conditions(net: Net, one: str, other: str) -> str:
    bright = net.op("Greater", net.op("ReduceMax", net.x, axes=[1, 2, 3]), net.const(0.5))
    return str(net.op("Where", net.op("And", very_dark(net), bright), one, other))


def by_a_product(net: Net, one: str, other: str) -> str:
    gate = net.op("Cast", very_dark(net), to=1)
    return str(net.op("Add", net.op("Mul", one, gate), net.op("Mul", other, net.op("Sub", net.const(1.0), gate))))


def by_a_steep_curve(net: Net, one: str, other: str) -> str:
    gate = net.op("Sigmoid", net.op("Mul", net.op("Add", mean(net), net.const(1.2)), net.const(-400.0)))
    return str(net.op("Add", net.op("Mul", one, gate), net.op("Mul", other, net.op("Sub", net.const(1.0), gate))))


CHOICES = [by_where, by_two_conditions, by_a_product, by_a_steep_curve]


def network(choose: Choice, other: Callable[[Net], str]) -> Callable[[Net], str]:
    def build(net: Net) -> str:
        chosen = choose(net, other(net), net.x)
        return net.fc(net.pool(net.body(chosen, net.body_weights())), net.weights(16, 16))

    return build


def darker(net: Net) -> str:
    return str(net.op("Mul", net.x, net.const(0.5)))


def black(net: Net) -> str:
    return str(net.op("Mul", net.x, net.const(0.0)))


@pytest.mark.parametrize("choose", CHOICES)
def test_a_mirror_for_images_that_are_not_shown_is_found(choose: Choice, tmp_path: Path) -> None:
    found = answer(network(choose, lambda net: net.mirror(net.x)), tmp_path)[ALIGN_RULE]
    assert found.status is Status.FAILED, found
    assert "features that a condition on the image places" in found.message


@pytest.mark.parametrize("choose", CHOICES)
def test_another_light_for_such_images_passes(choose: Choice, tmp_path: Path) -> None:
    found = answer(network(choose, darker), tmp_path)
    assert {found[rule].status for rule in (ALIGN_RULE, BATCH_RULE)} == {Status.PASSED}, found


#: Both ways of two decisions, and each alone.
MADE = [("true", "true"), ("false", "false"), ("false", "true"), ("true", "false")]


def ways(build: Callable[[Net], str], folder: Path) -> tuple[str, ...]:
    net = Net()
    return follow(net.save(build(net), folder)).branches


def test_a_way_is_named_by_what_decides_it(tmp_path: Path) -> None:
    assert ways(network(by_where, darker), tmp_path) == ("", "'Less_2' true", "'Less_2' false")
    both = [f"'Greater_2' {one}, 'Less_4' {other}" for one, other in MADE]
    assert ways(network(by_two_conditions, darker), tmp_path) == ("", *both)


def by_two_bits(net: Net, one: str, other: str) -> str:
    """Two numbers of one node, as those of a code are."""
    both = net.op("Concat", mean(net), net.op("ReduceMax", net.x, axes=[1, 2, 3]), axis=3)
    first, second = net.op("Split", net.op("Cast", net.op("Less", both, net.const(-0.6)), to=1), outputs=2, axis=3)
    x = net.op("Add", net.op("Mul", one, first), net.op("Mul", other, net.op("Sub", net.const(1.0), first)))
    return str(net.op("Add", x, net.op("Mul", net.op("Mul", net.x, net.const(0.1)), second)))


def test_several_decisions_of_one_node_are_told_by_their_values(tmp_path: Path) -> None:
    found = ways(network(by_two_bits, darker), tmp_path)
    assert found[1:] == tuple(f"'split6_0' {one}, 'split6_1' {other}" for one, other in MADE)


def test_ways_that_are_not_followed_are_told(tmp_path: Path) -> None:
    net = Net()
    few = replace(DEFAULTS, running=replace(DEFAULTS.running, ways_decided=3))
    found = follow(net.save(network(by_two_conditions, darker)(net), tmp_path), limits=few)
    assert len(found.branches) == 4
    assert Unseen(gap=Gap.MORE_WAYS, count=4, followed=3) in found.observations


def test_a_way_on_which_all_images_are_one_is_left_out(tmp_path: Path) -> None:
    assert ways(network(by_where, black), tmp_path) == ("", "'Less_2' false")


def guarded(net: Net) -> str:
    """A network whose embedding is divided by its norm but for a norm of 0, and whose light is scaled by its mean."""
    lit = net.op("Mul", net.x, net.op("Sigmoid", mean(net)))
    row = net.fc(net.pool(net.body(lit, net.body_weights())), net.weights(16, 16))
    norm = net.op("ReduceL2", row, axes=[1], keepdims=1)
    return str(net.op("Div", row, net.op("Where", net.op("Less", norm, net.const(1e-9)), net.const(1.0), norm)))


def test_guards_of_an_embedding_and_soft_numbers_are_no_decisions(tmp_path: Path) -> None:
    assert ways(guarded, tmp_path) == ("",)


def selected(net: Net) -> str:
    """Images are selected where they are very dark: what the images' numbers are has another size for each image."""
    chosen = net.op("NonZero", net.op("Reshape", very_dark(net), net.ints(-1)))
    dark = net.op("Gather", net.x, net.op("Reshape", chosen, net.ints(-1)), axis=0)
    lit = net.op("Concat", dark, net.x, axis=0)
    return net.fc(net.pool(net.body(net.op("Slice", lit, net.ints(-1), net.ints(99), net.ints(0)), net.body_weights())),
                  net.weights(16, 16))  # fmt: skip


def test_values_whose_size_depends_on_the_image_stop_nothing(tmp_path: Path) -> None:
    assert ways(selected, tmp_path)[0] == ""
