"""Every situation gives the finding and the remedy that are right, and the table in docs/ says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import make_situations
from tests.situations.catalogue import SITUATIONS, Situation

#: The folders of cases, each of which stands for a kind.
CASES = {
    "bins", "dynamo-external", "fixed-batch", "fp16-converter", "lfw-pairs", "optimised-saved", "quantised",
    "training-export", "two-outputs",
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.name.replace(" ", "-")[:50])
def test_what_is_right_is_said(tmp_path: Path, situation: Situation) -> None:
    told = situation.told(tmp_path)
    assert told.broken == (frozenset({situation.rule}) if situation.breaks else frozenset())
    assert situation.finding in told.said
    assert situation.remedy in told.remedy
    assert situation.remedy or not situation.breaks


def test_every_case_has_a_row() -> None:
    assert {each.case for each in SITUATIONS} - {""} == CASES


def test_the_table_is_fresh() -> None:
    written = make_situations.PATH.read_text(encoding="utf-8")
    assert written == make_situations.document(), "write it anew: python -m docs.make_situations"
