"""Paths that are deep, long, no UTF-8 or of no file: a finding of that submission, and folders that go away again."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import filelock
import pytest

from pytest_facechallenge.core.facts.base import StepFailure
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.files import remove_tree
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.engine.extensions import load_checks
from pytest_facechallenge.engine.judge import judge_rule as judge
from pytest_facechallenge.sandbox.fact_store import FactStore
from pytest_facechallenge.sandbox.process import Limits
from pytest_facechallenge.sandbox.scratch import GRACE_SECONDS, LOCK, PREFIX, sweep
from tests.security import archives, contents, hostile, places
from tests.support.gathering import gather, rule

posix = pytest.mark.skipif(os.name != "posix", reason="such paths do not exist there")


@posix
def test_a_deep_folder_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    places.deep_folder(folder)
    (folder / "link").symlink_to(tmp_path)
    (folder / "closed").mkdir()
    (folder / "closed" / "file").touch()
    (folder / "closed").chmod(0)
    assert remove_tree(folder) == []
    assert not folder.exists()
    assert tmp_path.is_dir()


@posix
def test_a_link_is_not_removed_as_a_folder(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (tmp_path / "link").symlink_to(kept)
    assert remove_tree(tmp_path / "link")
    assert (kept / "file").exists()


def old_run(parent: Path, name: str) -> Path:
    folder = parent / f"{PREFIX}{name}"
    folder.mkdir()
    (folder / LOCK).touch()
    return folder


def age(folder: Path) -> None:
    os.utime(folder, times=(0, time.time() - GRACE_SECONDS - 1))


@posix
def test_what_a_killed_run_left_never_ends_a_later_one(tmp_path: Path) -> None:
    deep = old_run(tmp_path, "deep")
    places.deep_folder(deep)
    age(deep)
    sweep(tmp_path)
    assert not deep.exists()


def test_an_error_while_cleaning_up_is_no_error_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = old_run(tmp_path, "a"), old_run(tmp_path, "b")
    age(first)
    age(second)

    asked: list[Path] = []

    def broken(folder: Path) -> list[str]:
        asked.append(folder)
        raise RecursionError(folder)

    monkeypatch.setattr("pytest_facechallenge.sandbox.scratch.remove_tree", broken)
    sweep(tmp_path)
    assert set(asked) == {first, second}, "the trouble with one keeps nothing from the other"


@posix
def test_a_lock_that_is_a_link_is_not_opened(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    folder = tmp_path / f"{PREFIX}x"
    folder.mkdir()
    (folder / LOCK).symlink_to(victim)
    age(folder)
    sweep(tmp_path)
    assert victim.read_text() == "kept"
    assert folder.exists()


def test_a_run_that_lives_keeps_its_folder(tmp_path: Path) -> None:
    folder = old_run(tmp_path, "x")
    age(folder)
    with filelock.FileLock(str(folder / LOCK)):
        sweep(tmp_path)
    assert folder.exists()


def test_a_deep_archive_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    path.write_bytes(archives.deep_zip(contents.model_bytes()))
    (tmp_path / "work").mkdir()
    found = gather(path, tmp_path / "work", {"package"}).need(PackageFacts)
    assert "2000 folders deep; at most 32" in found.problems[0]
    assert found.model_name == "model.onnx"
    assert sum(len(names) for _, _, names in os.walk(tmp_path / "work")) == 1


@posix
@pytest.mark.parametrize(
    "build",
    [places.bytes_name, places.nasty_file_name, places.long_file_name, places.special_signs],
    ids=lambda build: build.__name__,
)
def test_files_of_odd_names_are_judged(tmp_path: Path, build: object) -> None:
    assert callable(build)
    path = build(tmp_path)
    load_checks()
    store = FactStore(tmp_path / "run", RunOptions(threads=1, device="cpu"), Limits(idle_seconds=60))
    facts = store.facts(path, ["package", "declaration", "weights"])
    assert judge(facts, rule("package")).status is Status.PASSED
    assert judge(facts, rule("no-float16")).status is Status.FAILED
    assert store.changed(path) == ""
    facts.need(PackageFacts).model_name.encode("utf-8")


@posix
@pytest.mark.parametrize(
    ("build", "said"),
    [
        (places.pipe, "found a pipe"),
        (places.side_file_pipe, "found a pipe"),
        (lambda _folder: Path("/dev/zero"), "found a device"),
        (lambda folder: folder / "missing.onnx", "cannot be read"),
        (lambda folder: folder / ("n" * 5_000), "cannot be read"),
        (lambda folder: folder / "nul\0.onnx", "cannot be read"),
    ],
    ids=["pipe", "side-file", "device", "missing", "too-long", "nul"],
)
def test_what_is_no_file_is_a_finding(tmp_path: Path, build: object, said: str) -> None:
    assert callable(build)
    facts = gather(build(tmp_path), tmp_path / "work", {"package"})
    assert said in " ".join(facts.need(PackageFacts).problems)


@posix
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(contents.model_bytes())
    path.chmod(0)
    assert "Permission denied" in gather(path, tmp_path / "work", {"package"}).need(PackageFacts).problems[0]


@posix
@pytest.mark.parametrize("kind", ["pipe", "link", "deep", "huge-number"])
def test_declarations_of_every_kind_are_facts(tmp_path: Path, kind: str) -> None:
    entry = tmp_path / "entry"
    entry.mkdir()
    (entry / "model.onnx").write_bytes(contents.model_bytes())
    path = entry / "declaration.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        secret = tmp_path / "secret.toml"
        secret.write_text("schema = 'facechallenge-declaration/1'\n[organization]\nname = 'a secret'\n")
        path.symlink_to(secret)
    elif kind == "deep":
        path.write_text("schema = 'facechallenge-declaration/1'\nx = " + "[" * 5_000 + "]" * 5_000)
    else:
        path.write_text("schema = 'facechallenge-declaration/1'\nx = " + "1" * 100_000)
    facts = gather(entry, tmp_path / "work", {"declaration"})
    found = facts.need(DeclarationFacts)
    assert "cannot be used" in found.problem
    assert found.statements == {}
    assert len(found.problem) < 600


@posix
def test_one_unusable_submission_takes_no_other_along(tmp_path: Path) -> None:
    store = FactStore(tmp_path / "run", RunOptions(threads=1, device="cpu"), Limits(idle_seconds=60))
    bad, good = places.bytes_name(tmp_path), hostile.honest(tmp_path, 1)[0]
    assert store.facts_dir(bad) != store.facts_dir(good)
    for path in (bad, good):
        assert store.facts(path, ["package"]).need(PackageFacts).problems == ()
    assert not isinstance(store.recorded(good).failures.get("package"), StepFailure)


def test_folders_of_a_run_are_private(tmp_path: Path) -> None:
    from pytest_facechallenge.sandbox.scratch import Scratch

    scratch = Scratch()
    try:
        assert os.name != "posix" or stat.S_IMODE(scratch.path.stat().st_mode) == 0o700
    finally:
        scratch.remove()
