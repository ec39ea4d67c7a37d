"""The example of an audit: five entries, of which two are good, one is a copy, and two are out."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pytest_facechallenge import audit
from tests.support.in_process import started as started


@pytest.mark.usefixtures("started")
def test_the_entries_stand_where_they_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = tmp_path / "entries"
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples" / "audit")
    importlib.import_module("make_entries").main(entries)
    found = audit(
        [entries],
        "A",
        tmp_path / "audit",
        declarations=entries / "table.csv",
        device="cpu",
        latency="modelled",
    )
    rows = {entry.name: entry.tracks[0] for entry in found.entries}
    assert {name: str(row.verdict) for name, row in rows.items()} == {
        "broken.onnx": "NON-COMPLIANT",
        "copy.onnx": "INCOMPLETE",
        "one.onnx": "INCOMPLETE",
        "two.onnx": "INCOMPLETE",
        "wide.onnx": "NON-COMPLIANT",
    }
    assert rows["wide.onnx"].broken == ("embedding-dim",)
    assert [[Path(path).name for path in group] for group in found.identical] == [["copy.onnx", "two.onnx"]]
