"""The Python API: the same verdicts as pytest, without pytest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_facechallenge import Report, ReportError, VerdictWord, explain, judge, load_rulebooks, rejudge
from tests.support.models import network, save

#: Rules of a small rulebook of the tests, so that only reading the file is needed.
BOOK = """
schema = "facechallenge-rulebook/1"
id = "small"
title = "Small"
version = "1"
date = "2026-01-01"
source = "tests"
[tracks.one]
title = "One"
[rules.package]
clause = "1"
text = "One model."
check = "package"
[rules.model-size]
clause = "2"
text = "At most a megabyte."
check = "model_size"
limit = 1048576
unit = "bytes"
"""


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(BOOK)
    return path


@pytest.fixture
def report(tmp_path: Path, book: Path) -> Report:
    model = save(network(), tmp_path / "model.onnx")
    return judge(model, "small/one", rulebooks=[book], device="cpu", threads=1)


def test_a_model_is_judged(report: Report, tmp_path: Path) -> None:
    (submission,) = report.submissions
    (track,) = submission.tracks
    assert (submission.name, track.full, track.verdict.word) == ("model.onnx", "small/one", VerdictWord.COMPLIANT)
    assert [rule.name for rule in track.rules] == ["package", "model-size"]
    assert submission.bytes == (tmp_path / "model.onnx").stat().st_size
    assert report.options == {
        "model": (str(tmp_path / "model.onnx"),),
        "track": ("small/one",),
        "rules": (str(tmp_path / "small.toml"),),
        "device": "cpu",
        "threads": 1,
        **{name: report.options[name] for name in ("latency", "rounds", "timeout")},
    }
    assert {step: sorted(facts) for step, facts in submission.facts.items()}.keys() == {
        "package",
        "interface",
        "compatibility",  # what may explain the rule on packages
        "outline",  # what views draw, where the graph is read anyway
    }


def test_a_saved_report_is_judged_again_under_another_limit(report: Report, tmp_path: Path, book: Path) -> None:
    report.save(tmp_path / "report.json")
    assert Report.load(tmp_path / "report.json") == Report.from_json(report.to_json())
    again = rejudge(tmp_path / "report.json", rulebooks=[book])
    assert again.submissions[0].tracks == report.submissions[0].tracks
    narrow = tmp_path / "narrow.toml"
    narrow.write_text(BOOK.replace('"small"', '"narrow"').replace("1048576", "10"))
    judged = rejudge(report, "narrow/one", rulebooks=[narrow])
    assert judged.submissions[0].tracks[0].verdict.broken == ("model-size",)
    assert judged.rulebooks[0].digest != report.rulebooks[0].digest


def test_facts_changed_by_hand_are_seen(report: Report, tmp_path: Path) -> None:
    plain = json.loads(report.to_json())
    plain["submissions"][0]["facts"]["package"]["bytes"] = 1
    (tmp_path / "report.json").write_text(json.dumps(plain))
    with pytest.raises(ReportError, match="were changed after they were recorded"):
        rejudge(tmp_path / "report.json")


def test_what_does_not_exist_is_told(tmp_path: Path) -> None:
    model = save(network(), tmp_path / "model.onnx")
    with pytest.raises(ValueError, match=r"no option 'tesset'; did you mean 'testset'\?"):
        judge(model, "mfr21/A", tesset="faces")
    with pytest.raises(ValueError, match="does not exist"):
        judge(tmp_path / "other.onnx", "mfr21/A")
    with pytest.raises(ValueError, match="there is no track"):
        judge(model, "mfr21/Z")
    with pytest.raises(ValueError, match="threads must be a whole number"):
        judge(model, "mfr21/A", threads="many")


def test_rulebooks_and_explanations() -> None:
    assert {"mfr21", "lfr19", "mfr-ongoing"} <= set(load_rulebooks())
    assert "How to fix" in explain("embedding-dim")


def test_judging_takes_no_pytest_and_explaining_no_runtime(tmp_path: Path, book: Path) -> None:
    save(network(), tmp_path / "model.onnx")
    code = (
        "import sys, pytest_facechallenge as p\n"
        "p.explain('embedding-dim'); p.load_rulebooks()\n"
        "heavy = {'onnx', 'onnxruntime', 'scipy', 'torch'} & set(sys.modules)\n"
        "report = p.judge('model.onnx', 'small/one', rulebooks=['small.toml'], device='cpu')\n"
        "p.rejudge(report, rulebooks=['small.toml'])\n"
        "print(report.submissions[0].tracks[0].verdict.word, heavy, {'pytest', '_pytest'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "COMPLIANT set() set()", done.stdout + done.stderr
