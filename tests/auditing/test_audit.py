"""An audit judges every entry once, goes on where it was stopped, and says what is different."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from pytest_facechallenge import audit
from pytest_facechallenge.auditing import schema
from pytest_facechallenge.auditing.document import Audit
from pytest_facechallenge.auditing.screen import render
from pytest_facechallenge.cli import main
from pytest_facechallenge.engine.report import Report, ReportError
from pytest_facechallenge.engine.schemas import path_of
from pytest_facechallenge.reports.view import View
from tests.support.in_process import started as started
from tests.support.models import network, save

pytestmark = pytest.mark.usefixtures("started")

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
[rules.package]
clause = "1"
text = "A package."
check = "package"
[rules.embedding-dim]
clause = "2"
text = "At most 64 values."
check = "embedding_dim"
limit = 64
[rules.submissions-per-day]
clause = "3"
text = "One a day."
check = "declared_submissions_per_day"
limit = 1
"""
TABLE = """\
entry,organization.name,submission.time,submission.number_that_day
a.onnx,Acme,2026-01-01T01:00:00+00:00,1
b.onnx,Acme,2026-01-01T02:00:00+00:00,2
wide.onnx,Other,2026-01-01T02:00:00+00:00,1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two good entries that are the same file, a broken one, a rulebook and a table of declarations."""
    save(network(), tmp_path / "entries" / "a.onnx")
    shutil.copy(tmp_path / "entries" / "a.onnx", tmp_path / "entries" / "b.onnx")
    save(network(dim=65), tmp_path / "entries" / "wide.onnx")
    (tmp_path / "small.toml").write_text(RULEBOOK, encoding="utf-8")
    (tmp_path / "table.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path


def audited(folder: Path, jobs: int = 1) -> Audit:
    """Audit the folder's entries."""
    return audit(
        folder / "entries",
        "small/one",
        folder / "out",
        rulebooks=[folder / "small.toml"],
        declarations=folder / "table.csv",
        device="cpu",
        jobs=jobs,
    )


def words(found: Audit) -> dict[str, str]:
    """Return the verdicts by entry."""
    return {entry.name: str(entry.tracks[0].verdict) for entry in found.entries}


def test_every_entry_gets_a_verdict_a_report_and_a_line(folder: Path) -> None:
    found = audited(folder)
    assert words(found) == {"a.onnx": "COMPLIANT", "b.onnx": "NON-COMPLIANT", "wide.onnx": "NON-COMPLIANT"}
    rows = {entry.name: entry.tracks[0] for entry in found.entries}
    assert rows["b.onnx"].broken == ("submissions-per-day",), "two entries of one organization on one day"
    assert rows["wide.onnx"].broken == ("embedding-dim", "batch")[:1]
    for entry in found.entries:
        report = Report.load(folder / "out" / entry.report)
        assert report.submissions[0].tracks[0].verdict.word == entry.tracks[0].verdict
    assert found.identical == ((str(folder / "entries" / "a.onnx"), str(folder / "entries" / "b.onnx")),)
    lines = list(csv.DictReader(io.StringIO((folder / "out" / "leaderboard.csv").read_text(encoding="utf-8"))))
    assert [(line["entry"], line["standing"]) for line in lines] == [
        ("a.onnx", "no score"),
        ("b.onnx", "out"),
        ("wide.onnx", "out"),
    ]
    page = (folder / "out" / "leaderboard.html").read_text(encoding="utf-8")
    assert "wide.onnx" in page
    assert "embedding-dim 65 &gt; 64" in page


def test_the_schema_is_that_of_the_document(folder: Path) -> None:
    assert path_of(schema.NAME).read_text(encoding="utf-8") == schema.text(), (
        "write it anew: python -m pytest_facechallenge.auditing.schema"
    )
    audited(folder)
    found = json.loads((folder / "out" / "audit.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, json.loads(schema.text()))
    found["entries"][0]["tracks"][0]["verdict"] = "GOOD"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, json.loads(schema.text()))


def test_the_same_audit_again_gathers_nothing(folder: Path, started: list[tuple[str, ...]]) -> None:
    first = audited(folder)
    started.clear()
    second = audited(folder)
    assert started == []
    assert words(second) == words(first)
    assert second.previous == first.date
    assert second.changes == ()
    assert sum(entry.gathered for entry in second.entries) == 0
    assert [entry.reused for entry in second.entries] == [entry.gathered for entry in first.entries]
    assert Audit.load(next((folder / "out" / "history").iterdir())) == first


def test_what_is_no_model_is_counted_like_any_other(folder: Path) -> None:
    (folder / "entries" / "none.onnx").write_bytes(b"no")
    first, second = audited(folder), audited(folder)
    counts = [{entry.name: (entry.gathered, entry.reused) for entry in each.entries} for each in (first, second)]
    assert counts[1]["none.onnx"] == counts[0]["none.onnx"][::-1]
    assert counts[1]["none.onnx"][0] == 0


def test_a_changed_rulebook_is_judged_without_gathering(folder: Path, started: list[tuple[str, ...]]) -> None:
    audited(folder)
    started.clear()
    (folder / "small.toml").write_text(RULEBOOK.replace("limit = 64", "limit = 65"), encoding="utf-8")
    found = audited(folder)
    assert started == []
    assert words(found)["wide.onnx"] == "COMPLIANT"
    assert [(each.name, each.what) for each in found.changes] == [
        ("wide.onnx", "small/one: NON-COMPLIANT -> COMPLIANT")
    ]


def test_only_what_is_new_or_changed_is_gathered(folder: Path, started: list[tuple[str, ...]]) -> None:
    audited(folder)
    started.clear()
    save(network(dim=32), folder / "entries" / "wide.onnx")
    save(network(seed=5), folder / "entries" / "c.onnx")
    (folder / "entries" / "a.onnx").unlink()
    found = audited(folder)
    assert {entry.name: entry.gathered > 0 for entry in found.entries} == {
        "b.onnx": False,
        "c.onnx": True,
        "wide.onnx": True,
    }
    said = [(each.name, each.what) for each in found.changes]
    assert ("a.onnx", "removed") in said
    assert ("c.onnx", "added") in said
    assert ("wide.onnx", "another file was handed in") in said


def test_entries_judged_at_once_are_the_same(folder: Path) -> None:
    found = audited(folder, jobs=3)
    assert words(found) == {"a.onnx": "COMPLIANT", "b.onnx": "NON-COMPLIANT", "wide.onnx": "NON-COMPLIANT"}
    assert [entry.name for entry in found.entries] == ["a.onnx", "b.onnx", "wide.onnx"]


def test_hostile_names_are_text_everywhere(folder: Path) -> None:
    name = "=1+2<script>alert(1)</script>\x1b[31m.onnx"
    save(network(), folder / "entries" / name)
    found = audited(folder)
    screen = render(found, View(width=100))
    page = (folder / "out" / "leaderboard.html").read_text(encoding="utf-8")
    table = (folder / "out" / "leaderboard.csv").read_text(encoding="utf-8")
    assert "\x1b" not in screen + page + table
    assert "<script>alert" not in page
    assert "'=1+2" in table


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_screen_fits(folder: Path, width: int) -> None:
    screen = render(audited(folder), View(width=width))
    assert max(map(len, screen.splitlines())) <= width
    for word in ("a.onnx", "wide.onnx", "NON-COMPLIANT", "3 entries: 1 COMPLIANT,"):
        assert word in screen


def test_another_file_in_the_place_of_the_document_is_not_lost(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "audit.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ReportError, match="is no audit of this version"):
        audited(folder)
    assert (folder / "out" / "audit.json").read_text(encoding="utf-8") == "{}"


def arguments(folder: Path, *more: str) -> list[str]:
    """Return the command line of the audit."""
    return [
        "audit",
        str(folder / "entries"),
        *("--track", "small/one", "--rules", str(folder / "small.toml"), "--out", str(folder / "out")),
        *("--device", "cpu", *more),
    ]


def test_the_command_prints_the_ranking(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(folder)) == 0
    shown = capsys.readouterr()
    assert "3 entries: 1 NON-COMPLIANT, 2 INCOMPLETE" in shown.out
    assert "[3/3] " in shown.err
    assert main(arguments(folder, "--strict", "-q")) == 1
    assert capsys.readouterr().err == ""
    with pytest.raises(SystemExit) as ended:
        main(arguments(folder, "-n", "0"))
    assert ended.value.code == 4
    assert "a number of at least 1 is expected" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_audit_goes_on(folder: Path) -> None:
    line = [sys.executable, "-m", "pytest_facechallenge", *arguments(folder)]
    with subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith("[1/3] a.onnx"), first
        process.send_signal(signal.SIGKILL)
    assert not (folder / "out" / "audit.json").exists()
    time.sleep(0.1)
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert "[1/3] a.onnx: small/one INCOMPLETE" in done.stderr
    assert "nothing new to gather" in done.stderr.splitlines()[0]
    assert "3 entries: 1 NON-COMPLIANT, 2 INCOMPLETE" in done.stdout


@pytest.mark.skipif(
    os.name != "posix" or signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    reason="needs SIGINT, which jobs in the background ignore",
)
def test_an_interrupted_audit_ends_its_workers_and_says_how_to_go_on(folder: Path) -> None:
    for number in range(10):  # more than are judged before the signal is seen
        save(network(dim=16 + number), folder / "entries" / f"more-{number}.onnx")
    line = [sys.executable, "-m", "pytest_facechallenge", *arguments(folder)]
    with subprocess.Popen(line, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 2
    assert said.splitlines()[-1] == "interrupted; the same command goes on from here"
