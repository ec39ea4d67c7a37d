"""The checks alone, on facts written by hand: what decides, and at which value."""

from __future__ import annotations

import msgspec
import pytest

from evaluation.case import ALIGN_RULE, BATCH_RULE
from evaluation.product import RULES
from pytest_facechallenge.checks.implicit_batch import no_implicit_batch, no_realignment
from pytest_facechallenge.core.facts import Facts
from pytest_facechallenge.core.facts.implicit_batch import (
    CompanyFact,
    FoldFact,
    ImplicitBatchFacts,
    StackFact,
    TowerFact,
    TwinFact,
    ViewFact,
)
from pytest_facechallenge.core.outcome import Outcome, Status

WHOLE = ViewFact(layer="Conv_0", kind="exact", coverage=1.0, turn="identical")
FINE = CompanyFact(company="a batch of 2", change=1e-6)
STACK = StackFact(
    layer="Conv_3", join="Concat_2", axis="the batch axis", on_channels=False, blocks=2, coverage=1.0,
    relation="mirrored", words="mirrored along the width", overlap=0.0, from_image=True, macs_after=1.0,
)  # fmt: skip
TWIN = TwinFact(
    layers=("Conv_0", "Conv_9"), count=5, weights="shared", surplus=0.5, inputs="versions", relation="mirrored",
    words="mirrored along the width",
)  # fmt: skip
TOWER = TowerFact(source="x", first="Conv_0", second="Conv_9", meet="Add_20", shares=(0.5, 0.5))


def batch(**facts: object) -> Outcome:
    known = ImplicitBatchFacts(**{"layers": 9, "macs": 100, "views": (WHOLE,), "company": (FINE,), **facts})  # type: ignore[arg-type]
    return no_implicit_batch(Facts.of(known), RULES[BATCH_RULE])


def alignment(*views: ViewFact, gaps: tuple[str, ...] = ()) -> Outcome:
    known = ImplicitBatchFacts(layers=9, macs=100, views=views, gaps=gaps)
    return no_realignment(Facts.of(known), RULES[ALIGN_RULE])


def test_nothing_seen_passes() -> None:
    assert batch().status is Status.PASSED
    assert alignment(WHOLE).status is Status.PASSED


@pytest.mark.parametrize(("change", "status"), [(1e-4, Status.PASSED), (1e-3, Status.UNDECIDED), (3e-3, Status.FAILED)])
def test_influence_of_other_rows(change: float, status: Status) -> None:
    assert batch(company=(CompanyFact(company="a batch of 2", change=change),)).status is status


def test_no_batch_that_runs_is_undecided() -> None:
    outcome = batch(company=(CompanyFact(company="a batch of 2", change=-1.0, error="shape mismatch"),))
    assert outcome.status is Status.UNDECIDED
    assert "shape mismatch" in outcome.message


def test_gap_is_never_a_pass() -> None:
    assert batch(gaps=("'Loop_3' runs more than 256 times",)).status is Status.UNDECIDED
    assert alignment(WHOLE, gaps=("'Loop_3' runs more than 256 times",)).status is Status.UNDECIDED
    assert alignment().status is Status.UNDECIDED


def test_stack_counts_when_the_body_works_on_it() -> None:
    assert batch(stacks=(STACK,)).status is Status.FAILED
    small = batch(stacks=(msgspec.structs.replace(STACK, macs_after=0.05),))
    assert small.status is Status.PASSED
    assert small.notes


def test_channels_that_mix_are_one_look() -> None:
    mixed = msgspec.structs.replace(STACK, on_channels=True, overlap=0.9, from_image=False)
    assert batch(stacks=(mixed,)).status is Status.PASSED
    assert batch(stacks=(msgspec.structs.replace(mixed, overlap=0.0),)).status is Status.FAILED


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, Status.FAILED),
        ({"inputs": "parts"}, Status.PASSED),
        ({"differ": False}, Status.PASSED),
        ({"inputs": "one", "same_settings": False}, Status.PASSED),
        ({"inputs": "one", "weights": "mirrored"}, Status.FAILED),
        ({"inputs": "different"}, Status.FAILED),
        ({"inputs": "different", "surplus": 0.2}, Status.PASSED),
        ({"inputs": "different", "same_size": False}, Status.UNDECIDED),
        ({"surplus": 0.02}, Status.PASSED),
    ],
)
def test_layers_side_by_side(change: dict[str, object], status: Status) -> None:
    assert batch(twins=(msgspec.structs.replace(TWIN, **change),)).status is status


def test_windows_are_pieces_and_copies_are_not() -> None:
    assert batch(folds=(FoldFact(layer="MatMul_4", rows=16, growth=1.0, macs_after=0.9),)).status is Status.PASSED
    assert batch(folds=(FoldFact(layer="MatMul_4", rows=2, growth=2.0, macs_after=0.9),)).status is Status.FAILED


def test_ensemble_is_a_note_and_a_turned_twin_is_not() -> None:
    ensemble = batch(towers=(TOWER,))
    assert ensemble.status is Status.PASSED
    assert "ensemble" in ensemble.notes[0]
    turned = msgspec.structs.replace(TOWER, alike=0.9, turn="mirrored")
    assert batch(towers=(turned,)).status is Status.FAILED


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"kind": "resampled", "scale": (0.8, 0.8)}, Status.FAILED),
        ({"kind": "resampled", "scale": (2.0, 2.0), "offset": (0.5, 0.5), "pooled": True}, Status.PASSED),
        ({"kind": "resampled", "scale": (2.0, 2.0), "offset": (-56.0, -56.0), "pooled": True}, Status.FAILED),
        ({"kind": "predicted"}, Status.FAILED),
        ({"kind": "in place"}, Status.PASSED),
        ({"coverage": 0.9, "together": 0.9}, Status.FAILED),
        ({"coverage": 0.5, "together": 1.0}, Status.PASSED),
    ],
)
def test_what_the_first_layer_sees(change: dict[str, object], status: Status) -> None:
    assert alignment(msgspec.structs.replace(WHOLE, **change)).status is status


def test_facts_survive_json() -> None:
    known = ImplicitBatchFacts(layers=9, macs=100, views=(WHOLE,), stacks=(STACK,), twins=(TWIN,), towers=(TOWER,))
    assert msgspec.json.decode(msgspec.json.encode(known), type=ImplicitBatchFacts) == known
