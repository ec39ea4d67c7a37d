"""The checks on facts made by hand: every status, at the limit and beside it."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from pytest_facechallenge.analyses.accuracy.parametrize import expand_cases
from pytest_facechallenge.checks import accuracy as checks
from pytest_facechallenge.checks.preprocessing import rgb_order
from pytest_facechallenge.core.facts.accuracy import (
    AccuracyFacts,
    ColourOrder,
    FoldAccuracy,
    HardPair,
    ImageProblem,
    Interval,
    PairCounts,
    PointResult,
    SetResult,
    SuppliedTestset,
)
from pytest_facechallenge.core.facts.base import Facts, FactsMissingError
from pytest_facechallenge.core.facts.preprocessing import Channel, FirstLayer, PreprocessingFacts
from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.engine.judge import judge_rule
from tests.analyses.accuracy.test_parametrize import BOOK, rule

POINT = PointResult(
    far="1e-2",
    comparison="<",
    tar=0.5,
    threshold=0.31,
    allowed_false_accepts=7,
    false_accepts=7,
    boundary_ties=1,
    genuine_pairs=40,
    genuine_accepted=20,
    tar_at_plus_eps=0.5,
    tar_at_minus_eps=0.5,
    interval=Interval(low=0.4, high=0.6, confidence=0.95, method="subsets-bootstrap", units=20),
    undecided="",
    impostor_pairs_needed=100,
    impostor_pairs_for_rule_of_30=3000,
    below_rule_of_30=False,
)
MASK = SetResult(
    testset="mine",
    set="mask",
    official=True,
    protocol="cross",
    images=60,
    probe_images=20,
    gallery_images=40,
    identities=20,
    pairs=PairCounts(genuine=40, impostor=760, genuine_ordered=40, impostor_ordered=760),
    points=(POINT,),
    hardest_genuine=(HardPair(left="mask/p/0.png", right="nonmask/p/1.png", score=0.01),),
)
MR = msgspec.structs.replace(
    MASK,
    set="mr-all",
    protocol="all-to-all",
    images=80,
    probe_images=0,
    gallery_images=0,
    points=(
        msgspec.structs.replace(
            POINT, far="1e-3", tar=0.7, genuine_accepted=28, tar_at_plus_eps=0.7, tar_at_minus_eps=0.7
        ),
    ),
)
MINE = SuppliedTestset(name="mine", path="/mine", form="mask pair", images=60, entries=60, identities=20)


def facts(*results: SetResult, testset: SuppliedTestset = MINE, **rest: Any) -> Facts:
    return Facts.of(AccuracyFacts(testsets=(testset,), sets=results, **rest))


def point(result: SetResult, **changes: Any) -> SetResult:
    changed = msgspec.structs.replace(result.points[0], **changes)
    return msgspec.structs.replace(result, points=(changed,))


def judged(*results: SetResult, threshold: float | str | None = None, **changes: Any) -> Outcome:
    return checks.accuracy(facts(*results), case(threshold, **changes))


def case(threshold: float | str | None = None, **changes: Any) -> Rule:
    parameters = {
        "testset": "mine",
        "set": "mask",
        "official": True,
        "protocol": "cross",
        "far": "1e-2",
        "comparison": "<",
        "threshold": threshold,
        **changes,
    }
    return msgspec.structs.replace(rule("accuracy"), case="mask", parameters=parameters)


def test_without_a_threshold_a_score_is_a_measurement_and_passes() -> None:
    outcome = judged(MASK)
    assert outcome.status is Status.PASSED
    assert outcome.measured == "50.000 % (95 %: 40.000 to 60.000)"
    assert "this is a measurement" in outcome.message
    assert any("by resampling 20 identities" in each.what for each in outcome.evidence)
    assert any("ordered: 40 and 760" in each.what for each in outcome.evidence)
    assert any("mask/p/0.png | nonmask/p/1.png: 0.0100" in each.what for each in outcome.evidence)


@pytest.mark.parametrize(
    ("threshold", "status"), [(0.5, Status.PASSED), (0.500001, Status.FAILED), (0.0, Status.PASSED)]
)
def test_a_threshold_decides_at_its_value(threshold: float, status: Status) -> None:
    outcome = judged(MASK, threshold=threshold)
    assert outcome.status is status
    assert outcome.limit == f">= {100 * threshold:.3f} %"


def test_a_published_row_decides_on_the_challenge_s_own_set_only() -> None:
    assert judged(MASK, threshold="middling").status is Status.PASSED
    assert judged(MASK, threshold="strong").status is Status.FAILED
    for change in ({"identities": 19}, {"probe_images": 21}, {"gallery_images": 39}, {"images": 61}):
        outcome = judged(msgspec.structs.replace(MASK, **change), threshold="weak")
        assert outcome.status is Status.UNDECIDED
        assert "not comparable with >= 10.000 % (the published row weak)" in outcome.message
        assert str(next(iter(change.values()))) in outcome.message


def test_a_set_without_published_counts_is_never_comparable() -> None:
    row = msgspec.structs.replace(BOOK.baselines[0], tar={**BOOK.baselines[0].tar, "children": 0.5})
    book = msgspec.structs.replace(BOOK, baselines=[row])
    children = msgspec.structs.replace(MASK, set="children")
    outcome = checks.accuracy(facts(children), msgspec.structs.replace(case(set="children"), book=book))
    assert outcome.status is Status.PASSED
    assert any("publishes no counts" in note for note in outcome.notes)


def test_where_nothing_is_published_nothing_is_said_of_comparing() -> None:
    children = msgspec.structs.replace(MASK, set="children")
    assert not judged(children, set="children").notes
    alone = msgspec.structs.replace(BOOK, baselines=[])
    changed = msgspec.structs.replace(rule("ranking_score"), book=alone, parameters={"threshold": None})
    outcome = checks.ranking_score(facts(MASK, msgspec.structs.replace(MR, images=81)), changed)
    assert (outcome.status, outcome.notes) == (Status.PASSED, ())


def test_a_result_of_another_rulebook_s_set_of_that_name_is_not_taken() -> None:
    """Two rulebooks may call different sets by one name: other groups, another protocol, other pixels."""
    for change in ({"select": {"set": ("mine",)}}, {"protocol": "all-to-all"}, {"raw": True}, {"flip": True}):
        other = msgspec.structs.replace(point(MASK, tar=0.9, genuine_accepted=36), **change)
        assert judged(other).status is Status.UNDECIDED
        assert judged(other, MASK).measured.startswith("50.000 %")
    elsewhere = msgspec.structs.replace(MR, protocol="cross")
    assert ranking(MASK, elsewhere, MR).measured == "65.000 %"
    assert ranking(MASK, elsewhere).status is Status.NOT_APPLICABLE


def test_a_row_that_lacks_the_set_is_told() -> None:
    outcome = judged(msgspec.structs.replace(MASK, set="children"), threshold="weak", set="children")
    assert outcome.status is Status.UNDECIDED
    assert "has no published TAR for children" in outcome.message


@pytest.mark.parametrize("threshold", [None, 0.4])
def test_too_few_impostor_pairs_are_undecided_with_the_number_needed(threshold: float | None) -> None:
    short = point(MASK, undecided="only 760 impostor pairs", impostor_pairs_needed=1000)
    outcome = judged(short, threshold=threshold)
    assert outcome.status is Status.UNDECIDED
    assert outcome.measured == "undecided: 760 of 1,000 impostor pairs", "a TAR here would be taken for a result"
    assert any("too few impostor pairs for this to be a result" in each.what for each in outcome.evidence)
    assert "only 760 impostor pairs" in outcome.message
    assert "at least 1,000 impostor pairs" in outcome.remedy


def test_below_the_rule_of_30_is_a_warning_and_decides() -> None:
    outcome = judged(point(MASK, below_rule_of_30=True), threshold=0.4)
    assert outcome.status is Status.PASSED
    assert any("fewer than 30/FAR = 3,000" in note for note in outcome.notes)


def test_no_genuine_pair_is_undecided() -> None:
    outcome = judged(point(MASK, tar=None))
    assert (outcome.status, outcome.measured) == (Status.UNDECIDED, "undecided: no genuine pair")


def test_a_score_of_a_part_of_the_testset_decides_no_threshold() -> None:
    part = msgspec.structs.replace(MASK, excluded=2)
    assert judged(part, threshold=0.4).status is Status.UNDECIDED
    measured = judged(part)
    assert measured.status is Status.PASSED
    assert any("2 entries were left out" in note for note in measured.notes)


def test_embeddings_without_a_direction_fail() -> None:
    outcome = judged(msgspec.structs.replace(MASK, error="NaN", unusable=("p/0.png",), unusable_count=1))
    assert outcome.status is Status.FAILED
    assert outcome.evidence[0].where == "p/0.png"


def test_a_set_that_could_not_be_scored_is_undecided() -> None:
    outcome = judged(msgspec.structs.replace(MASK, error="a column is needed"), threshold=0.4)
    assert outcome.status is Status.UNDECIDED
    assert "a column is needed" in outcome.message


def test_a_testset_that_gave_nothing_says_why() -> None:
    broken = msgspec.structs.replace(MINE, error="it is empty")
    outcome = checks.accuracy(facts(testset=broken), case(0.5))
    assert outcome.status is Status.UNDECIDED
    assert "it is empty" in outcome.message


def test_a_threshold_without_a_testset_is_undecided_and_says_what_to_give() -> None:
    expanded = {each.case: each for each in expand_cases(rule("accuracy"), BOOK, [])}
    outcome = checks.accuracy(Facts.of(), expanded["mask"])
    assert outcome.status is Status.UNDECIDED
    assert outcome.remedy == "Give a testset: --facechallenge-testset mask=PATH."
    assert outcome.limit == ">= 50.000 %"


def test_neither_testset_nor_threshold_is_not_applicable() -> None:
    (plain,) = expand_cases(rule("accuracy", "B"), BOOK, [])
    assert checks.accuracy(Facts.of(), plain).status is Status.NOT_APPLICABLE


def test_missing_facts_are_never_a_pass() -> None:
    with pytest.raises(FactsMissingError):
        checks.accuracy(Facts.of(), case())


def test_cases_of_saved_facts_are_those_that_were_measured() -> None:
    saved = AccuracyFacts(testsets=(MINE,), sets=(MASK,))
    expanded = expand_cases(rule("accuracy", "B"), BOOK, [], facts=saved)
    assert [each.case for each in expanded] == ["mask"]
    assert checks.accuracy(Facts.of(saved), expanded[0]).status is Status.PASSED


def test_saved_facts_of_several_rulebooks_are_judged_at_the_track_s_own_points() -> None:
    """A report holds the points that all its tracks asked for; a replay must give what the run itself gave."""
    both = msgspec.structs.replace(MASK, points=(msgspec.structs.replace(POINT, far="1e-6"), POINT))
    foreign = msgspec.structs.replace(MASK, set="ijbc")
    other_pixels = msgspec.structs.replace(MASK, raw=True)
    stranger = msgspec.structs.replace(MASK, set="faces", official=False)
    saved = AccuracyFacts(testsets=(MINE,), sets=(other_pixels, foreign, both, stranger))
    expanded = expand_cases(rule("accuracy", "B"), BOOK, [], facts=saved)
    assert [(each.case, each.parameters["far"]) for each in expanded] == [("mask", "1e-2"), ("faces@1e-2", "1e-2")]
    narrower = msgspec.structs.replace(BOOK.sets["mask"], far="1e-5")
    book = msgspec.structs.replace(BOOK, sets={**BOOK.sets, "mask": narrower})
    (tightened, _faces) = expand_cases(rule("accuracy", "B", book), book, [], facts=saved)
    outcome = checks.accuracy(Facts.of(saved), tightened)
    assert outcome.status is Status.UNDECIDED
    assert "not measured at FAR < 1e-5" in outcome.message


FOLDS = FoldAccuracy(mean=0.9, deviation=0.01, accuracies=(0.9,) * 10, thresholds=(0.3,) * 10, pairs=6000)


def test_fold_accuracy_has_thresholds_too() -> None:
    result = msgspec.structs.replace(MASK, set="lfw", official=False, folds=FOLDS)
    assert judged(result, set="lfw", far="").status is Status.PASSED
    assert judged(result, threshold=0.9, set="lfw", far="").status is Status.PASSED
    assert judged(result, threshold=0.91, set="lfw", far="").status is Status.FAILED
    part = msgspec.structs.replace(result, excluded=1, excluded_pairs=3)
    assert judged(part, threshold=0.5, set="lfw", far="").status is Status.UNDECIDED
    assert judged(msgspec.structs.replace(result, folds=None), set="lfw", far="").status is Status.UNDECIDED


def ranking(*results: SetResult, threshold: float | str | None = None) -> Outcome:
    changed = msgspec.structs.replace(rule("ranking_score"), parameters={"threshold": threshold})
    return checks.ranking_score(facts(*results), changed)


def test_the_ranking_score_is_the_weighted_sum() -> None:
    outcome = ranking(MASK, MR)
    assert outcome.status is Status.PASSED
    assert outcome.measured == "65.000 %"  # 0.25 * 0.5 + 0.75 * 0.7
    assert any("place 2 of 4" in note and "strong (0.99900)" in note and "middling" in note for note in outcome.notes)


@pytest.mark.parametrize(
    ("threshold", "status"),
    [(0.65, Status.PASSED), (0.651, Status.FAILED), ("middling", Status.PASSED), ("strong", Status.FAILED)],
)
def test_the_ranking_score_has_thresholds(threshold: float | str, status: Status) -> None:
    assert ranking(MASK, MR, threshold=threshold).status is status


def test_a_stranger_s_ranking_score_takes_no_place() -> None:
    stranger = msgspec.structs.replace(MR, images=81)
    outcome = ranking(MASK, stranger)
    assert outcome.status is Status.PASSED
    assert any("Not comparable" in note and "81 images instead of 80" in note for note in outcome.notes)
    assert not any("place" in note for note in outcome.notes)
    assert ranking(MASK, stranger, threshold=0.6).status is Status.PASSED
    assert ranking(MASK, stranger, threshold="weak").status is Status.UNDECIDED


def test_the_ranking_score_needs_both_sets() -> None:
    assert ranking(MASK).status is Status.NOT_APPLICABLE
    outcome = ranking(MASK, threshold=0.1)
    assert outcome.status is Status.UNDECIDED
    assert outcome.remedy == "Give a testset: --facechallenge-testset mr-all=PATH."
    assert ranking(MASK, MASK, MR).status is Status.UNDECIDED
    too_few = ranking(MASK, point(MR, undecided="too few"))
    assert (too_few.status, too_few.measured) == (Status.UNDECIDED, "")
    assert ranking(MASK, msgspec.structs.replace(MR, official=False)).status is Status.NOT_APPLICABLE


def test_where_one_set_ranks_its_tar_is_the_score() -> None:
    book = msgspec.structs.replace(BOOK, ranking=None, sets={"mask": BOOK.sets["mask"]}, baselines=[])
    changed = msgspec.structs.replace(rule("ranking_score"), book=book)
    outcome = checks.ranking_score(facts(MASK), changed)
    assert outcome.status is Status.PASSED
    assert outcome.measured == "50.000 %"


def test_every_image_counts() -> None:
    wanted = rule("testset_images")
    assert checks.testset_images(facts(MASK), wanted).status is Status.PASSED
    assert checks.testset_images(Facts.of(AccuracyFacts()), wanted).status is Status.NOT_APPLICABLE
    problem = ImageProblem(name="p/0.png", kind="size", what="60x50 pixels")
    broken = msgspec.structs.replace(MINE, problems=(problem,), problem_count=1)
    outcome = checks.testset_images(facts(MASK, testset=broken), wanted)
    assert outcome.status is Status.UNDECIDED
    assert outcome.measured == "59 of 60 usable"
    assert (outcome.evidence[0].where, outcome.evidence[0].what) == ("p/0.png", "60x50 pixels")
    assert outcome.notes == ("mine: p/0.png cannot be used: 60x50 pixels",)
    many = msgspec.structs.replace(MINE, problems=(problem,) * 7, problem_count=7)
    notes = checks.testset_images(facts(MASK, testset=many), wanted).notes
    assert len(notes) == 6
    assert "--facechallenge-json" in notes[-1]


def test_a_testset_that_failed_has_nothing_usable() -> None:
    wanted = rule("testset_images")
    unread = msgspec.structs.replace(MINE, images=0, entries=0, error="lfw.bin: expected two images for each answer")
    outcome = checks.testset_images(facts(testset=unread), wanted)
    assert outcome.measured == "0 usable"
    assert outcome.message == "The testset 'mine' cannot be used: lfw.bin: expected two images for each answer."
    late = msgspec.structs.replace(MINE, error="the model's output is no stack of embeddings")
    assert checks.testset_images(facts(testset=late), wanted).measured == "0 of 60 usable"
    unscored = msgspec.structs.replace(MASK, error="a column 'masked' is needed", points=())
    outcome = checks.testset_images(facts(unscored), wanted)
    assert outcome.measured == "0 of 60 usable"
    assert "a column 'masked' is needed" in outcome.message
    assert checks.testset_images(facts(unscored, MASK), wanted).status is Status.PASSED


def test_the_summary_has_what_a_rule_that_only_measures_found() -> None:
    unread = msgspec.structs.replace(MINE, images=0, error="lfw.bin: expected two images for each answer")
    measuring = msgspec.structs.replace(rule("testset_images"), level="measurement", check="testset_images")
    outcome = judge_rule(facts(testset=unread), measuring)
    assert outcome.status is Status.NOT_APPLICABLE
    assert outcome.notes[0] == "The testset 'mine' cannot be used: lfw.bin: expected two images for each answer."


LAYER = FirstLayer(
    node="conv",
    op="Conv",
    channels=tuple(Channel(source=source, gain=1.0, offset=0.0) for source in range(3)),
    through=(),
)
STRUCTURE = PreprocessingFacts(
    layers=(LAYER,), obstacle="", first_names=(), normalises=False, server_mean=127.5, server_std=127.5
)


@pytest.mark.parametrize(
    "order",
    [
        ColourOrder(testset="mine", images=60, far="1e-1", tar_rgb=1.0, tar_bgr=1.0, low=0.0, high=0.0, units=20),
        ColourOrder(testset="mine", why_not="3 impostor pairs are too few"),
    ],
    ids=["grey or easy", "too few"],
)
def test_a_testset_that_tells_no_colour_order_takes_no_pass_away(order: ColourOrder) -> None:
    alone = rgb_order(Facts.of(STRUCTURE), rule("testset_images"))
    assert alone.status is Status.PASSED
    assert "cannot be seen in the graph" in alone.notes[0]
    both = rgb_order(Facts.of(STRUCTURE, AccuracyFacts(colour_order=order)), rule("testset_images"))
    assert both.status is Status.PASSED
    assert both.notes[0].startswith("Judged by the structure of the graph. ")
    decided = ColourOrder(
        testset="mine", images=60, far="1e-1", tar_rgb=0.4, tar_bgr=0.9, low=-0.6, high=-0.4, units=20
    )
    facts_of_both = Facts.of(STRUCTURE, AccuracyFacts(colour_order=decided))
    assert rgb_order(facts_of_both, rule("testset_images")).status is Status.FAILED


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        (0.01, 0.2, Status.PASSED),
        (-0.2, -0.01, Status.FAILED),
        (-0.1, 0.1, Status.UNDECIDED),
        (0.0, 0.1, Status.UNDECIDED),
    ],
)
def test_the_colour_order_is_decided_by_significance(low: float, high: float, status: Status) -> None:
    order = ColourOrder(testset="mine", images=60, far="1e-1", tar_rgb=0.5, tar_bgr=0.4, low=low, high=high, units=20)
    assert checks.rgb_accuracy(facts(MASK, colour_order=order), rule("testset_images")).status is status


def test_the_colour_order_without_data_is_undecided() -> None:
    wanted = rule("testset_images")
    assert checks.rgb_accuracy(facts(MASK), wanted).status is Status.UNDECIDED
    order = ColourOrder(testset="mine", why_not="too few pairs")
    outcome = checks.rgb_accuracy(facts(MASK, colour_order=order), wanted)
    assert outcome.status is Status.UNDECIDED
    assert "too few pairs" in outcome.message


def test_published_pair_counts_stand_beside_our_own() -> None:
    table = msgspec.structs.replace(BOOK.sets["mask"], positive_pairs=13928, negative_pairs=96983824)
    book = msgspec.structs.replace(BOOK, sets={**BOOK.sets, "mask": table})
    outcome = checks.accuracy(facts(MASK), msgspec.structs.replace(case(), book=book))
    assert any(each.what == "13,928 positive and 96,983,824 negative pairs" for each in outcome.evidence)


def test_the_checks_import_nothing_heavy() -> None:
    code = (
        "import sys; import pytest_facechallenge.checks.accuracy, pytest_facechallenge.checks.feature_file;"
        "print([m for m in ('numpy', 'onnx', 'onnxruntime', 'PIL', 'scipy', 'filelock') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
