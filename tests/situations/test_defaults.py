"""A network exported with nothing but the defaults: COMPLIANT by following the shown remedies, or by a repair alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_facechallenge import judge, repair
from pytest_facechallenge.engine.report import Report, TrackReport
from tests.support.findings import run_words
from tests.support.torch_faces import Face, quietly, torch

#: What each of torch's exporters is told: nothing but which of them it is.
EXPORTERS: dict[str, dict[str, Any]] = {"dynamo": {}, "traced": {"dynamo": False}}
#: What a repair mends of each.
MENDED = {
    "dynamo": ["side files", "batch", "reshapes", "opset", "ir version"],
    "traced": ["batch", "opset", "ir version"],
}
#: Following remedies takes at most so many rounds.
ROUNDS = 3

parametrized = pytest.mark.parametrize("exporter", EXPORTERS)


def exported(face: Face, folder: Path, exporter: str) -> Path:
    folder.mkdir()
    path = folder / "model.onnx"
    quietly(torch.onnx.export, face, (torch.zeros(1, 3, 112, 112),), str(path), **EXPORTERS[exporter])
    return path


def track_of(report: Report) -> TrackReport:
    (track,) = report.submissions[0].tracks
    return track


@parametrized
def test_following_the_remedies_literally(tmp_path: Path, untimed: dict[str, Any], exporter: str) -> None:
    face = Face()
    path = exported(face, tmp_path / "mine", exporter)
    track = track_of(judge(path, "untimed/A", **untimed))
    assert track.verdict.broken
    for _ in range(ROUNDS):
        for result in track.rules:
            if result.name in track.verdict.broken:
                run_words(result.remedy, path.parent, model=face)
        track = track_of(judge(path, "untimed/A", **untimed))
        if not track.verdict.broken:
            break
    assert track.verdict_text == "COMPLIANT (for practice)", (track.verdict.broken, track.verdict.open)


@parametrized
def test_a_repair_alone(tmp_path: Path, untimed: dict[str, Any], exporter: str) -> None:
    path = exported(Face(), tmp_path / "mine", exporter)
    done = repair(path, tmp_path / "mended", "untimed/A", **untimed)
    assert done.report is not None
    assert done.why_not == ""
    assert done.facts is not None
    assert [each.name for each in done.facts.repairs] == MENDED[exporter]
    assert done.facts.local is not None
    assert done.facts.local.before_after.difference <= 1e-6
    assert done.archive == tmp_path / "mended" / "submission.zip"
    assert track_of(done.report).verdict_text == "COMPLIANT (for practice)", done.not_mended
