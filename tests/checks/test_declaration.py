"""What only people can state: complete, in line with the track, at the limit and just beyond."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_facechallenge.core.outcome import Status
from tests.support.gathering import judge, rule
from tests.support.models import network, save

RULES = (
    "training-set",
    "mask-augmentation",
    "no-external-data",
    "reproducible-solution",
    "submissions-per-day",
    "organization",
    "submission-window",
)
COMPLETE = """
schema = "facechallenge-declaration/1"
[training]
dataset = "MS1M-V3"
external_data = false
pretrained_models = false
[mask_augmentation]
used = true
tool = "mask tool 1.2"
reproduce = "seed 7"
[solution]
description = "paper.pdf"
code = "https://example.org/code"
[organization]
name = "Example"
[submission]
time = 2021-09-30T12:00:00-07:00
number_that_day = 3
"""


def judged(folder: Path, rule_id: str, text: str | None, track: str = "mfr21/A"):  # type: ignore[no-untyped-def]
    path = save(network(), folder / "entry" / "model.onnx")
    if text is not None:
        (folder / "entry" / "declaration.toml").write_text(text)
    return judge(path, rule_id, folder, track)


@pytest.mark.parametrize("rule_id", RULES)
def test_complete_declaration_passes(tmp_path: Path, rule_id: str) -> None:
    assert judged(tmp_path, rule_id, COMPLETE).status is Status.PASSED


@pytest.mark.parametrize("rule_id", RULES)
def test_without_declaration_undecided(tmp_path: Path, rule_id: str) -> None:
    outcome = judged(tmp_path, rule_id, None)
    assert outcome.status is Status.UNDECIDED
    assert "declaration.toml" in outcome.remedy


@pytest.mark.parametrize("rule_id", RULES)
def test_empty_declaration_is_undecided(tmp_path: Path, rule_id: str) -> None:
    assert judged(tmp_path, rule_id, 'schema = "facechallenge-declaration/1"\n').status is Status.UNDECIDED


@pytest.mark.parametrize(
    ("rule_id", "change", "status"),
    [
        ("training-set", ('"MS1M-V3"', '"ms1m retinaface"'), Status.PASSED),
        ("training-set", ('"MS1M-V3"', '"Glint360K"'), Status.FAILED),
        ("training-set", ('"MS1M-V3"', '"MS1M-V3 and my own"'), Status.FAILED),
        ("mask-augmentation", ("used = true", "used = false"), Status.PASSED),
        ("mask-augmentation", ('reproduce = "seed 7"', ""), Status.UNDECIDED),
        ("no-external-data", ("external_data = false", "external_data = true"), Status.FAILED),
        ("no-external-data", ("pretrained_models = false", "pretrained_models = true"), Status.FAILED),
        ("reproducible-solution", ('code = "https://example.org/code"', 'code = " "'), Status.UNDECIDED),
        ("submissions-per-day", ("= 3", "= 4"), Status.FAILED),
        # A number that is none makes the declaration unreadable, which is one finding, of another rule.
        ("submissions-per-day", ("= 3", "= 0"), Status.UNDECIDED),
        ("submission-window", ("2021-09-30T12:00:00-07:00", "2021-10-01T23:59:59-07:00"), Status.PASSED),
        ("submission-window", ("2021-09-30T12:00:00-07:00", "2021-10-02T14:59:59+08:00"), Status.PASSED),
        ("submission-window", ("2021-09-30T12:00:00-07:00", "2021-10-02T00:00:00-07:00"), Status.FAILED),
        ("submission-window", ("2021-09-30T12:00:00-07:00", "2021-05-31T23:59:59-07:00"), Status.FAILED),
        ("submission-window", ("2021-09-30T12:00:00-07:00", "2021-09-30T12:00:00"), Status.UNDECIDED),
    ],
)
def test_statements(tmp_path: Path, rule_id: str, change: tuple[str, str], status: Status) -> None:
    assert change[0] in COMPLETE
    assert judged(tmp_path, rule_id, COMPLETE.replace(*change)).status is status


@pytest.mark.parametrize(
    ("track", "dataset", "status"),
    [
        ("mfr21/B", "Glint360K", Status.PASSED),
        ("mfr21/B", "MS1M-V3", Status.FAILED),
        ("lfr19/deepglint-light", "ms1m-retinaface", Status.PASSED),
        ("lfr19/deepglint-light", "Glint360K", Status.FAILED),
    ],
)
def test_training_set_of_other_tracks(tmp_path: Path, track: str, dataset: str, status: Status) -> None:
    text = COMPLETE.replace("MS1M-V3", dataset)
    assert judged(tmp_path, "training-set", text, track).status is status


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not toml at all", "cannot be used"),
        (COMPLETE.replace("facechallenge-declaration/1", "2"), "schema"),
        (COMPLETE.replace("dataset", "datasets"), "training.datasets"),
        (COMPLETE.replace("= 3", '= "three"'), "submission.number_that_day"),
        (COMPLETE.replace("= 3", "= true"), "submission.number_that_day"),
        (COMPLETE.replace("external_data = false", 'external_data = "no"'), "training.external_data"),
    ],
)
def test_wrong_declaration_is_a_finding(tmp_path: Path, text: str, said: str) -> None:
    outcome = judged(tmp_path, "training-set", text)
    assert outcome.status is Status.FAILED
    assert said in outcome.message


def test_declaration_beside_one_of_several_models(tmp_path: Path) -> None:
    path = save(network(), tmp_path / "a.onnx")
    (tmp_path / "a.declaration.toml").write_text(COMPLETE)
    (tmp_path / "declaration.toml").write_text("not toml at all")
    assert judge(path, "organization", tmp_path).status is Status.PASSED


def test_challenges_that_ask_for_nothing_say_so() -> None:
    for rule_id in (
        "mask-augmentation",
        "reproducible-solution",
        "submissions-per-day",
        "organization",
        "submission-window",
    ):
        assert rule(rule_id, "lfr19/iqiyi-large").not_applicable
