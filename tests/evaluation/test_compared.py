"""Tables of two versions compared: the same answers, under old and new names."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation import table
from evaluation.answers import main

RENAMES = """
[words]
picture = "image"
[cases]
"look_grey (blind-1)" = "view_grey (blind-1)"
"""
OLD = """
| case | what it is | expected | answer | evidence |
|---|---|---|---|---|
| vit | A ViT. | honest | right | 14 layers; no second picture. |
| look_grey (blind) | Grey. | no-implicit-batch | right | differs by 0.5 |
"""
NEW = """
| case | set | what it is | expected | answer | evidence |
| --- | --- | --- | --- | --- | --- |
| vit | development | A ViT. | honest | right | 15 layers; no second image. |
| view_grey | blind-1 | Grey. | no-implicit-batch failed | ANSWER | moves by 0.5 |
| more | development | More. | honest | right | 1 layer. |
"""


def compared(folder: Path, new: str) -> int:
    paths = [folder / name for name in ("old.md", "new.md", "renames.toml")]
    for path, text in zip(paths, (OLD, new, RENAMES), strict=True):
        path.write_text(text, encoding="utf-8")
    return main([str(paths[0]), str(paths[1]), "--renames", str(paths[2])])


def test_the_same_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(tmp_path, NEW.replace("ANSWER", "right")) == 0
    assert capsys.readouterr().out == (
        "2 of 2 cases in both, 0 answers differ, 1 evidences are the same but for numbers; 1 cases are new\n"
    )


def test_another_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(tmp_path, NEW.replace("ANSWER", "**missed**")) == 1
    assert "view_grey (blind-1): 'right': differs by 0.5\n    now '**missed**': moves by 0.5" in capsys.readouterr().out


def test_a_case_that_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(tmp_path, NEW.replace("| vit |", "| other |").replace("ANSWER", "right")) == 1
    assert "not in the new table" in capsys.readouterr().out


def test_todays_table_is_read_whole() -> None:
    assert main([str(table.TABLE), str(table.TABLE)]) == 0


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a table"):
        compared(tmp_path, "nothing")
