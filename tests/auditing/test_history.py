"""What changed between two audits is said, of every kind."""

from __future__ import annotations

from pytest_facechallenge.auditing.document import SCHEMA, Audit, EntryRow, TrackRow
from pytest_facechallenge.auditing.history import changes
from pytest_facechallenge.core.outcome import VerdictWord
from pytest_facechallenge.engine.report import Tool


def entry(name: str, sha256: str = "1", **row: object) -> EntryRow:
    """Return an entry on one track."""
    fields = {"track": "mfr21/A", "verdict": VerdictWord.COMPLIANT, **row}
    return EntryRow(path=name, name=name, sha256=sha256, bytes=1, report="", tracks=(TrackRow(**fields),))  # type: ignore[arg-type]


def audit(*entries: EntryRow) -> Audit:
    """Return an audit of these entries."""
    return Audit(schema=SCHEMA, tool=Tool(name="t", version="1"), date="d", rulebooks=(), entries=entries)


def test_every_kind_of_change_is_said() -> None:
    before = audit(
        entry("gone"),
        entry("same", score="1/2", score_text="50 %", place=1),
        entry("other file"),
        entry("worse"),
        entry("other cause", verdict=VerdictWord.INCOMPLETE, open=("latency",), why="1 rule open: latency"),
        entry("score", score="1/2", score_text="50 %", place=1),
    )
    now = (
        entry("same", score="1/2", score_text="50 %", place=1),
        entry("other file", "2"),
        entry("worse", verdict=VerdictWord.NON_COMPLIANT, broken=("batch",), why="batch"),
        entry("other cause", verdict=VerdictWord.INCOMPLETE, open=("batch",), why="1 rule open: batch"),
        entry("score", score="1/4", score_text="25 %", place=2),
        entry("new"),
    )
    found = [(each.name, each.what) for each in changes(before, now)]
    assert found == [
        ("gone", "removed"),
        ("other file", "another file was handed in"),
        ("worse", "mfr21/A: COMPLIANT -> NON-COMPLIANT"),
        ("other cause", "mfr21/A: 1 rule open: latency -> 1 rule open: batch"),
        ("score", "mfr21/A: score 50 % -> 25 %"),
        ("score", "mfr21/A: place 1 -> 2"),
        ("new", "added"),
    ]
