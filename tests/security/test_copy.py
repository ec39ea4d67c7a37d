"""A submission is copied once; whoever changes it afterwards changes nothing that is judged."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest

from pytest_facechallenge.analyses.package.copy import copy_file
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.engine.extensions import load_checks
from pytest_facechallenge.engine.judge import judge_rule as judge
from pytest_facechallenge.sandbox.fact_store import FactStore
from pytest_facechallenge.sandbox.process import Limits
from tests.security import contents, hostile
from tests.support.gathering import gather, rule
from tests.support.models import network, pack


def store_in(folder: Path) -> FactStore:
    load_checks()
    return FactStore(folder / "run", RunOptions(threads=1, device="cpu"), Limits(idle_seconds=60))


def test_a_file_that_is_swapped_after_it_was_hashed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(contents.bad_model())
    store = store_in(tmp_path)
    hashed = store.facts(path, ["package"]).need(PackageFacts)
    path.write_bytes(contents.model_bytes())
    facts = store.facts(path, ["interface", "weights"])
    assert judge(facts, rule("no-float16")).status is Status.FAILED
    assert hashed.submitted_sha256 in store.changed(path)
    path.unlink()
    assert "can no longer be read" in store.changed(path)
    path.write_bytes(contents.bad_model())
    assert store.changed(path) == ""


def test_side_files_are_copied_too(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(network(), str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    store = store_in(tmp_path)
    store.facts(path, ["package"])
    (tmp_path / "w.bin").unlink()
    facts = store.facts(path, ["interface"])
    assert not any(entry.problem for entry in facts.need(InterfaceFacts).external)


@pytest.mark.parametrize("form", ["onnx", "zip", "folder"])
def test_the_model_lies_in_the_private_folder_and_shares_nothing(tmp_path: Path, form: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "entry").mkdir()
    model = tmp_path / "entry" / "model.onnx"
    model.write_bytes(contents.model_bytes())
    source = {"onnx": model, "folder": model.parent}.get(form) or pack(
        tmp_path / "s.zip", {"model.onnx": contents.model_bytes()}
    )
    found = gather(source, work, {"package"}).need(PackageFacts)
    copy = work / found.model_path
    assert copy.read_bytes() == contents.model_bytes()
    assert not Path(found.model_path).is_absolute(), "a report says nothing about the machine's folders"
    assert copy.stat().st_ino != model.stat().st_ino
    assert (copy.stat().st_nlink, copy.is_symlink()) == (1, False)
    model.write_bytes(b"changed")
    assert copy.read_bytes() == contents.model_bytes()


def test_the_copy_goes_when_nothing_more_is_asked(tmp_path: Path) -> None:
    path = hostile.honest(tmp_path, 1)[0]
    store = store_in(tmp_path)
    store.facts(path, ["interface"])
    store.release(path)
    assert not list((tmp_path / "run").rglob("*.onnx"))
    assert store.recorded(path).need(PackageFacts).submitted_bytes == path.stat().st_size
    assert store.changed(path) == ""


def test_a_folder_that_is_changed(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    entry.mkdir()
    (entry / "model.onnx").write_bytes(contents.model_bytes())
    store = store_in(tmp_path)
    store.facts(entry, ["package"])
    assert store.changed(entry) == ""
    (entry / "more.txt").write_text("x")
    assert "was changed" in store.changed(entry)


def test_a_file_that_is_written_while_it_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(contents.model_bytes())
    module = "pytest_facechallenge.analyses.package.copy"

    def writing(file: object, out: object) -> bool:
        path.write_bytes(contents.bad_model())
        return False

    monkeypatch.setattr(f"{module}._clone", writing)
    assert copy_file(path, tmp_path / "copy").changed


def test_a_copy_never_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"1")
    (tmp_path / "copy").write_bytes(b"2")
    with pytest.raises(FileExistsError):
        copy_file(path, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"2"


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_link_that_takes_the_file_s_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="a link"):
        copy_file(tmp_path / "model.onnx", tmp_path / "copy", follow=False)


def test_an_attempt_that_did_not_end_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "s.zip"
    pack(path, {"model.onnx": contents.model_bytes()})
    first = gather(path, tmp_path, {"package"}).need(PackageFacts)
    assert gather(path, tmp_path, {"package"}).need(PackageFacts) == first


def test_a_model_that_refers_to_itself_finds_itself(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = network()
    onnx.save(model, str(path), save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    model = onnx.load(str(path), load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.external_data[0].value = "net.onnx"
    path.write_bytes(model.SerializeToString())
    found = gather(path, tmp_path / "work", {"interface"})
    assert not any(entry.problem == "the file is missing" for entry in found.need(InterfaceFacts).external)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one-process", "xdist"])
def test_a_long_run_does_not_keep_copies(
    pytester: pytest.Pytester, workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each test the private copies that are on the disk are counted, by whichever process ran it."""
    for path in hostile.honest(pytester.mkdir("entries")):
        assert path.exists()
    pytester.makeconftest(
        "import os\n"
        "from pytest_facechallenge.plugin.stash import RUN\n"
        "def pytest_runtest_teardown(item):\n"
        "    copies = list(item.config.stash[RUN].gatherer.root.rglob('*.onnx'))\n"
        "    with open(os.environ['COPIES'], 'a') as file:\n"
        "        file.write(f'{len(copies)}\\n')\n"
    )
    counted = pytester.path / "copies"
    monkeypatch.setenv("COPIES", str(counted))
    monkeypatch.setenv("FACECHALLENGE_LATENCY", "modelled")
    rules = "package or input or no-float16 or deterministic"
    options = ("-q", "--facechallenge-model=entries", "--track=A", "-k", rules)
    result = pytester.runpytest_subprocess(*options, *workers)
    assert result.ret == 0, result.stdout.str()
    copies = [int(line) for line in counted.read_text().split()]
    assert max(copies) <= (2 if workers else 1), "each process is at one submission"
    assert copies[-1] == 0
