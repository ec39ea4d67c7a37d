"""What a step's end is blamed on: the submission only for what it does again."""

from __future__ import annotations

import os

import pytest

from pytest_facechallenge.checks.package import onnx_valid
from pytest_facechallenge.core.facts.base import Facts, FailureKind, StepFailure
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.outcome import Outcome, Status
from tests.security.conftest import Runner
from tests.support.gathering import rule

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


@pytest.mark.parametrize("step", ["killed_once", "fault_once"])
def test_a_death_that_does_not_come_again_is_forgotten(run: Runner, step: str) -> None:
    found = run(step, "good")
    assert "facts" in found[step]
    assert "facts" in found["good"]
    assert any("tried once more" in line for line in run.lines)


def test_killed_from_outside_is_not_the_submission_s(run: Runner) -> None:
    failure = run("killed_always")["killed_always"]["failure"]
    assert failure["kind"] == "killed"
    assert "SIGKILL" in failure["message"]
    assert "twice" in failure["message"]


def test_a_fault_that_comes_again_is_the_submission_s(run: Runner) -> None:
    failure = run("segfault")["segfault"]["failure"]
    assert failure["kind"] == "crashed"
    assert "twice" in failure["message"]


def test_two_ways_of_dying_show_nothing(run: Runner) -> None:
    failure = run("fault_then_killed")["fault_then_killed"]["failure"]
    assert failure["kind"] == "killed"
    assert "SIGSEGV, then SIGKILL" in failure["message"]


def test_a_full_disk_is_the_machine_s(run: Runner) -> None:
    assert run("disk_full")["disk_full"]["failure"]["kind"] == "machine"


def judged(step: str, kind: FailureKind, because_of: str = "") -> Outcome:
    package = PackageFacts(form="onnx", entries=(), model_path="m", model_name="m", sha256="", bytes=1)
    failures = [StepFailure(step=step, kind=kind, message="it ended", because_of=because_of)]
    if because_of:
        failures.append(StepFailure(step=because_of, kind=FailureKind.KILLED, message="it ended"))
    return onnx_valid(Facts.of(package, *failures), rule("onnx-valid"))


@pytest.mark.parametrize("kind", sorted(FailureKind))
def test_only_what_shows_the_model_fails_the_rule(kind: FailureKind) -> None:
    outcome = judged("interface", kind)
    shows = kind in (FailureKind.CRASHED, FailureKind.ERROR)
    assert outcome.status is (Status.FAILED if shows else Status.UNDECIDED)
    assert outcome.remedy


def test_what_is_blocked_is_judged_by_what_blocks_it() -> None:
    assert judged("interface", FailureKind.BLOCKED, "package").status is Status.UNDECIDED
