"""Neighbours of a ranking are compared on the same images; what cannot be compared says why."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import jsonschema
import msgspec
import pytest

from pytest_facechallenge import audit
from pytest_facechallenge.auditing import neighbours, schema
from pytest_facechallenge.auditing.document import Audit, EntryRow
from pytest_facechallenge.auditing.screen import render
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks
from pytest_facechallenge.engine.report import Report, digest_of
from pytest_facechallenge.reports.view import View
from tests.analyses.accuracy import world
from tests.support.in_process import started as started

pytestmark = pytest.mark.usefixtures("started")

BOOK = (Path(world.__file__).parent / "book.toml").read_text(encoding="utf-8")


def audited(folder: Path) -> Audit:
    """Audit the folder's entries on its two testsets."""
    return audit(
        folder / "entries",
        "small/B",
        folder / "out",
        rulebooks=[folder / "book.toml"],
        testset=[f"mask={folder / 'mask'}", f"mr-all={folder / 'all'}"],
        device="cpu",
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Audit]:
    """An audited folder: a wide network, a copy of it under another name, a narrow one that knows few people."""
    folder = tmp_path_factory.mktemp("ranking")
    (folder / "book.toml").write_text(BOOK, encoding="utf-8")
    (folder / "entries").mkdir()
    world.model(folder / "entries" / "wide.onnx", width=48)
    world.model(folder / "entries" / "wide-again.onnx", width=48)
    world.model(folder / "entries" / "narrow.onnx", width=3, seed=2)
    world.write_mask_pair(folder / "mask", world.people(24, 2, masked=1, noise=25), 2)
    world.write_folders(folder / "all", world.people(30, 3, seed=3, noise=25))
    return folder, audited(folder)


@pytest.fixture
def changed(made: tuple[Path, Audit], tmp_path: Path) -> tuple[Path, Audit]:
    """The same, with reports that a test may change."""
    folder, found = made
    shutil.copytree(folder / "out" / "reports", tmp_path / "out" / "reports")
    shutil.copy(folder / "book.toml", tmp_path / "book.toml")
    return tmp_path, found


def test_neighbours_are_compared_and_said_everywhere(made: tuple[Path, Audit]) -> None:
    folder, found = made
    rows = {entry.name: entry.tracks[0] for entry in found.entries}
    assert [rows[name].place for name in ("wide.onnx", "wide-again.onnx", "narrow.onnx")] == [1, 1, 3]
    first, second = found.neighbours_of("small/B")
    names = {entry.path: entry.name for entry in found.entries}
    assert [names[path] for path in (first.better, first.worse, second.worse)] == [
        "wide-again.onnx",
        "wide.onnx",
        "narrow.onnx",
    ]
    assert first.difference == "0"
    assert first.low is not None
    assert first.high is not None
    assert first.low < 0 < first.high
    assert first.p == 1
    assert not first.significant
    assert Fraction(second.difference) == Fraction(rows["wide.onnx"].score) - Fraction(rows["narrow.onnx"].score)
    assert second.low is not None
    assert second.high is not None
    assert 0 < second.low < float(Fraction(second.difference)) < second.high
    assert second.p is not None
    assert second.p_together == pytest.approx(2 * second.p), "two pairs are looked at together"
    assert second.significant
    assert second.significant_together
    row = rows["narrow.onnx"]
    assert row.low is not None
    assert row.high is not None
    assert 0 < row.low < float(Fraction(row.score)) < row.high < 1

    document = json.loads((folder / "out" / "audit.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, json.loads(schema.text()))
    assert Audit.load(folder / "out" / "audit.json") == found
    lines = list(csv.DictReader(io.StringIO((folder / "out" / "leaderboard.csv").read_text(encoding="utf-8"))))
    assert float(lines[1]["over_the_next"]) == float(Fraction(second.difference))
    assert float(lines[0]["over_low"]) == first.low, "a number below 0 is no formula"
    assert lines[0]["significance"] == "within chance (p = 1)"
    assert lines[1]["significance"].startswith("significant (p")
    assert lines[2]["significance"] == ""
    shown = " ".join(render(found, View(width=140)).split())
    assert "1 wide-again.onnx (" in shown
    assert "over 1 wide.onnx" in shown
    assert "within chance (p = 1)" in shown
    page = (folder / "out" / "leaderboard.html").read_text(encoding="utf-8")
    assert "over the next" in page
    assert "significant (p" in page


def test_a_second_audit_says_the_same_without_gathering(
    made: tuple[Path, Audit], started: list[tuple[str, ...]]
) -> None:
    folder, first = made
    started.clear()
    second = audited(folder)
    assert started == []
    assert second.neighbours == first.neighbours
    assert [entry.tracks for entry in second.entries] == [entry.tracks for entry in first.entries]


def _without_counts(facts: AccuracyFacts) -> AccuracyFacts:
    """Return facts as an earlier version left them."""
    sets = [
        msgspec.structs.replace(
            each, points=tuple(msgspec.structs.replace(point, by_identity=None) for point in each.points)
        )
        for each in facts.sets
    ]
    return msgspec.structs.replace(facts, sets=tuple(sets))


def _of_other_images(facts: AccuracyFacts) -> AccuracyFacts:
    return msgspec.structs.replace(
        facts, sets=tuple(msgspec.structs.replace(each, compared="0" * 64) for each in facts.sets)
    )


def _damaged(facts: AccuracyFacts) -> AccuracyFacts:
    sets = []
    for each in facts.sets:
        points = []
        for point in each.points:
            assert point.by_identity is not None
            counts = msgspec.structs.replace(point.by_identity, genuine=("u8x999999999999", "AAAA"))
            points.append(msgspec.structs.replace(point, by_identity=counts))
        sets.append(msgspec.structs.replace(each, points=tuple(points)))
    return msgspec.structs.replace(facts, sets=tuple(sets))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without_counts, "narrow.onnx: mask: what each identity contributed was not kept"),
        (_of_other_images, "mask: the two were measured on other images"),
        (_damaged, "the counts by identity are damaged"),
        (lambda _facts: AccuracyFacts(), "narrow.onnx: mask was not measured"),
    ],
)
def test_what_cannot_be_compared_says_why(
    changed: tuple[Path, Audit], change: Callable[[AccuracyFacts], AccuracyFacts], said: str
) -> None:
    folder, found = changed
    (entry,) = (entry for entry in found.entries if entry.name == "narrow.onnx")
    _changed(folder / "out" / entry.report, change)
    again = _compared(found, folder)
    first, second = again.neighbours
    assert first.p == 1
    assert said in second.why_not
    assert second.low is None
    assert not second.significant
    assert f"cannot be judged: {second.why_not}"[:40] in " ".join(render(again, View(width=140)).split())


def test_a_report_that_is_gone_is_no_failure_of_the_audit(changed: tuple[Path, Audit]) -> None:
    folder, found = changed
    (entry,) = (entry for entry in found.entries if entry.name == "narrow.onnx")
    (folder / "out" / entry.report).unlink()
    assert "its report cannot be read" in _compared(found, folder).neighbours[1].why_not


def _changed(path: Path, change: Callable[[AccuracyFacts], AccuracyFacts]) -> None:
    report = Report.load(path)
    (submission,) = report.submissions
    facts = submission.as_facts().need(AccuracyFacts)
    kept = {**submission.facts, "accuracy": msgspec.to_builtins(change(facts))}
    signed = msgspec.structs.replace(submission, facts=kept, digest=digest_of(kept, submission.failures))
    msgspec.structs.replace(report, submissions=(signed,)).save(path)


def _compared(found: Audit, folder: Path) -> Audit:
    """Compare the neighbours of an audit again, with the reports that are there now."""
    load_checks()
    books = load_rulebooks([folder / "book.toml"])
    bare = tuple(_bare(entry) for entry in found.entries)
    entries, pairs = neighbours.compared(bare, books, folder / "out")
    return msgspec.structs.replace(found, entries=entries, neighbours=pairs)


def _bare(entry: EntryRow) -> EntryRow:
    rows = tuple(msgspec.structs.replace(row, low=None, high=None) for row in entry.tracks)
    return msgspec.structs.replace(entry, tracks=rows)
