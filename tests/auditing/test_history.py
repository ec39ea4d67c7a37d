"""What changed between two audits is said, of every kind."""

from __future__ import annotations

import msgspec

from pytest_facechallenge.auditing.document import (
    SCHEMA,
    Audit,
    EntryRow,
    KnownMatch,
    NotCompared,
    Related,
    TrackRow,
)
from pytest_facechallenge.auditing.history import changes
from pytest_facechallenge.core.outcome import VerdictWord
from pytest_facechallenge.engine.report import Tool
from pytest_facechallenge.fingerprints.relation import Relation


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
    now = audit(
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


def related(one: str, other: str, relation: Relation = Relation.COPY, *, own: bool = False) -> Related:
    """Return two related entries."""
    return Related(one=one, other=other, relation=relation, how="alike", own=own)


def said(before: Audit, now: Audit) -> list[tuple[str, str]]:
    return [(each.name, each.what) for each in changes(before, now)]


ABC = audit(entry("a"), entry("b"), entry("c"))


def of_abc(*pairs: Related) -> Audit:
    return msgspec.structs.replace(ABC, related=pairs)


def test_new_and_vanished_copies_are_said() -> None:
    copies = of_abc(related("a", "b"))
    assert said(ABC, copies) == [("a", "now looks like a copy of b: alike")]
    assert said(copies, ABC) == [("a", "no longer looks like a copy of b (it was: alike)")]
    assert said(copies, copies) == []
    own = of_abc(related("a", "b", own=True))
    assert said(ABC, own) == [("a", "now looks like a copy of b of the same organization: alike")]
    assert said(copies, own) == [("a", "now declared to be of one organization with b, which it is related to")]


def test_how_sure_a_relation_is_may_change() -> None:
    sure, look = of_abc(related("a", "b")), of_abc(related("a", "b", Relation.UNDECIDED))
    assert said(ABC, look) == [("a", "is now alike to b, to be looked at: alike")]
    assert said(look, ABC) == [("a", "is no longer alike to b (it was: alike)")]
    assert said(look, sure) == [("a", "now looks like a copy of b, and was to be looked at before: alike")]
    assert said(sure, look) == [("a", "no longer looks like a copy of b, and is still to be looked at (it was: alike)")]


def test_other_pairs_of_the_same_group_are_no_change() -> None:
    before, now = of_abc(related("a", "b"), related("b", "c")), of_abc(related("a", "c"), related("c", "b"))
    assert said(before, now) == []
    without = msgspec.structs.replace(audit(entry("a"), entry("c")), related=(related("a", "c"),))
    assert said(before, without) == [("b", "removed")], "a and c were connected through b"


def test_a_new_entry_that_is_a_copy_is_said_to_be_both() -> None:
    before = audit(entry("a"))
    now = msgspec.structs.replace(audit(entry("a"), entry("b")), related=(related("a", "b"),))
    assert said(before, now) == [("b", "added"), ("a", "now looks like a copy of b: alike")]


def test_published_networks_and_what_cannot_be_compared() -> None:
    match = KnownMatch(path="a", network="SFace", relation=Relation.UNDECIDED, how="alike")
    known = msgspec.structs.replace(ABC, known=(match,))
    sure = msgspec.structs.replace(ABC, known=(msgspec.structs.replace(match, relation=Relation.COPY),))
    assert said(ABC, known) == [("a", "is now alike to the published network SFace: alike")]
    assert said(known, sure) == [("a", "now looks like a copy of the published network SFace: alike")]
    assert said(sure, ABC) == [("a", "is no longer alike to the published network SFace (it was: alike)")]
    mute = msgspec.structs.replace(ABC, not_compared=(NotCompared(path="c", why="it does not run"),))
    assert said(ABC, mute) == [("c", "is now compared by bytes and weights alone: it does not run")]
    assert said(mute, ABC) == [("c", "is now compared by what it does as well")]
