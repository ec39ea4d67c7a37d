"""Nothing is cut off silently: a limit that is exceeded is a finding, and a folder is judged like an archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_facechallenge.analyses.package import limits
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.outcome import Status
from tests.security import contents, places
from tests.security.archives import zip_bytes
from tests.support.gathering import gather, judge


def packaged(path: Path, folder: Path) -> PackageFacts:
    (folder / "work").mkdir(exist_ok=True)
    return gather(path, folder / "work", {"package"}).need(PackageFacts)


@pytest.mark.parametrize("count", [1_005, 5_000])
def test_a_second_model_behind_many_files_is_found(tmp_path: Path, count: int) -> None:
    (tmp_path / "entry").mkdir()
    places.many_files(count)(tmp_path / "entry")
    found = packaged(tmp_path / "entry", tmp_path)
    said = " ".join(found.problems)
    assert "found 2: m.onnx, z.onnx" in said
    assert f"the folder holds {count + 2:,} files; 1,000 of them were looked at" in said
    assert found.model_name == "z.onnx"
    assert (found.entries_found, len(found.entries)) == (count + 2, limits.MAX_ENTRIES)


def test_the_model_of_an_archive_is_found_behind_many_entries(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    entries = {f"a{number}": b"" for number in range(1_200)}
    path.write_bytes(zip_bytes(entries | {"model.onnx": contents.model_bytes()}))
    found = packaged(path, tmp_path)
    assert found.model_name == "model.onnx"
    assert "lists 1,201 entries" in found.problems[0]
    assert len(found.problems) <= limits.MAX_PROBLEMS + 1
    assert "more problems" in found.problems[-1]


def test_a_folder_with_more_names_than_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_facechallenge.analyses.package.folder.MAX_NAMES", 10)
    (tmp_path / "entry").mkdir()
    places.many_files(20)(tmp_path / "entry")
    assert "more than 10 files; the rest was not looked at" in " ".join(packaged(tmp_path / "entry", tmp_path).problems)


@pytest.mark.parametrize("beside", ["readme.txt", "sub/readme.txt", "declaration.txt", ".hidden", "weights.bin"])
def test_a_file_beside_the_model_in_a_folder(tmp_path: Path, beside: str) -> None:
    entry = tmp_path / "entry"
    (entry / beside).parent.mkdir(parents=True)
    (entry / "model.onnx").write_bytes(contents.model_bytes())
    (entry / beside).write_text("hello")
    outcome = judge(entry, "package", tmp_path)
    assert outcome.status is Status.FAILED
    assert beside in outcome.message


def test_a_model_in_a_folder_of_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "entry" / "sub" / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(contents.model_bytes())
    assert judge(tmp_path / "entry", "package", tmp_path).status is Status.FAILED


def test_the_declaration_and_junk_may_lie_beside_it(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    entry.mkdir()
    for name in ("declaration.toml", ".DS_Store", "Thumbs.db", "._model.onnx"):
        (entry / name).write_text("x")
    (entry / "model.onnx").write_bytes(contents.model_bytes())
    assert judge(entry, "package", tmp_path).status is Status.PASSED


def test_large_junk_is_no_junk(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    entry.mkdir()
    (entry / "model.onnx").write_bytes(contents.model_bytes())
    with (entry / ".DS_Store").open("wb") as file:
        file.truncate(limits.MAX_JUNK_BYTES + 1)
    assert judge(entry, "package", tmp_path).status is Status.FAILED


def test_a_file_that_is_too_large_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with path.open("wb") as file:
        file.truncate(limits.MAX_BYTES + 1)  # takes no space
    found = packaged(path, tmp_path)
    assert "at most 4,294,967,296 are looked at" in found.problems[0]
    assert found.model_path == ""


def test_an_archive_s_list_of_entries_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_facechallenge.analyses.package.archive.MAX_DIRECTORY_BYTES", 10)
    path = tmp_path / "s.zip"
    path.write_bytes(zip_bytes({"model.onnx": contents.model_bytes()}))
    assert "list of entries has" in packaged(path, tmp_path).problems[0]
