"""The checks alone, on facts written by hand: what decides, and at which value."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from evaluation.case import ALIGN_RULE, BATCH_RULE
from evaluation.product import RULES
from pytest_facechallenge.checks.implicit_batch import no_implicit_batch, no_realignment
from pytest_facechallenge.checks.implicit_batch.alignment import ALIGNMENT_KINDS, weigh_grids
from pytest_facechallenge.checks.implicit_batch.weighers import WEIGHERS
from pytest_facechallenge.core.facts import Facts
from pytest_facechallenge.core.facts.alignment import EarlyGrid, Steered, SteeredPlaces
from pytest_facechallenge.core.facts.implicit_batch import (
    BatchComposition,
    BatchFold,
    CoupledGroups,
    EquivariantFeatures,
    ImplicitBatchFacts,
    InputView,
    Observation,
    ParallelBranches,
    RepeatedKernels,
    SharedWeights,
    StackedCopies,
    Unseen,
)
from pytest_facechallenge.core.facts.implicit_batch_kinds import (
    Companions,
    Difference,
    FeatureHome,
    Gap,
    Relation,
    SharedInput,
    Transform,
    ViewKind,
    WeightRelation,
)
from pytest_facechallenge.core.facts.interventions import Decoupled, Exchanged
from pytest_facechallenge.core.outcome import Outcome, Status

SHOWN = Exchanged(pairs=8, alone=(0.5, 0.5), stages=9, pure=1.0, moved=((0.4, 0.5, 0.6), (0.4, 0.5, 0.6)))
WHOLE = InputView(layer="Conv_0", kind=ViewKind.EXACT, coverage=1.0, relation=Relation.IDENTICAL)
FINE = BatchComposition(companions=Companions.BLACK, size=2, change=1e-6)
MIRROR = Difference(relation=Relation.MIRRORED, rank=4, mirrored=(3,))
COPIES = StackedCopies(
    layer="Conv_3", join="Concat_2", axis=0, on_channels=False, blocks=2, coverage=1.0, difference=MIRROR, overlap=0.0,
    from_image=True, macs_after=1.0, intervention=SHOWN,
)  # fmt: skip
SHARED = SharedWeights(
    layers=("Conv_0", "Conv_9"), count=5, weights=WeightRelation.SHARED, surplus=0.5, inputs=SharedInput.VERSIONS,
    difference=MIRROR, intervention=SHOWN,
)  # fmt: skip
BRANCHES = ParallelBranches(
    source="x", first="Conv_0", second="Conv_9", meet="Add_20", shares=(0.5, 0.5), intervention=SHOWN
)
FEATURES = EquivariantFeatures(
    home=FeatureHome.LAYERS, layers=("Conv_0", "Conv_9"), transform=Transform.MIRRORED, share=0.5, pairs=4,
    intervention=SHOWN,
)  # fmt: skip
KERNELS = RepeatedKernels(
    layers=("Conv_0", "Conv_3"), blocks=2, weights=WeightRelation.MIRRORED, share=0.5, intervention=SHOWN
)
FOLD = BatchFold(layer="MatMul_4", rows=2, growth=2.0, macs_after=0.9, intervention=SHOWN)
GROUPS = CoupledGroups(
    layers=("Conv_1", "Conv_3"), count=9, share=0.9, coupling=0.001, alike=1.0, transform=Transform.MIRRORED,
    intervention=Decoupled(layers=9, kept=0.998, exchanged=SHOWN),
)  # fmt: skip
STEERED = SteeredPlaces(
    node="MatMul_4", steering="ReduceMean_1", how=Steered.DISPLACED, pixels=(0.3, 2.0), explained=0.98, agree=3,
    images=3, recovered=1.0, size=(112, 112),
)  # fmt: skip
GRID = EarlyGrid(
    layer="Conv_9", scale=(0.5, 0.5), offset=(0.0, 0.0), dots=25, recovered=1.0, size=(224, 224), image=(112, 112)
)
GAP = Unseen(gap=Gap.CONTROL_FLOW, error="'Loop_3' runs more than 256 times")


def batch(*seen: Observation, fine: bool = True) -> Outcome:
    known = ImplicitBatchFacts(layers=9, macs=100, observations=(WHOLE, *([FINE] if fine else []), *seen))
    return no_implicit_batch(Facts.of(known), RULES[BATCH_RULE])


def alignment(*seen: Observation) -> Outcome:
    known = ImplicitBatchFacts(layers=9, macs=100, observations=seen)
    return no_realignment(Facts.of(known), RULES[ALIGN_RULE])


def test_nothing_seen_passes() -> None:
    assert batch().status is Status.PASSED
    assert alignment(WHOLE).status is Status.PASSED


def test_every_kind_of_observation_has_a_weigher() -> None:
    assert set(WEIGHERS) | set(ALIGNMENT_KINDS) == set(get_args(Observation))


@pytest.mark.parametrize(("change", "status"), [(1e-4, Status.PASSED), (1e-3, Status.UNDECIDED), (3e-3, Status.FAILED)])
def test_influence_of_other_rows(change: float, status: Status) -> None:
    assert batch(msgspec.structs.replace(FINE, change=change)).status is status


def test_an_embedding_that_overflows_beside_others_is_an_influence() -> None:
    outcome = batch(msgspec.structs.replace(FINE, change=None, finite=False))
    assert outcome.status is Status.FAILED
    assert "not finite in a batch of 2 with a black image" in outcome.message


def test_no_batch_that_runs_is_undecided() -> None:
    outcome = batch(msgspec.structs.replace(FINE, change=None, error="shape mismatch"), fine=False)
    assert outcome.status is Status.UNDECIDED
    assert "shape mismatch" in outcome.message


def test_gap_is_never_a_pass() -> None:
    assert batch(GAP).status is Status.UNDECIDED
    assert alignment(WHOLE, GAP).status is Status.UNDECIDED
    assert alignment().status is Status.UNDECIDED


@pytest.mark.parametrize("gap", Gap)
def test_every_gap_has_a_sentence(gap: Gap) -> None:
    found = Unseen(
        gap=gap, names=("conv_1",), count=31, followed=32, share=0.33, limit=1e34, error="text_35", branch="branch_36"
    )  # fmt: skip
    outcome = alignment(WHOLE, found)
    assert outcome.status is Status.UNDECIDED
    parts = ("conv_1", "31", "32", "33%", "1e+34", "text_35", "branch_36")
    assert any(part in outcome.message for part in parts), "what the gap is about is told"


def test_copies_count_when_the_body_works_on_them() -> None:
    assert batch(COPIES).status is Status.FAILED
    assert "mirrored along the width" in batch(COPIES).message
    small = batch(msgspec.structs.replace(COPIES, macs_after=0.05))
    assert small.status is Status.PASSED
    assert small.notes


def test_channels_that_mix_are_one_view() -> None:
    mixed = msgspec.structs.replace(COPIES, on_channels=True, axis=1, overlap=0.9, from_image=False)
    assert batch(mixed).status is Status.PASSED
    assert batch(msgspec.structs.replace(mixed, overlap=0.0)).status is Status.FAILED


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, Status.FAILED),
        ({"inputs": SharedInput.PARTS}, Status.PASSED),
        ({"differ": False}, Status.PASSED),
        ({"inputs": SharedInput.ONE, "same_settings": False}, Status.PASSED),
        ({"inputs": SharedInput.ONE, "weights": WeightRelation.MIRRORED}, Status.FAILED),
        ({"inputs": SharedInput.DIFFERENT}, Status.FAILED),
        ({"inputs": SharedInput.DIFFERENT, "surplus": 0.2}, Status.PASSED),
        ({"inputs": SharedInput.DIFFERENT, "same_size": False}, Status.UNDECIDED),
        ({"surplus": 0.02}, Status.PASSED),
    ],
)
def test_layers_side_by_side(change: dict[str, object], status: Status) -> None:
    assert batch(msgspec.structs.replace(SHARED, **change)).status is status


def test_windows_are_pieces_and_copies_are_not() -> None:
    assert batch(msgspec.structs.replace(FOLD, rows=16, growth=1.0)).status is Status.PASSED
    assert batch(FOLD).status is Status.FAILED


def test_ensemble_is_a_note_and_a_turned_branch_is_not() -> None:
    ensemble = batch(BRANCHES)
    assert ensemble.status is Status.PASSED
    assert "ensemble" in ensemble.notes[0]
    turned = msgspec.structs.replace(BRANCHES, alike=0.9, transform=Transform.MIRRORED)
    assert batch(turned).status is Status.FAILED


@pytest.mark.parametrize(("share", "status"), [(0.5, Status.FAILED), (0.07, Status.UNDECIDED), (0.01, Status.PASSED)])
def test_equivariant_features_count_by_their_work(share: float, status: Status) -> None:
    assert batch(msgspec.structs.replace(FEATURES, share=share)).status is status


def test_repeated_kernels_count_when_they_are_much_of_the_network() -> None:
    assert batch(KERNELS).status is Status.FAILED
    assert batch(msgspec.structs.replace(KERNELS, share=0.2)).status is Status.PASSED


PROPOSED = (
    COPIES,
    SHARED,
    msgspec.structs.replace(BRANCHES, alike=0.9, transform=Transform.MIRRORED),
    FEATURES,
    KERNELS,
    FOLD,
)


#: What is seen in pixels, in features of the changed image or in kernels.
SEEN_EXACTLY = (StackedCopies, ParallelBranches, EquivariantFeatures)


@pytest.mark.parametrize("seen", PROPOSED, ids=lambda seen: type(seen).__name__)
@pytest.mark.parametrize(
    ("shown", "status", "words"),
    [
        ({}, Status.FAILED, "confirmed: with the second part fed another image the embedding moves 0.50"),
        ({"stages": 1}, None, "not confirmed"),
        ({"pure": 0.1}, None, "not confirmed"),
        ({"alone": (0.5, 0.01)}, None, "50% and 1% of the multiply-adds behind them"),
        ({"alone": (0.5, 0.04)}, Status.UNDECIDED, "not confirmed"),
        ({"moved": ((0.0, 0.01, 0.02), (0.9, 1.0, 1.0))}, None, "0.01 (0.00 to 0.02)"),
        ({"moved": ((-0.001, 0.0, 0.001), (0.9, 1.0, 1.0))}, Status.PASSED, "0.00 (-0.00 to 0.00)"),
        ({"moved": ((0.0, 0.02, 0.04), (0.9, 1.0, 1.0))}, Status.UNDECIDED, "not confirmed"),
    ],
)
def test_only_an_intervention_makes_a_proof(
    seen: Observation, shown: dict[str, object], status: Status | None, words: str
) -> None:
    """None: it was refuted that the two go on as two looks; a second view that was seen exactly is undecided then.

    Not so where the next layer mixes the two: they may be one layer, written as two.
    """
    if status is None:
        mixed = "pure" in shown
        status = Status.UNDECIDED if isinstance(seen, SEEN_EXACTLY) and not mixed else Status.PASSED
    outcome = batch(msgspec.structs.replace(seen, intervention=msgspec.structs.replace(SHOWN, **shown)))
    assert outcome.status is status
    assert words in outcome.message + " ".join(outcome.notes)


def test_an_undecided_view_that_an_intervention_refutes_is_a_note_where_it_moves_nothing() -> None:
    small = msgspec.structs.replace(FEATURES, share=0.07)
    assert batch(small).status is Status.UNDECIDED
    refuted = msgspec.structs.replace(SHOWN, stages=1)
    assert batch(msgspec.structs.replace(small, intervention=refuted)).status is Status.UNDECIDED
    still = msgspec.structs.replace(refuted, moved=((0.9, 1.0, 1.0), (-0.001, 0.0, 0.001)))
    outcome = batch(msgspec.structs.replace(small, intervention=still))
    assert outcome.status is Status.PASSED
    assert "not confirmed" in outcome.notes[0]


@pytest.mark.parametrize(
    ("change", "moved", "status"),
    [
        ({"channels": 16}, 0.03, Status.FAILED),
        ({"channels": 15}, 0.03, Status.UNDECIDED),
        ({"channels": 16}, 0.029, Status.PASSED),
        ({"channels": 16, "share": 0.05}, 0.03, Status.PASSED),
        ({"channels": 16, "home": FeatureHome.PARTS, "parts": (0, 1)}, 0.03, Status.PASSED),
    ],
)
def test_a_bank_of_kernels_stored_again_for_a_changed_image_is_a_second_look(
    change: dict[str, object], moved: float, status: Status
) -> None:
    """Attention mixes the two at once, so that neither goes on apart; each moves the embedding."""
    shown = msgspec.structs.replace(SHOWN, stages=0, pure=0.01, moved=((0.9, 0.95, 1.0), (0.01, moved, 0.2)))
    seen = msgspec.structs.replace(FEATURES, pairs=1, tokens=True, intervention=shown)
    outcome = batch(msgspec.structs.replace(seen, **change))
    assert outcome.status is status
    assert ("shown by feeding both: 16 channels of one give" in outcome.message) == (status is Status.FAILED)


@pytest.mark.parametrize(("looks", "status"), [(True, Status.UNDECIDED), (False, Status.PASSED)])
def test_a_whole_network_that_runs_twice_is_open_however_little_the_second_run_moves(
    looks: bool, status: Status
) -> None:
    little = msgspec.structs.replace(SHOWN, moved=((0.9, 1.0, 1.0), (-0.002, 0.005, 0.013)))
    assert batch(msgspec.structs.replace(SHARED, looks=looks, intervention=little)).status is status


@pytest.mark.parametrize(
    "change",
    [
        {"from_image": False},
        {"difference": Difference(relation=Relation.SHIFTED, rank=4, shift=(0, 0, 0, -1))},
        {"intervention": msgspec.structs.replace(SHOWN, stages=0, pure=0.84)},
    ],
)
def test_versions_that_are_refuted_are_a_note_where_windows_or_one_layer_make_them(change: dict[str, object]) -> None:
    refuted = msgspec.structs.replace(COPIES, intervention=msgspec.structs.replace(SHOWN, stages=1))
    assert batch(refuted).status is Status.UNDECIDED
    assert batch(msgspec.structs.replace(refuted, **change)).status is Status.PASSED


@pytest.mark.parametrize("seen", PROPOSED, ids=lambda seen: type(seen).__name__)
def test_a_hypothesis_that_could_not_be_tried_is_undecided(seen: Observation) -> None:
    outcome = batch(msgspec.structs.replace(seen, intervention=None))
    assert outcome.status is Status.UNDECIDED
    assert "nothing could be done to the two" in outcome.message


@pytest.mark.parametrize(
    ("change", "kept", "status"),
    [
        ({}, 0.998, Status.FAILED),
        ({}, 0.7, Status.UNDECIDED),
        ({}, 0.1, Status.PASSED),
        ({"alike": 0.1}, 0.998, Status.UNDECIDED),
        ({"alike": 0.1, "alike_unchanged": 0.9}, 0.998, Status.FAILED),
        ({"alike": 0.1, "reordered": 0.9}, 0.998, Status.FAILED),
        ({"alike": 0.1, "coupling": 0.0}, 0.998, Status.PASSED),
    ],
)
def test_two_networks_in_one(change: dict[str, object], kept: float, status: Status) -> None:
    shown = Decoupled(layers=9, kept=kept, exchanged=SHOWN)
    outcome = batch(msgspec.structs.replace(GROUPS, intervention=shown, **change))
    assert outcome.status is status
    assert f"cosine {kept:.3f}" in outcome.message + " ".join(outcome.notes)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"kind": ViewKind.RESAMPLED, "scale": (0.8, 0.8), "via": ("Gather_3",)}, Status.FAILED),
        # A residual of the image and of features of it: no operator moved anything.
        ({"kind": ViewKind.RESAMPLED, "scale": (0.8, 0.8), "via": ()}, Status.UNDECIDED),
        ({"kind": ViewKind.RESAMPLED, "scale": (2.0, 2.0), "offset": (0.5, 0.5), "pooled": True}, Status.PASSED),
        (
            {
                "kind": ViewKind.RESAMPLED,
                "scale": (2.0, 2.0),
                "offset": (-56.0, -56.0),
                "pooled": True,
                "via": ("P_1",),
            },
            Status.FAILED,
        ),
        # A kernel smaller than its stride leaves pixels out all over; a crop leaves out an edge.
        ({"coverage": 0.73, "together": 0.73, "box": (-1, -1, -1, -1)}, Status.UNDECIDED),
        ({"coverage": 0.3, "together": 0.3, "box": (-1, -1, -1, -1)}, Status.FAILED),
        ({"coverage": 0.73, "together": 0.73, "box": (0, 0, 95, 95)}, Status.FAILED),
        ({"kind": ViewKind.PREDICTED}, Status.FAILED),
        ({"kind": ViewKind.IN_PLACE}, Status.PASSED),
        # Where no place is told by what was fed, dots put on images have to be elsewhere.
        ({"kind": ViewKind.RESAMPLED, "via": ("Gather_3",)}, Status.UNDECIDED),
        ({"kind": ViewKind.RESAMPLED, "via": ("Gather_3",), "elsewhere": 0.24}, Status.UNDECIDED),
        ({"kind": ViewKind.RESAMPLED, "via": ("Gather_3",), "elsewhere": 0.25}, Status.FAILED),
        ({"kind": ViewKind.CHOSEN, "elsewhere": 0.0}, Status.UNDECIDED),
        ({"kind": ViewKind.CHOSEN, "elsewhere": 0.9}, Status.FAILED),
        ({"kind": ViewKind.SMOOTHED}, Status.UNDECIDED),
        ({"kind": ViewKind.SMOOTHED, "interpolated": True}, Status.FAILED),
        ({"kind": ViewKind.SMOOTHED, "interpolated": True, "own_brightness": True}, Status.UNDECIDED),
        ({"kind": ViewKind.SMOOTHED, "own_brightness": True, "elsewhere": 0.5}, Status.FAILED),
        ({"coverage": 0.9, "together": 0.9, "box": (0, 0, 100, 111)}, Status.FAILED),
        ({"coverage": 0.5, "together": 1.0}, Status.PASSED),
        ({"coverage": 0.6, "together": 0.6, "masked": True}, Status.PASSED),
    ],
)
def test_what_the_first_layer_sees(change: dict[str, object], status: Status) -> None:
    assert alignment(msgspec.structs.replace(WHOLE, **change)).status is status


def test_a_crop_on_one_way_is_one_whatever_is_seen_on_another() -> None:
    crop = msgspec.structs.replace(WHOLE, coverage=0.25, together=0.25, box=(28, 28, 83, 83), branch="'If_3' true")
    other = msgspec.structs.replace(WHOLE, branch="'If_3' false")
    assert alignment(crop, other).status is Status.FAILED
    assert alignment(msgspec.structs.replace(crop, together=1.0), other).status is Status.PASSED


@pytest.mark.parametrize("seen", [STEERED, GRID], ids=["steered", "grid"])
@pytest.mark.parametrize(
    ("recovered", "status"),
    [(1.0, Status.FAILED), (0.7, Status.FAILED), (0.69, Status.UNDECIDED), (0.45, Status.UNDECIDED),
     (0.44, Status.PASSED), (0.0, Status.PASSED)],
)  # fmt: skip
def test_placing_features_anew_counts_by_how_much_of_the_image_they_hold(
    seen: SteeredPlaces | EarlyGrid, recovered: float, status: Status
) -> None:
    outcome = alignment(WHOLE, msgspec.structs.replace(seen, recovered=recovered))
    assert outcome.status is status
    said = " ".join((outcome.message, *outcome.notes))
    told = isinstance(seen, SteeredPlaces) or status is not Status.PASSED
    assert (f"gives back {recovered:.0%} of the variation of independent pixels" in said) is told


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (Steered.DISPLACED, "displaced by about (0.3, 2) pixels, which explains 98.0% of the change"),
        (Steered.STEPPED, "move by (+0.3, +2) pixels"),
        (Steered.TURNED, "are mirrored, which"),
        (Steered.POSITIONS, "differ by up to 0.3 between two images"),
        (Steered.DECIDED, "a condition on the image places: with ReduceMean_1"),
    ],
)
def test_the_intervention_is_the_evidence(how: Steered, words: str) -> None:
    outcome = alignment(msgspec.structs.replace(STEERED, how=how, turn=Transform.MIRRORED))
    assert words in outcome.message
    assert "ReduceMean_1" in outcome.message
    assert outcome.evidence[0].where == "node 'MatMul_4'"


def test_positions_that_never_moved_and_learned_grids_are_not_proof() -> None:
    still = msgspec.structs.replace(STEERED, how=Steered.POSITIONS, agree=0)
    assert alignment(still).status is Status.UNDECIDED
    assert "another image that moves them would decide it" in alignment(still).message
    assert alignment(msgspec.structs.replace(GRID, learned=True)).status is Status.UNDECIDED


def test_a_rulebook_may_let_features_be_enlarged() -> None:
    smaller = msgspec.structs.replace(GRID, scale=(1.25, 1.25))
    assert [sign.weight for sign in weigh_grids([GRID, smaller], enlarging=True)] == ["unsure", "proof"]


def test_facts_survive_json() -> None:
    seen = (WHOLE, FINE, COPIES, SHARED, BRANCHES, FEATURES, GROUPS, KERNELS, FOLD, STEERED, GRID, GAP)
    assert {type(entry) for entry in seen} == set(get_args(Observation))
    known = ImplicitBatchFacts(layers=9, macs=100, observations=seen)
    assert msgspec.json.decode(msgspec.json.encode(known), type=ImplicitBatchFacts) == known


@pytest.mark.parametrize(
    ("apart", "status"), [(-1.0, Status.UNDECIDED), (0.3, Status.UNDECIDED), (1e-6, Status.FAILED)]
)
def test_one_pair_of_layers_is_a_look_where_one_function_goes_on(apart: float, status: Status) -> None:
    """Two first filters that are each other turned may begin two streams; not where both are put to one use."""
    shown = msgspec.structs.replace(SHOWN, apart=apart)
    found = msgspec.structs.replace(FEATURES, pairs=1, intervention=shown)
    assert batch(found).status is status


@pytest.mark.parametrize(("stages", "status"), [(1, Status.PASSED), (2, Status.UNDECIDED)])
def test_the_same_twice_is_open_where_the_two_go_on_apart(stages: int, status: Status) -> None:
    """A number for each channel, spread over the places of a map, is the same everywhere and no second look."""
    same = msgspec.structs.replace(
        COPIES, difference=Difference(relation=Relation.IDENTICAL, rank=4), from_image=False,
        intervention=msgspec.structs.replace(SHOWN, stages=stages),
    )  # fmt: skip
    assert batch(same).status is status


@pytest.mark.parametrize("relation", [Relation.SHIFTED, Relation.REARRANGED])
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"axis": 3}, Status.UNDECIDED),
        ({"axis": 0}, Status.FAILED),
        ({"axis": 3, "from_image": True}, Status.FAILED),
    ],
)
def test_windows_of_features_are_no_proof(relation: Relation, change: dict[str, object], status: Status) -> None:
    """A map that stands beside itself moved is what windows and shifted tokens make; images in a batch are not."""
    moved = Difference(relation=relation, rank=4, shift=(0, 0, 0, -1))
    stack = msgspec.structs.replace(COPIES, difference=moved, from_image=False, coverage=1.0)
    assert batch(msgspec.structs.replace(stack, **change)).status is status


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"coverage": 0.94}, Status.UNDECIDED),
        ({"coverage": 0.95}, Status.FAILED),
        ({"coverage": 0.94, "from_image": True}, Status.FAILED),
    ],
)
def test_the_halves_of_a_spectrum_are_no_proof(change: dict[str, object], status: Status) -> None:
    turned = Difference(relation=Relation.ROTATED, rank=4, mirrored=(2, 3))
    stack = msgspec.structs.replace(COPIES, difference=turned, from_image=False, axis=3)
    assert batch(msgspec.structs.replace(stack, **change)).status is status
