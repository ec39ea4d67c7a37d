"""One file, one meaning: what two programs read differently fails the rule on packaging."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pytest_facechallenge.core.facts.behaviour import LoadFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.inference.batch_repair import REPAIRED
from pytest_facechallenge.inference.session import open_session
from tests.security import archives, contents
from tests.support.gathering import gather, judge
from tests.support.models import network, save

MODEL = contents.model_bytes()


def packaged(path: Path, folder: Path) -> PackageFacts:
    (folder / "work").mkdir(exist_ok=True)
    return gather(path, folder / "work", {"package"}).need(PackageFacts)


def test_a_model_that_carries_an_archive_is_judged_as_the_runtime_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(contents.model_with_archive_inside())
    assert judge(path, "package", tmp_path).status is Status.FAILED
    assert judge(path, "no-float16", tmp_path).status is Status.FAILED
    found = packaged(path, tmp_path)
    assert found.form == "onnx"
    assert found.submitted_sha256 == found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_model_that_carries_an_archive_in_a_folder_or_zip(tmp_path: Path, form: str) -> None:
    path = tmp_path / "entry" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(contents.model_with_archive_inside())
    source = path.parent
    if form == "zip":
        source = tmp_path / "s.zip"
        source.write_bytes(archives.zip_bytes({"model.onnx": path.read_bytes()}))
    assert any("one thing only" in problem for problem in packaged(source, tmp_path).problems)
    assert judge(source, "package", tmp_path).status is Status.FAILED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (archives.prefixed(MODEL), "bytes stand before the archive"),
        (archives.suffixed(MODEL), "bytes stand after the archive"),
        (archives.local_name_differs(MODEL), "differ"),
        (archives.local_size_differs(MODEL), "differ in size"),
        (archives.unicode_name_differs(MODEL), "another name in Unicode"),
        (archives.nul_in_name(MODEL), "NUL"),
        (archives.gap_between_entries(MODEL), "belong to no entry"),
        (archives.comment_with_archive(MODEL, contents.bad_model()), "archive"),
        (archives.wide_end(MODEL, lie=1), "disagree"),
        (archives.late_size_differs(MODEL), "record after it has another size"),
        (archives.late_and_early(MODEL), "differ in size"),
        (archives.wide_size_differs(MODEL), "differ in size"),
        (archives.sizes_twice(MODEL), "several extra fields of one kind"),
        (archives.folder_with_content(MODEL, MODEL), "is a folder with content"),
        (archives.folder_of_the_same_name(MODEL), "is a folder and a file of that name is there too"),
        (archives.zip_bytes({"model.onnx": MODEL, "Model.onnx": MODEL}), "twice"),
        (archives.zip_bytes({"model.onnx": MODEL, "aux\x01.txt": b"1"}), "no name that every system can write"),
    ],
    ids=[
        "before", "after", "local-name", "local-size", "unicode-name", "nul", "gap", "comment", "zip64-end",
        "late-size", "late-and-early", "zip64-size", "sizes-twice", "folder-content", "folder-and-file", "case",
        "control-sign",
    ],
)  # fmt: skip
def test_archives_with_two_meanings(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "s.zip"
    path.write_bytes(content)
    assert said in " ".join(packaged(path, tmp_path).problems)
    assert judge(path, "package", tmp_path).status is Status.FAILED


@pytest.mark.parametrize(
    "content",
    [
        archives.zip_bytes({"model.onnx": MODEL}),
        archives.zip_bytes({"model.onnx": MODEL}, comment=b"made by hand"),
        archives.streamed(MODEL),
        archives.zip64(MODEL),
        archives.wide_end(MODEL),
        archives.streamed(MODEL, wide=True),
    ],
    ids=["plain", "comment", "streamed", "zip64", "zip64-end", "streamed-zip64"],
)
def test_what_ordinary_programs_write_is_a_package(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.zip"
    path.write_bytes(content)
    found = packaged(path, tmp_path)
    assert found.problems == ()
    assert found.submitted_sha256 == hashlib.sha256(content).hexdigest()
    assert found.submitted_bytes == len(content)
    assert found.sha256 == hashlib.sha256(MODEL).hexdigest()


@pytest.mark.parametrize(
    ("name", "content"),
    [("model.onnx", archives.zip_bytes({"model.onnx": MODEL})), ("s.zip", MODEL)],
    ids=["archive-named-onnx", "model-named-zip"],
)
def test_name_and_content_must_agree(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert "its name says" in " ".join(packaged(path, tmp_path).problems)


def test_weights_that_look_like_an_archive_s_end_are_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(MODEL + contents.field(2_000, b"PK\x05\x06" + bytes(range(1, 60))))
    assert packaged(path, tmp_path).problems == ()


def test_a_model_is_not_read_as_the_runtime_s_own_format(tmp_path: Path) -> None:
    """The runtime tells its own format by four bytes, which can be the name of a producer, or by a file's name."""
    model = network()
    model.producer_name = "ORTM"
    data = model.SerializeToString()
    assert data[4:8] == b"ORTM"
    (tmp_path / "model.ort").write_bytes(data)
    assert open_session(data).get_outputs()
    assert packaged(tmp_path / "model.ort", tmp_path).model_path.endswith("model.onnx")
    assert gather(tmp_path / "model.ort", tmp_path / "work", {"load"}).failures == {}


@pytest.mark.parametrize("name", [REPAIRED, "reshapes_freed.onnx"])
def test_what_later_steps_write_never_replaces_the_model(tmp_path: Path, name: str) -> None:
    path = save(network(batch=1), tmp_path / name)
    facts = gather(path, tmp_path / "work", {"load"})
    package = facts.need(PackageFacts)
    assert facts.need(LoadFacts).repaired
    assert hashlib.sha256((tmp_path / "work" / package.model_path).read_bytes()).hexdigest() == package.sha256
