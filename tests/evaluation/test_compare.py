"""Folders of recorded judgements compared: what version 0.1 recorded, and the same as observations."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from evaluation import compare

VIEW = {
    "layer": "Conv_0", "kind": "exact", "coverage": 1.0, "scale": [0.0, 0.0], "offset": [0.0, 0.0], "pooled": False,
    "plain": False, "via": ["Slice_1"], "macs_after": 1.0, "together": 1.0, "common": 0.0, "branch": "",
}  # fmt: skip
COPIES = {
    "layer": "Conv_2", "join": "Concat_1", "on_channels": True, "blocks": 2, "coverage": 1.0, "overlap": 0.9,
    "macs_after": 1.0, "via": [], "branch": "",
}  # fmt: skip
OLD: dict[str, Any] = {
    "layers": 2, "macs": 100, "branches": [""], "gaps": ["what was not looked at"],
    "views": [VIEW | {"turn": "mirrored", "words": "the picture mirrored"}],
    "stacks": [COPIES | {"axis": "the channels", "relation": "mirrored", "words": "…", "from_picture": True}],
    "towers": [
        {"source": "x", "first": "Conv_4 (first part of the channels)",
         "second": "Conv_4 (second part of the channels)", "meet": "",
         "shares": [0.5, 0.5], "inputs": "identical", "alike": 1.0, "turn": "mirrored",
         "alike_unturned": 0.0, "branch": ""}
    ],
    "company": [
        {"company": "a batch of 2 with a black picture", "change": 1e-7, "error": ""},
        {"company": "a batch of 3", "change": -1.0, "error": "a\nb"},
    ],
}  # fmt: skip
NEW: dict[str, Any] = {
    "layers": 2, "macs": 100, "branches": [""],
    "observations": [
        VIEW | {"type": "input-view", "relation": "mirrored", "box": [1, 2, 3, 4]},
        COPIES | {"type": "stacked-copies", "axis": 1, "difference": {"relation": "mirrored"}, "from_image": True},
        {"type": "parallel-branches", "source": "x", "first": "Conv_4", "second": "Conv_4", "halves": True, "meet": "",
         "shares": [0.5, 0.5], "inputs": "identical", "alike": 1.0, "transform": "mirrored", "alike_unchanged": 0.0,
         "branch": ""},
        {"type": "batch-composition", "companions": "black", "size": 2, "change": 1e-7, "finite": True, "error": ""},
        {"type": "batch-composition", "companions": "others", "size": 3, "change": None, "finite": True,
         "error": "a\\nb"},
        {"type": "unseen", "gap": "idle", "names": [], "branch": ""},
    ],
}  # fmt: skip
RENAMES = """
[steps]
dataflow = "implicit_batch"
[words]
picture = "image"
[added]
"facts.package.digest" = "new"
"""


def compared(folder: Path, monkeypatch: pytest.MonkeyPatch, new: dict[str, Any], *options: str) -> int:
    judgements = {
        "old": {"facts": {"dataflow": OLD, "package": {}}, "tracks": outcomes("passed")},
        "new": {"facts": {"implicit_batch": new, "package": {"digest": "ab"}}, "tracks": outcomes("passed")},
    }
    for name, judgement in judgements.items():
        (folder / name).mkdir()
        (folder / name / "net.json").write_text(json.dumps(judgement), encoding="utf-8")
    (folder / "renames.toml").write_text(RENAMES, encoding="utf-8")
    arguments = [str(folder / "old"), str(folder / "new"), "--renames", str(folder / "renames.toml"), *options]
    monkeypatch.setattr(sys, "argv", ["compare", *arguments])
    return compare.main()


def outcomes(status: str) -> dict[str, Any]:
    return {"mfr21/A": {"verdict": "COMPLIANT", "outcomes": {"batch": {"status": status}}}}


def test_the_same_in_two_forms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compared(tmp_path, monkeypatch, NEW) == 0
    assert "1 compared, 0 differ, 0 missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "field", "value"),
    [
        (0, "relation", "identical"),
        (0, "coverage", 0.5),
        (1, "difference", {"relation": "identical"}),
        (2, "transform", "none"),
        (2, "second", "Conv_5"),
        (3, "change", 0.5),
        (3, "finite", False),
        (4, "error", ""),
    ],
)
def test_another_fact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int, field: str, value: Any) -> None:
    changed = json.loads(json.dumps(NEW))
    changed["observations"][place][field] = value
    assert compared(tmp_path, monkeypatch, changed) == 1


def test_one_observation_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (0, 5):
        folder = tmp_path / str(kind)
        folder.mkdir()
        more = {**NEW, "observations": [*NEW["observations"], {**NEW["observations"][kind], "branch": "other"}]}
        assert compared(folder, monkeypatch, more) == 1


def test_last_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = json.loads(json.dumps(NEW))
    changed["observations"][3]["change"] = 1.0001e-7
    assert compared(tmp_path, monkeypatch, changed, "--relative", "1e-3") == 0
