"""How much weights that run twice, and rows that go on apart, count: at each line that was drawn, and beyond it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pytest_facechallenge.checks.implicit_batch.signs import Weight
from pytest_facechallenge.checks.implicit_batch.weighers import weigh_folds, weigh_groups, weigh_shared_weights
from pytest_facechallenge.core.facts.implicit_batch import BatchFold, CoupledGroups, SharedWeights
from pytest_facechallenge.core.facts.implicit_batch_kinds import SharedInput, WeightRelation
from pytest_facechallenge.core.facts.interventions import Decoupled, Exchanged

#: Two parts that go through all that follows apart, and are one function.
ONE = Exchanged(
    pairs=8, alone=(0.5, 0.5), stages=9, pure=1.0, moved=((0.4, 0.5, 0.6), (0.4, 0.5, 0.6)), apart=1e-6
)  # fmt: skip
#: Two that are not one function.
TWO = msgspec.structs.replace(ONE, apart=0.4)


@pytest.mark.parametrize(
    ("early", "macs_after", "weight"),
    [
        (True, 0.25, Weight.UNSURE),
        (False, 0.25, None),
        (True, 0.09, None),
        (False, 0.98, Weight.UNSURE),
    ],
)
def test_rows_that_go_on_apart_are_open_behind_linear_layers_or_through_all(
    early: bool, macs_after: float, weight: Weight | None
) -> None:
    fold = BatchFold(layer="MatMul_4", rows=2, growth=0.5, macs_after=macs_after, early=early, intervention=ONE)
    assert [sign.weight for sign in weigh_folds([fold])] == ([] if weight is None else [weight])


@pytest.mark.parametrize(
    ("places", "macs_after", "weight"), [(True, 0.51, Weight.UNSURE), (True, 0.49, None), (False, 0.51, None)]
)
def test_rows_of_places_are_open_through_most(places: bool, macs_after: float, weight: Weight | None) -> None:
    """Rows of channels are members of an ensemble, which is not forbidden."""
    fold = BatchFold(layer="MatMul_4", rows=2, growth=0.5, macs_after=macs_after, places=places, intervention=ONE)
    assert [sign.weight for sign in weigh_folds([fold])] == ([] if weight is None else [weight])


def shared(**data: Any) -> list[Weight]:
    given: dict[str, Any] = {"inputs": SharedInput.RESAMPLED, "surplus": 0.3, "intervention": ONE} | data
    found = SharedWeights(layers=("Conv_0", "Conv_9"), count=5, weights=WeightRelation.SHARED, **given)
    return [sign.weight for sign in weigh_shared_weights([found])]


def test_spikes_of_one_feature_are_open_and_versions_of_a_feature_a_proof() -> None:
    assert shared() == [Weight.PROOF]
    assert shared(spikes=True) == [Weight.UNSURE]
    assert shared(spikes=True, from_image=True) == [Weight.PROOF]


def test_an_input_that_nothing_explains_is_a_second_look_beside_the_image_through_one_network() -> None:
    unknown = SharedInput.DIFFERENT
    assert shared(inputs=unknown, looks=True) == [Weight.PROOF]
    assert shared(inputs=unknown, looks=True, surplus=0.09) == []
    assert shared(inputs=unknown, looks=True, intervention=TWO) == [Weight.UNSURE]
    assert shared(inputs=unknown, looks=True, same_size=False) == []
    assert shared(inputs=unknown) == []
    assert shared(inputs=unknown, surplus=0.4) == [Weight.PROOF]


@pytest.mark.parametrize(("coupling", "weight"), [(1e-4, Weight.UNSURE), (0.0, Weight.REMARK)])
@pytest.mark.parametrize("stages", [1, 9])
def test_two_networks_with_weights_that_do_nothing_between_them_are_open(
    stages: int, coupling: float, weight: Weight
) -> None:
    """However few layers were seen to go on apart; without any weights between them they are an ensemble."""
    shown = Decoupled(layers=5, kept=0.999, exchanged=msgspec.structs.replace(TWO, stages=stages))
    found = CoupledGroups(layers=("Conv_1",), count=5, share=0.9, coupling=coupling, intervention=shown)
    assert [sign.weight for sign in weigh_groups([found])] == [weight]
