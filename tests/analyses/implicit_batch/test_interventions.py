"""Interventions on networks built here: what confirms two looks at one face, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from evaluation.case import BATCH_RULE
from evaluation.cases import get
from evaluation.product import judge
from pytest_facechallenge.analyses.implicit_batch import coupled_groups, shared_weights, stacked_copies
from pytest_facechallenge.analyses.implicit_batch.channel_clusters import two_groups
from pytest_facechallenge.analyses.implicit_batch.confirm import INTERVENTIONS as ROWS
from pytest_facechallenge.analyses.implicit_batch.confirm import confirm
from pytest_facechallenge.analyses.implicit_batch.exchange import exchange
from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.first_kernels import folded_changes
from pytest_facechallenge.analyses.implicit_batch.gather import traced
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part
from pytest_facechallenge.analyses.implicit_batch.reordered_weights import reordered
from pytest_facechallenge.analyses.implicit_batch.stages import stages
from pytest_facechallenge.analyses.implicit_batch.thresholds import DEFAULTS
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.api import explain
from pytest_facechallenge.checks.implicit_batch.limits import LIMITS
from pytest_facechallenge.core.facts.implicit_batch import CoupledGroups, SharedWeights, StackedCopies
from pytest_facechallenge.core.facts.implicit_batch_kinds import Transform
from pytest_facechallenge.core.facts.interventions import INTERVENTIONS, Decoupled, Exchanged
from pytest_facechallenge.core.outcome import Status
from tests.analyses.implicit_batch.nets import Net
from tests.analyses.implicit_batch.test_checks import COPIES
from tests.analyses.implicit_batch.test_detector import embedding, mirror_on_the_batch


def trace(made: onnx.ModelProto) -> TracedModel:
    (found,) = traced(made, Feed(made, Path(), 1, DEFAULTS), 1, DEFAULTS)
    assert isinstance(found, TracedModel)
    return found


@pytest.fixture(scope="module")
def mirrored() -> TracedModel:
    net = Net()
    return trace(net.model(mirror_on_the_batch(net)))


def test_every_intervention_has_a_row_and_words() -> None:
    assert {row.shows for row in ROWS} == set(INTERVENTIONS)
    for kind in INTERVENTIONS:
        assert kind.question.endswith("?")
        assert "Confirmed when" in kind.how


def test_the_explanation_of_the_rule_tells_every_intervention() -> None:
    text = " ".join(explain("no-implicit-batch").split())
    for kind in INTERVENTIONS:
        assert kind.question in text
        assert kind.how in text


def test_a_view_fed_another_image_moves_the_embedding_half_way(mirrored: TracedModel) -> None:
    (found, *_) = confirm(mirrored, stacked_copies.observe(mirrored, DEFAULTS), DEFAULTS)
    assert isinstance(found, StackedCopies)
    shown = found.intervention
    assert isinstance(shown, Exchanged)
    assert all(0.2 < median < 0.8 for _, median, _ in shown.moved)
    assert sum(median for _, median, _ in shown.moved) == pytest.approx(1, abs=0.1)
    assert min(shown.alone) > 0.45
    assert shown.stages >= 3
    assert shown.pure == 1
    assert shown.apart < 1e-5, "fed the same, both views give the same"


def test_two_halves_of_one_map_are_not_apart() -> None:
    """A part that the layers mix with the other at once is no look of its own."""
    net = Net()
    model = trace(net.model(embedding(net, net.body(net.x, net.body_weights()))))
    first = model.structure.layers[0].node.outputs[0]
    columns = model.structure.shapes[first][3]
    even, odd = (Part(first, axis=3, indices=tuple(range(start, columns, 2))) for start in (0, 1))
    shown = exchange(model, Hypothesis(COPIES, (even, odd)), DEFAULTS)
    assert shown is not None
    assert shown.pure < LIMITS.pure
    assert shown.stages < LIMITS.stages
    assert min(median for _, median, _ in shown.moved) > LIMITS.moved, "each half matters, and is no look all the same"


def test_a_part_that_depends_on_the_other_is_held() -> None:
    """The second run works on the image and on what the first found; each is fed apart from the other all the same."""
    made = get("views_in_series").build()
    model = trace(made)
    (found, *_) = confirm(model, shared_weights.observe(model, DEFAULTS), DEFAULTS)
    assert isinstance(found, SharedWeights)
    assert isinstance(found.intervention, Exchanged)
    assert min(found.intervention.alone) > 0.2


@pytest.mark.parametrize(("resized", "copies"), [(True, False), (False, True)])
def test_features_that_an_operator_made_larger_are_no_copies(resized: bool, copies: bool) -> None:
    """Seven equal rows and columns for each of eight: nearest neighbours, or the same map seven times beside itself."""
    net = Net()
    first = net.op("Relu", net.conv(net.x, net.weights(8, 3, 3, 3), stride=2))
    small = net.op("Relu", net.conv(first, net.weights(8, 8, 3, 3), stride=2))
    if resized:
        larger = net.op("Resize", small, "", net.const([1, 1, 7, 7]), mode="nearest", nearest_mode="floor",
                        coordinate_transformation_mode="asymmetric")  # fmt: skip
    else:
        larger = net.op("Concat", *[small] * 7, axis=3)
    model = trace(net.model(embedding(net, net.body(larger, net.body_weights((8, 16, 16))))))
    assert model.blocks
    assert bool(stacked_copies.observe(model, DEFAULTS)) is copies


def test_features_beside_their_mirror_image_are_copies_behind_a_resizing_too() -> None:
    net = Net()
    features = net.op("Relu", net.conv(net.x, net.weights(8, 3, 3, 3), stride=2))
    beside = net.op("Concat", features, net.mirror(features), axis=3)
    larger = net.op("Resize", beside, "", net.const([1, 1, 2, 2]), mode="nearest", nearest_mode="floor",
                    coordinate_transformation_mode="asymmetric")  # fmt: skip
    model = trace(net.model(embedding(net, net.body(larger, net.body_weights((8, 16, 16))))))
    assert stacked_copies.observe(model, DEFAULTS)


def test_what_cannot_be_replaced_is_told(mirrored: TracedModel) -> None:
    (seen, *_) = stacked_copies.observe(mirrored, DEFAULTS)
    nowhere = (Part("no such value"), Part("nor this"))
    (found,) = confirm(mirrored, [Hypothesis(seen.observation, nowhere)], DEFAULTS)
    assert isinstance(found, StackedCopies)
    assert found.intervention is None


def test_linear_layers_one_behind_the_other_are_one_stage() -> None:
    net = Net()
    weights = [net.weights(8, 3, 3, 3), net.weights(8, 8, 3, 3), net.weights(8, 8, 3, 3)]
    linear = net.conv(net.conv(net.x, weights[0]), weights[1])
    model = trace(net.model(embedding(net, net.conv(net.op("Relu", linear), weights[2]), 8)))
    convolutions = model.structure.layers[:3]
    assert stages(model.structure, convolutions[:2]) == 1
    assert stages(model.structure, convolutions) == 2


@pytest.mark.parametrize("coupling", [0.0, 0.01, 0.05])
def test_groups_are_found_in_any_order_and_scale(coupling: float) -> None:
    random = np.random.default_rng(1)
    weights = coupling * random.standard_normal((40, 24))
    weights[:20, :12] = random.standard_normal((20, 12))
    weights[20:, 12:] = random.standard_normal((20, 12))
    rows, columns = random.permutation(40), random.permutation(24)
    mixed = (weights * random.uniform(0.2, 5, (40, 1)) * random.uniform(0.2, 5, 24))[rows][:, columns]
    found = two_groups(mixed**2, DEFAULTS)
    assert found is not None
    for mask, order, half in ((found.outputs, rows, 20), (found.inputs, columns, 12)):
        assert set(order[mask]) in ({*range(half)}, {*range(half, 2 * half)})
    assert found.coupling <= 10 * coupling**2 + 1e-9


def test_one_network_has_no_groups() -> None:
    assert two_groups(np.random.default_rng(1).standard_normal((64, 64)) ** 2, DEFAULTS) is None


def test_reordered_kernels_are_recognised_and_others_are_not() -> None:
    random = np.random.default_rng(2)
    one = random.standard_normal((24, 16, 3, 3))
    rows, columns = random.permutation(24), random.permutation(16)
    scales = random.uniform(0.3, 3, (24, 1, 1, 1)) * random.uniform(0.3, 3, (1, 16, 1, 1))
    assert reordered(one, (scales * one)[rows][:, columns][..., ::-1], DEFAULTS) == 1
    assert reordered(one, random.standard_normal(one.shape), DEFAULTS) < 0.1


@pytest.mark.parametrize("name", ["blurred_in_kernels", "colours_rotated_in_kernels", "coupled_moved"])
def test_a_change_folded_into_first_kernels_is_solved_for(name: str) -> None:
    model = trace(get(name).build())
    images = np.random.default_rng(3).random((1, 3, 24, 24), np.float32)
    changes: dict[str, Callable[[Any], Any]] = {
        "blurred_in_kernels": lambda x: sum(
            np.roll(x, (i - 1, j - 1), (2, 3)) * [1, 2, 1][i] * [1, 2, 1][j] / 16 for i in range(3) for j in range(3)
        ),
        "colours_rotated_in_kernels": lambda x: np.einsum(
            "ij,njhw->nihw", [[0.8, 0.3, -0.1], [-0.1, 0.8, 0.3], [0.3, -0.1, 0.8]], x
        ),
        "coupled_moved": lambda x: np.roll(x, (-1, -2), (2, 3)),
    }
    wanted = changes[name](images)
    found = [change(images) for change in folded_changes(model.structure, model.front, DEFAULTS)]
    assert min(np.abs(each - wanted).max() for each in found) < 1e-3


@pytest.mark.parametrize("cell", [4, 8])
@pytest.mark.parametrize("turned", [False, True])
def test_kernels_that_are_even_in_cells_show_a_coarse_image(cell: int, turned: bool) -> None:
    net = Net()
    fine = net.weights(16, 3, 16, 16)
    cells = fine.reshape(16, 3, 16 // cell, cell, 16 // cell, cell).mean((3, 5), keepdims=True)
    coarse = np.broadcast_to(cells, (16, 3, 16 // cell, cell, 16 // cell, cell)).reshape(fine.shape)
    looks = [
        net.conv(net.x, kernels, stride=16, pads=[0] * 4) for kernels in (fine, coarse[..., ::-1] if turned else coarse)
    ]
    model = trace(net.model(embedding(net, net.op("Mul", *looks))))
    images = np.random.default_rng(3).random((1, 3, 32, 32), np.float32)
    wanted = images.reshape(1, 3, 32 // cell, cell, 32 // cell, cell).mean((3, 5)).repeat(cell, 2).repeat(cell, 3)
    found = [change for change in folded_changes(model.structure, model.front, DEFAULTS) if change.cell > 1]
    assert {change.cell for change in found} == {cell}
    assert {change.turn for change in found} == {Transform.MIRRORED if turned else Transform.NONE}
    changed = found[0](images)[..., ::-1] if turned else found[0](images)
    assert np.abs(changed - wanted).max() < 1e-6


def test_coupled_networks_are_told_with_what_zeroing_did() -> None:
    made = get("coupled_mirrored").build()
    outcome = judge(made).outcomes[BATCH_RULE]
    assert outcome.status is Status.FAILED
    assert "zeroing the weights between the groups in 4 layers" in outcome.message
    model = trace(made)
    (found,) = confirm(model, coupled_groups.observe(model, DEFAULTS), DEFAULTS)
    assert isinstance(found, CoupledGroups)
    assert isinstance(found.intervention, Decoupled)
    assert found.intervention.kept > 0.95


@pytest.mark.parametrize("name", ["high_resolution_nearest", "involution_by_gather", "global_filter_by_products"])
def test_likeness_without_a_second_look_is_no_accusation(name: str) -> None:
    assert judge(get(name).build()).outcomes[BATCH_RULE].status is Status.PASSED
