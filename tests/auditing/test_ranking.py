"""Places, ties and shares are exact; only entries that are COMPLIANT and have a score get one."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pytest_facechallenge.auditing.document import EntryRow, Standing, TrackRow
from pytest_facechallenge.auditing.ranking import baselines, ranked, share, standing
from pytest_facechallenge.core.outcome import VerdictWord
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks

load_checks()
BOOKS = load_rulebooks(())


def entry(name: str, score: str, verdict: VerdictWord = VerdictWord.COMPLIANT, purpose: str = "entry") -> EntryRow:
    """Return an entry on track A with a score."""
    row = TrackRow(track="mfr21/A", verdict=verdict, score=score)
    placed = TrackRow(track="mfr21/A", verdict=verdict, score=score, standing=standing(row, purpose))
    return EntryRow(path=f"/e/{name}", name=name, sha256=name, bytes=1, report="", tracks=(placed,))


def test_equal_scores_share_a_place_and_what_their_places_get() -> None:
    third = "333333333333333333/1000000000000000000"
    entries = (entry("d", "1/4"), entry("a", "1/3"), entry("c", third), entry("b", "1/3"))
    rows = {each.name: each.tracks[0] for each in ranked(entries, BOOKS)}
    assert [rows[name].place for name in "abcd"] == [1, 1, 3, 4], "1/3 is more than its first 18 digits"
    assert rows["a"].tied == ("/e/b",)
    assert [rows[name].share for name in "abcd"] == [0.225, 0.225, 0.05, 0.0]


def test_only_good_entries_with_a_score_are_ranked() -> None:
    entries = (
        entry("out", "9/10", VerdictWord.NON_COMPLIANT),
        entry("open", "8/10", VerdictWord.INCOMPLETE),
        entry("practice", "7/10", purpose="practice"),
        entry("bare", ""),
        entry("good", "1/10"),
    )
    rows = {each.name: each.tracks[0] for each in ranked(entries, BOOKS)}
    assert {name: row.place for name, row in rows.items() if row.place} == {"good": 1}
    assert [rows[name].standing for name in ("out", "open", "practice", "bare", "good")] == [
        Standing.OUT,
        Standing.OPEN,
        Standing.PRACTICE,
        Standing.UNSCORED,
        Standing.RANKED,
    ]


@pytest.mark.parametrize(
    ("book", "place", "together", "expected"),
    [
        ("mfr21", 1, 1, "3/10"),
        ("mfr21", 3, 1, "1/20"),
        ("mfr21", 4, 1, "0"),
        ("mfr21", 3, 5, "1/100"),
        ("lfr19", 1, 3, "1/3"),
        ("lfr19", 2, 1, "3/10"),
    ],
)
def test_shares_of_the_bonus(book: str, place: int, together: int, expected: str) -> None:
    assert share(BOOKS[book], place, together) == Fraction(expected)


def test_published_rows_are_ordered_by_the_rulebooks_formula() -> None:
    rows = baselines("mfr21/A", BOOKS)
    scores = [Fraction(row.score) for row in rows]
    assert scores == sorted(scores, reverse=True)
    published = {row.name: row.tar for row in BOOKS["mfr21"].baselines}
    for row in rows:
        tar = published[row.name]
        assert abs(float(Fraction(row.score)) - (0.25 * tar["mask"] + 0.75 * tar["mr-all"])) < 1e-12
