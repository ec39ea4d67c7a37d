"""The check ``flops_budget``: at the limit, just above it, between both ends, and without a figure."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pytest_facechallenge.checks.flops import flops_budget
from pytest_facechallenge.core.facts.base import Facts, FactsMissingError, FailureKind, StepFailure
from pytest_facechallenge.core.facts.flops import FlopsFacts, Layer, Uncounted
from pytest_facechallenge.core.outcome import Outcome, Status

from .rules import rule

CAP = 1024**3


def facts(low: int, high: int | None = None, **more: Any) -> FlopsFacts:
    high = low if high is None else high
    layer = Layer(
        node="conv1",
        op="Conv",
        family="convolution",
        text="1x3x112x112 -> 1x64x56x56, 3x3",
        low=low,
        high=high,
        macs=low // 2,
        times=1,
        literal=True,
    )
    known: dict[str, Any] = {
        "image": "data 1x3x112x112",
        "low": low,
        "high": high,
        "literal": high,
        "macs": low // 2,
        "parameters": 1000,
        "layers": (layer,),
    }
    return FlopsFacts(**{**known, **more})


def judged(found: FlopsFacts, limit: int | None = CAP, decimal: int | None = 10**9) -> Outcome:
    return flops_budget(Facts.of(found), rule(limit, decimal=decimal))


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [
        (CAP, CAP, Status.PASSED),
        (CAP - 1, CAP, Status.PASSED),
        (CAP, CAP + 1, Status.UNDECIDED),
        (CAP + 1, CAP + 1, Status.FAILED),
        (CAP + 1, CAP + 9, Status.FAILED),
    ],
)
def test_cap_and_both_ends(low: int, high: int, status: Status) -> None:
    assert judged(facts(low, high)).status is status


def test_both_readings_of_1g_are_shown() -> None:
    outcome = judged(facts(1_000_000_001))
    assert outcome.status is Status.PASSED
    assert "73,741,823 FLOPs (6.87%) below the cap, 1,073,741,824" in outcome.notes
    assert "1 FLOPs (0.00%) above the cap read as a decimal number, 1,000,000,000" in outcome.notes


def test_macs_taken_for_flops() -> None:
    """0.9 "GFLOPs" by a tool that prints MACs are 1.8 here."""
    outcome = judged(facts(1_800_000_000))
    assert outcome.status is Status.FAILED
    assert "Its 900,000,000 multiply-accumulates would be within the cap" in outcome.message
    assert "multiply-accumulates would be within" not in judged(facts(3 * CAP)).message


def test_uncounted_nodes_leave_it_undecided() -> None:
    entry = Uncounted(node="magic", op="own.Magic", why="nobody knows it")
    outcome = judged(facts(10, uncounted=(entry,)))
    assert outcome.status is Status.UNDECIDED
    assert "node 'magic' (own.Magic)" in outcome.message
    assert outcome.measured == "10 FLOPs at least"
    assert outcome.evidence[0].what == "nobody knows it"


def test_above_the_cap_without_the_uncounted_nodes_is_a_failure() -> None:
    entry = Uncounted(node="magic", op="own.Magic", why="nobody knows it")
    assert judged(facts(CAP + 1, uncounted=(entry,))).status is Status.FAILED


@pytest.mark.parametrize("key", ["assumed", "problems"])
def test_figures_that_rest_on_guesses_are_undecided(key: str) -> None:
    guesses: dict[str, Any] = {key: ("axis 2 of input 'x' is left open: taken as 112",)}
    outcome = judged(facts(10, **guesses))
    assert outcome.status is Status.UNDECIDED
    assert "axis 2 of input 'x'" in outcome.message


def test_a_whole_batch_above_the_cap_is_no_image_above_it() -> None:
    guess = "the model is fixed to a batch of 32 and cannot be evaluated with 1"
    outcome = judged(facts(32 * 1000, batch=32, assumed=(guess,)), 1000)
    assert outcome.status is Status.UNDECIDED
    assert "a batch of 32 images (data 1x3x112x112) costs 32,000 FLOPs" in outcome.message
    assert judged(facts(32 * 1001, batch=32, assumed=(guess,)), 1000).status is Status.FAILED


@pytest.mark.parametrize(
    ("touched", "share", "status"),
    [
        (50, 0.1, Status.PASSED),  # 100 operations: exactly the share of 1,000
        (51, 0.1, Status.UNDECIDED),
        (51, 0.2, Status.PASSED),
    ],
)
def test_share_of_free_work(touched: int, share: float, status: Status) -> None:
    outcome = flops_budget(Facts.of(facts(1000, touched=touched)), rule(1050, free_share=share))
    assert outcome.status is status


def test_free_work_that_stays_within_the_cap_whatever_it_is() -> None:
    assert judged(facts(1000, touched=500), 2000).status is Status.PASSED
    assert judged(facts(1000, touched=501), 2000).status is Status.UNDECIDED


def test_a_rulebook_that_allows_no_share_leaves_none() -> None:
    without = msgspec.structs.replace(rule(1001), parameters={})
    assert flops_budget(Facts.of(facts(1000, touched=1)), without).status is Status.UNDECIDED


def test_far_above_the_cap_is_said_in_times() -> None:
    assert "24.0 times the cap, 1,000" in judged(facts(24_000), 1000).notes


def test_notes_say_what_the_figure_is_spent_on() -> None:
    notes = judged(facts(1000, touched=30, families={"convolution": 1000})).notes
    assert any(note.startswith("spent on convolution 100.0%; most by conv1 100.0%") for note in notes)
    assert any("touch 30 values (at two operations each 6.0% of the figure)" in note for note in notes)


def test_difference_from_the_literal_arithmetic_is_explained() -> None:
    first = facts(1000, 1100).layers[0]
    other = Layer(
        node="m", op="MatMul", family="matrix product", text="", low=50, high=50, macs=25, times=1, literal=False
    )
    found = facts(1050, 1150, literal=1100, layers=(first, other))
    note = next(note for note in judged(found).notes if "literally" in note)
    assert "gives 1,100 FLOPs" in note
    assert "differs by -50" in note
    assert "-100 for biases" in note
    assert "+50 for operators" in note


def test_no_cap_shows_the_figures() -> None:
    outcome = judged(facts(24 * 10**9), None, None)
    assert outcome.status is Status.NOT_APPLICABLE
    assert outcome.measured == "24,000,000,000 FLOPs"


def test_missing_facts_are_never_a_pass() -> None:
    broken = Facts.of(StepFailure(step="flops", kind=FailureKind.ERROR, message="it broke"))
    with pytest.raises(FactsMissingError, match="it broke"):
        flops_budget(broken, rule(CAP))


def test_evidence_names_the_dearest_layers() -> None:
    evidence = judged(facts(1000)).evidence
    assert evidence[0].where == "node 'conv1' (Conv)"
    assert "1,000 FLOPs (100.0%)" in evidence[0].what


def test_facts_survive_the_report() -> None:
    found = facts(1000, 1100)
    encoded = msgspec.json.encode(found)
    assert msgspec.json.decode(encoded, type=FlopsFacts) == found
    assert b'["conv1","Conv","convolution"' in encoded
