"""An audit says who handed in whose network, and accuses nobody of handing in their own."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import pytest

from evaluation.duplicates import copies
from pytest_facechallenge import audit
from pytest_facechallenge.auditing import duplicates
from pytest_facechallenge.auditing.document import Audit, EntryRow
from pytest_facechallenge.auditing.screen import render
from pytest_facechallenge.cli import main
from pytest_facechallenge.core.facts.base import Facts, FailureKind, StepFailure
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.fingerprints.known import KnownNetwork
from pytest_facechallenge.fingerprints.relation import Relation
from pytest_facechallenge.reports.view import View
from tests.support.fingerprints import made_up
from tests.support.in_process import started as started
from tests.support.models import network, save

RULEBOOK = """\
schema = "facechallenge-rulebook/1"
id = "small"
title = "A small challenge"
version = "1"
date = "2026-01-01"
source = "this test"
[tracks.one]
title = "The only track"
clause = "1"
[rules.embedding-dim]
clause = "2"
text = "At most 64 values."
check = "embedding_dim"
limit = 64
"""
TABLE = """\
entry,organization.name
a.onnx,Acme
again.onnx, ACME
copy.onnx,Other
same.onnx,Third
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Entries: one with its copies by others and by its own organization, an independent one, one that is none."""
    entries = tmp_path / "entries"
    model = network()
    save(model, entries / "a.onnx")
    save(copies.noisy(model, 0.01), entries / "again.onnx")
    save(copies.permuted(copies.batch_norms_added(model)), entries / "copy.onnx")
    shutil.copy(entries / "a.onnx", entries / "same.onnx")
    save(network(seed=1), entries / "free.onnx")
    (entries / "none.onnx").write_bytes(b"no")
    (tmp_path / "small.toml").write_text(RULEBOOK, encoding="utf-8")
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path


def audited(folder: Path) -> Audit:
    """Audit the folder's entries."""
    return audit(
        folder / "entries",
        "small/one",
        folder / "out",
        rulebooks=[folder / "small.toml"],
        declarations=folder / "table.csv",
        device="cpu",
    )


@pytest.mark.usefixtures("started")
def test_copies_are_told_and_own_work_apart(folder: Path) -> None:
    found = audited(folder)
    pairs = {
        frozenset((Path(each.one).name, Path(each.other).name)): (each.relation, each.own, each.how)
        for each in found.related
    }
    assert pairs[frozenset(("a.onnx", "same.onnx"))] == (Relation.COPY, False, "the same file, byte for byte")
    assert set().union(*pairs) == {"a.onnx", "again.onnx", "copy.onnx", "same.onnx"}
    assert len(pairs) == 3, "as few pairs as connect them"
    assert [each.own for each in found.related] == sorted(each.own for each in found.related)
    assert [Path(each.path).name for each in found.not_compared] == ["none.onnx"]
    screen = " ".join(render(found, View(width=100)).split())
    assert "a.onnx (Acme) and same.onnx (Third): the same file, byte for byte" in screen
    assert "not declared to be one organization's" in screen
    assert "it holds plain text" in screen
    assert "free.onnx (" not in screen
    page = (folder / "out" / "leaderboard.html").read_text(encoding="utf-8")
    assert "Who handed in whose network" in page
    assert "the same file, byte for byte" in page
    table = csv.DictReader(io.StringIO((folder / "out" / "leaderboard.csv").read_text(encoding="utf-8")))
    related = {line["entry"]: line["related"] for line in table}
    assert "a.onnx (copy: the same file, byte for byte)" in related["same.onnx"]
    assert related["free.onnx"] == related["none.onnx"] == ""
    assert Audit.load(folder / "out" / "audit.json") == found


@pytest.mark.usefixtures("started")
def test_fingerprints_are_kept_and_not_gathered_again(folder: Path, started: list[tuple[str, ...]]) -> None:
    first = audited(folder)
    assert any("fingerprint" in steps for steps in started)
    started.clear()
    assert audited(folder).related == first.related
    assert started == []


def entries(*names: str) -> list[EntryRow]:
    """Return rows of entries."""
    return [EntryRow(path=f"/e/{name}", name=name, sha256=name, bytes=1, report="", tracks=()) for name in names]


def facts(seed: int, organization: str = "") -> Facts:
    """Return what a made-up network is compared by."""
    mine = made_up(seed)
    assert mine.weights is not None
    assert mine.behaviour is not None
    statements = {"organization.name": organization} if organization else {}
    return Facts.of(mine.weights, mine.behaviour, DeclarationFacts(path="d", looked_for=(), statements=statements))


def test_own_work_again_is_no_accusation() -> None:
    found = duplicates.found(
        entries("a", "b", "c"), [facts(1, "Acme  Inc"), facts(1, "acme inc"), facts(1)], (), networks=()
    )
    assert [(each.one, each.other, each.own) for each in found.related] == [
        ("/e/a", "/e/c", False),
        ("/e/a", "/e/b", True),
    ]


def test_two_that_declare_nothing_are_not_taken_for_one_organization() -> None:
    found = duplicates.found(entries("a", "b"), [facts(1), facts(1)], (), networks=())
    assert [each.own for each in found.related] == [False]


def test_a_group_of_many_is_connected_by_few_pairs() -> None:
    count = 60
    names = [str(number) for number in range(count)]
    found = duplicates.found(entries(*names), [facts(number % 2) for number in range(count)], (), networks=())
    assert len(found.related) == count - 2


def test_a_published_network_is_named() -> None:
    published = [KnownNetwork("one", "", "", "", made_up(1)), KnownNetwork("two", "", "", "", made_up(2))]
    found = duplicates.found(entries("a", "b"), [facts(1), facts(3)], (), networks=published)
    assert [(each.path, each.network, each.relation) for each in found.known] == [("/e/a", "one", Relation.COPY)]
    assert found.related == ()


def test_an_entry_without_a_fingerprint_is_said_with_its_reason() -> None:
    failure = StepFailure(step="fingerprint", kind=FailureKind.CRASHED, message="it died")
    found = duplicates.found(entries("a", "b"), [Facts.of(failure), Facts()], (), networks=())
    assert [(each.path, each.why) for each in found.not_compared] == [("/e/a", "it died"), ("/e/b", "it was not run")]


@pytest.mark.usefixtures("started")
def test_the_command_compares_and_keeps(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "entries")
    assert main(["fingerprint", "a.onnx", "copy.onnx", "free.onnx", "--device", "cpu"]) == 0
    assert capsys.readouterr().out == ("a.onnx and copy.onnx: copy: the same weights in all 5 layers; likeness 1.00\n")
    assert main(["fingerprint", "a.onnx", "--name", "mine", "--about", "x", "--add", "known.toml", "--device=cpu"]) == 0
    assert main(["fingerprint", "copy.onnx", "--known", "known.toml", "--device=cpu"]) == 0
    shown = capsys.readouterr().out
    assert "copy.onnx and the published mine: copy: the same weights in all 5 layers; likeness 1.00" in shown
    assert main(["fingerprint", "free.onnx", "--known", "known.toml", "--device=cpu"]) == 0
    assert "nothing alike among 1 model" in capsys.readouterr().out
    assert main(["fingerprint", "none.onnx", "--device=cpu"]) == 1
    assert "no fingerprint of behaviour" in capsys.readouterr().out


@pytest.mark.usefixtures("started")
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["a.onnx", "--add", "known.toml"], "--add needs the name"),
        (["a.onnx", "free.onnx", "--name", "x"], "made of one model, 2 are named"),
        (["none.onnx", "--name", "x"], "there is no fingerprint to keep"),
        (["a.onnx", "--known", "missing.toml"], "missing.toml cannot be used"),
        (["nothing.onnx", "--raw"], "nothing.onnx cannot be used"),
    ],
)
def test_wrong_invocations_are_one_sentence(
    arguments: list[str], why: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder / "entries")
    assert main(["fingerprint", "--device=cpu", *arguments]) == 4
    assert why in capsys.readouterr().err


@pytest.mark.usefixtures("started")
def test_a_model_that_takes_raw_pixels_is_fed_them(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same network behind its own normalisation: alike only where it gets what it was made for."""
    import numpy as np
    from onnx import helper, numpy_helper

    monkeypatch.chdir(folder / "entries")
    model = network()
    model.graph.node[0].input[0] = "normal"
    front = [helper.make_node("Add", ["input", "less"], ["low"]), helper.make_node("Mul", ["low", "part"], ["normal"])]
    nodes = [*front, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(numpy_helper.from_array(np.array(-127.5, np.float32), "less"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(1 / 127.5, np.float32), "part"))
    save(model, folder / "entries" / "raw.onnx")
    assert main(["fingerprint", "a.onnx", "--name", "mine", "--add", "known.toml", "--device=cpu"]) == 0
    capsys.readouterr()
    assert main(["fingerprint", "raw.onnx", "--raw", "--known", "known.toml", "--device=cpu"]) == 0
    assert "likeness 1.00" in capsys.readouterr().out
