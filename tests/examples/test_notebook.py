"""The example of a notebook: its cells run one after the other, on a part of the demo's testset."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.in_process import started as started

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOK: dict[str, Any] = json.loads((EXAMPLES / "notebook" / "curves.ipynb").read_text(encoding="utf-8"))
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
#: People of each set in the smaller testset.
PEOPLE = 12


def test_it_is_stored_without_what_it_printed() -> None:
    assert len(CELLS) >= 5
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def smaller(folder: Path) -> None:
    """Copy a dozen people of the masked set, and of the set of children."""
    whole = EXAMPLES / "demo" / "testset"
    with (whole / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept: list[dict[str, str]] = []
    for name in ("mask", "children"):
        people = list(dict.fromkeys(row["identity"] for row in rows if row["set"] == name))[:PEOPLE]
        kept += [row for row in rows if row["identity"] in people]
    for row in kept:
        (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(whole / row["path"], folder / row["path"])
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(kept)


@pytest.mark.usefixtures("started")
def test_its_cells_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    smaller(tmp_path / "testset")
    (tmp_path / "notebook").mkdir()
    shutil.copytree(EXAMPLES / "demo", tmp_path / "demo", ignore=shutil.ignore_patterns("testset"))
    (tmp_path / "testset").rename(tmp_path / "demo" / "testset")
    monkeypatch.chdir(tmp_path / "notebook")
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(CELLS):
        exec(compile(cell, f"cell {number}", "exec"), names)
    drawn = names["Curves"](names["accuracy"].sets)._repr_svg_()
    lines = [line.split() for line in re.findall(r'<polyline points="([^"]*)"', drawn)]
    assert len(lines) == len(names["accuracy"].sets) >= 2
    for line in lines:
        assert len(line) > 10, "a curve has points"
        # In pixels: from the left to the right the curve never falls, so y never grows.
        places = sorted((float(x), -float(y)) for x, y in (dot.split(",") for dot in line))
        assert [y for _, y in places] == sorted(y for _, y in places)
        assert len(set(places)) > 3
    said = capsys.readouterr().out
    assert "demo/drawings" in said
    assert re.search(r"^mask .*FAR <", said, re.MULTILINE)
    assert "INCOMPLETE\n" in said, "a dozen people decide no operating point"
