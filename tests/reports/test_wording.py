"""What decides a verdict, in a few words."""

from __future__ import annotations

import pytest

from pytest_facechallenge.core.outcome import Outcome, Status, VerdictWord
from pytest_facechallenge.reports import wording
from tests.support.reports import result, track


@pytest.mark.parametrize(
    ("measured", "limit", "said"),
    [
        ("640 values", "<= 512", "640 > 512"),
        ("measured: 10.4 ms (10.1 to 10.7)", "<= 10 ms", "10.4 > 10 ms"),
        ("1,200 MB (1,258,291,200 bytes)", "<= 1024 MB (1,073,741,824 bytes)", "1,200 > 1024 MB"),
        ("2 bytes per weight (float16)", ">= 4 bytes per weight", "2 < 4 bytes per weight"),
        ("5 nodes", ">= 8 nodes", "5 < 8 nodes"),
        ("512 values", "< 512", "512 >= 512"),
        ("3 tensors", "float32", "3 tensors"),
        ("12 s", "<= 10 ms", "12 s"),
        ("BGR", "RGB", "BGR"),
        ("", "<= 512", ""),
    ],
)
def test_measured_against_limit(measured: str, limit: str, said: str) -> None:
    assert wording.against_limit(Outcome(status=Status.FAILED, message="", measured=measured, limit=limit)) == said


def test_what_is_kept_is_never_said_to_pass_a_limit() -> None:
    assert wording.against_limit(Outcome(status=Status.PASSED, message="", measured="64", limit="<= 512")) == "64"


def test_causes_of_each_verdict() -> None:
    broken = track(result("embedding-dim", Status.FAILED, measured="640 values", limit="<= 512"), result("batch"))
    assert (broken.verdict.word, wording.all_causes(broken)) == (VerdictWord.NON_COMPLIANT, "embedding-dim 640 > 512")
    left = track(result("latency", Status.UNDECIDED), result("training-set", Status.UNDECIDED), result("batch"))
    assert wording.all_causes(left) == "2 rules open: latency, training-set"
    assert wording.all_causes(track(result("a"), result("b"))) == "all 2 rules kept"
    assert wording.all_causes(track()) == "no rule to judge"


def test_counts_add_up() -> None:
    rows = (result("a"), result("b", Status.FAILED), result("c", Status.UNDECIDED), result("d", Status.NOT_APPLICABLE))
    assert wording.counted(track(*rows)) == "1 passed, 1 broken, 1 open, 1 not applicable"


def test_rules_that_are_open_because_of_another_are_one_cause() -> None:
    root = result("batch", Status.UNDECIDED, message="This could not be observed: it died")
    other = result("images", Status.UNDECIDED, message="This could not be observed, because 'batch' failed: it died")
    assert len(wording.open_groups(track(root, other))) == 2
    (cause,) = wording.same_causes(track(root, other))
    assert cause.rules == ("batch", "images")
    assert cause.why.startswith("This could not be observed: ")
