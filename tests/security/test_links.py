"""Links and patterns in folders of strangers: what was found is not followed, and one entry ends no run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.declaration.gather import gather as gather_declaration
from pytest_facechallenge.analyses.package.gather import gather_package
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.options import OptionValues
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.engine.arguments import TargetError, find_submissions
from pytest_facechallenge.engine.options import OPTIONS
from pytest_facechallenge.engine.patterns import MAX_DEPTH
from pytest_facechallenge.engine.plan import make_plan
from pytest_facechallenge.sandbox.fact_store import FactStore
from pytest_facechallenge.sandbox.process import Limits
from tests.security.archives import zip_bytes
from tests.security.contents import model_bytes

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links as POSIX systems have them")


@pytest.fixture
def entries(tmp_path: Path) -> Path:
    """Return a folder with two honest entries; beside it lies one that nobody handed in."""
    for name in ("entries/honest", "outside"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.onnx").write_bytes(model_bytes())
    # With it, a link that is named like a model is not the one model of a folder that is a submission itself.
    (tmp_path / "entries" / "zipped.zip").write_bytes(zip_bytes({"model.onnx": model_bytes()}))
    return tmp_path / "entries"


def found_in(base: Path, *named: str) -> list[str]:
    return [str(path.relative_to(base)) for path in find_submissions(named, base)[0]]


def packaged(path: Path, workdir: Path, *, follow: bool) -> PackageFacts:
    workdir.mkdir()
    return gather_package(Context(path, workdir, Facts(), RunOptions(), follow=follow))


LINKS = {
    "model that leads outside": ("mallory.onnx", "../outside/model.onnx"),
    "folder that leads outside": ("mallory", "../outside"),
    "device": ("mallory.onnx", "/dev/zero"),
    "process": ("mallory.zip", "/proc/self/environ"),
    "itself": ("mallory.onnx", "mallory.onnx"),
    "folder around it": ("mallory", "."),
    "nowhere": ("mallory.zip", "nowhere"),
}


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_in_a_folder_of_submissions_is_an_entry_that_fails(entries: Path, kind: str) -> None:
    name, target = LINKS[kind]
    (entries / name).symlink_to(target)
    for pattern in ("entries", "entries/*"):
        assert found_in(entries.parent, pattern) == ["entries/honest", f"entries/{name}", "entries/zipped.zip"]
    found = packaged(entries / name, entries.parent / "work", follow=False)
    assert "is a link that was found in a folder" in found.problems[0]
    assert (found.model_path, found.sha256, found.submitted_sha256) == ("", "", "")


def test_a_link_that_is_named_is_followed(entries: Path) -> None:
    (entries.parent / "latest.onnx").symlink_to(entries / "honest" / "model.onnx")
    found = packaged(entries.parent / "latest.onnx", entries.parent / "work", follow=True)
    assert found.problems == ()


def test_the_plan_knows_what_was_named_and_the_sandbox_obeys(entries: Path) -> None:
    (entries / "mallory.onnx").symlink_to("../outside/model.onnx")
    (entries.parent / "latest.onnx").symlink_to("outside/model.onnx")
    given = {option.name: option.default for option in OPTIONS}
    values = OptionValues(given | {"model": ("entries", "latest.onnx"), "track": ("A",)}, entries.parent)
    plan = make_plan(values)
    named = {path.name: source.named for path, source in plan.sources.items()}
    assert named == {"honest": False, "mallory.onnx": False, "zipped.zip": False, "latest.onnx": True}
    found = frozenset(path for path, source in plan.sources.items() if not source.named)
    store = FactStore(entries.parent / "run", RunOptions(), Limits(), found)
    by_name = {path.name: store.facts(path, ["package"]).need(PackageFacts) for path in plan.sources}
    assert {name: bool(each.problems) for name, each in by_name.items()} == {
        "honest": False, "mallory.onnx": True, "zipped.zip": False, "latest.onnx": False,
    }  # fmt: skip


def test_links_that_form_a_loop_end_nothing(entries: Path) -> None:
    for name in ("a", "b", "c"):
        (entries / "honest" / name).symlink_to("..")
    assert found_in(entries.parent, "entries/**/*.onnx") == ["entries/honest/model.onnx"]
    assert found_in(entries.parent, "entries/**/honest/*.onnx") == ["entries/honest/model.onnx"]


def test_a_pattern_does_not_lead_through_a_link(entries: Path) -> None:
    (entries / "mallory").symlink_to("../outside")
    assert found_in(entries.parent, "entries/*/model.onnx") == ["entries/honest/model.onnx"]


def test_a_link_through_a_closed_folder_ends_nothing(entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (entries / "mallory").symlink_to("../closed/inside")
    real = os.stat

    def closed(path: Any, *more: Any, **how: Any) -> os.stat_result:
        if str(path).endswith("mallory") and how.get("follow_symlinks", True):
            raise PermissionError(13, "Permission denied")
        return real(path, *more, **how)

    monkeypatch.setattr(os, "stat", closed)
    assert found_in(entries.parent, "entries") == ["entries/honest", "entries/zipped.zip"]


def test_a_pattern_leaves_aside_what_is_no_submission_and_says_so(entries: Path) -> None:
    (entries / "honest" / "model.txt").write_text("no model")
    (entries / "mallory").mkdir()
    os.mkfifo(entries / "mallory" / "model.pt")
    paths, readings = find_submissions(("entries/*/model.*",), entries.parent)
    assert paths == [entries / "honest" / "model.onnx"]
    assert readings == (
        "the pattern 'entries/*/model.*' also matches what is no submission; left aside: model.txt, model.pt",
    )


def test_a_pattern_of_which_nothing_is_a_submission(entries: Path) -> None:
    (entries / "note.txt").write_text("no model")
    with pytest.raises(TargetError, match=r"no submission matches the model pattern 'entries/\*\.txt': .*note\.txt"):
        find_submissions(("entries/*.txt",), entries.parent)
    with pytest.raises(TargetError, match=r"no file matches"):
        find_submissions(("entries/*.md",), entries.parent)


def test_a_folder_says_what_it_leaves_aside(entries: Path) -> None:
    (entries / "readme.txt").write_text("no model")
    (entries / "empty").mkdir()
    _, readings = find_submissions(("entries",), entries.parent)
    assert readings[0].endswith(
        "is read as a folder of 2 submissions: honest, zipped.zip; left aside: empty, readme.txt"
    )


def test_signs_of_a_pattern_in_the_working_folder_are_none(tmp_path: Path) -> None:
    base = tmp_path / "run[1]*"
    base.mkdir()
    (base / "model.onnx").write_bytes(model_bytes())
    assert found_in(base, "*.onnx") == ["model.onnx"]


def test_what_lies_too_deep_for_a_pattern_is_said(entries: Path) -> None:
    deep = entries.joinpath(*["d"] * (MAX_DEPTH + 3))
    deep.mkdir(parents=True)
    (deep / "model.onnx").write_bytes(model_bytes())
    paths, readings = find_submissions(("entries/**/*.onnx",), entries.parent)
    assert paths == [entries / "honest" / "model.onnx"]
    assert "what lies deeper is left aside" in readings[0]


def test_hidden_names_are_matched_by_a_dot_alone(entries: Path) -> None:
    (entries / ".hidden").mkdir()
    (entries / ".hidden" / "model.onnx").write_bytes(model_bytes())
    assert found_in(entries.parent, "entries/*/model.onnx") == ["entries/honest/model.onnx"]
    assert found_in(entries.parent, "entries/.h*/model.onnx") == ["entries/.hidden/model.onnx"]


def test_a_declaration_beside_a_model_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.toml").write_text("schema = 'facechallenge-declaration/1'\n")
    (tmp_path / "model.onnx").write_bytes(model_bytes())
    (tmp_path / "model.declaration.toml").symlink_to("secret.toml")
    found = gather_declaration(Context(tmp_path / "model.onnx", tmp_path / "work", Facts(), RunOptions()))
    assert "cannot be used" in found.problem


@pytest.mark.parametrize("name", ["declaration.toml", "model.declaration.toml"])
def test_nobody_declares_for_others(tmp_path: Path, name: str) -> None:
    """In a folder of submissions a declaration is of the one whose name it has."""
    (tmp_path / "model.onnx").write_bytes(model_bytes())
    (tmp_path / name).write_text("schema = 'facechallenge-declaration/1'\n")
    contexts = [
        Context(tmp_path / "model.onnx", tmp_path / "work", Facts(), RunOptions(), follow=named)
        for named in (True, False)
    ]
    named, found = map(gather_declaration, contexts)
    assert (named.path, named.problem) == (str(tmp_path / name), "")
    if name == "declaration.toml":
        assert (found.path, "counts for none; name it 'model.declaration.toml'" in found.problem) == ("", True)
    else:
        assert (found.path, found.problem, found.statements) == (named.path, "", named.statements)
