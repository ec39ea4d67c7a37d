"""From rows to places: who stands where on a track, and who gets which share of the bonus. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import msgspec

from pytest_facechallenge.auditing.document import BaselineRow, EntryRow, Standing, TrackRow
from pytest_facechallenge.checks.published import ranked_baselines, ranking_weights
from pytest_facechallenge.checks.scores import exact, percent
from pytest_facechallenge.core.outcome import VerdictWord
from pytest_facechallenge.core.rulebook import Rulebook


def standing(row: TrackRow, purpose: str) -> Standing:
    """Return how an entry stands before it is compared with others."""
    if purpose == "practice":
        return Standing.PRACTICE
    if row.verdict is VerdictWord.NON_COMPLIANT:
        return Standing.OUT
    if row.verdict is VerdictWord.INCOMPLETE:
        return Standing.OPEN
    return Standing.RANKED if row.score else Standing.UNSCORED


def ranked(entries: tuple[EntryRow, ...], books: Mapping[str, Rulebook]) -> tuple[EntryRow, ...]:
    """Return the entries with their places: equal scores share a place, and the next place is counted on from there."""
    found: dict[tuple[str, str], TrackRow] = {}
    for track in dict.fromkeys(row.track for entry in entries for row in entry.tracks):
        scores = {
            entry.path: Fraction(row.score)
            for entry in entries
            for row in entry.tracks
            if row.track == track and row.standing is Standing.RANKED
        }
        for entry in entries:
            for row in entry.tracks:
                if row.track == track and entry.path in scores:
                    found[entry.path, track] = _placed(entry.path, row, scores, books[track.partition("/")[0]])
    return tuple(
        msgspec.structs.replace(
            entry, tracks=tuple(found.get((entry.path, row.track), _unplaced(row)) for row in entry.tracks)
        )
        for entry in entries
    )


def _unplaced(row: TrackRow) -> TrackRow:
    return msgspec.structs.replace(row, place=0, tied=(), share=0.0)


def _placed(path: str, row: TrackRow, scores: Mapping[str, Fraction], book: Rulebook) -> TrackRow:
    mine = scores[path]
    place = 1 + sum(score > mine for score in scores.values())
    tied = tuple(sorted(other for other, score in scores.items() if score == mine and other != path))
    return msgspec.structs.replace(row, place=place, tied=tied, share=float(share(book, place, 1 + len(tied))))


def share(book: Rulebook, place: int, together: int) -> Fraction:
    """Return the fraction of the bonus for each of ``together`` entries that share ``place``.

    They get what their places get together, in equal parts.
    """
    shares = [exact(each) for each in book.bonus.shares] if book.bonus is not None else []
    return sum(shares[place - 1 : place - 1 + together], Fraction(0)) / together


def baselines(track: str, books: Mapping[str, Rulebook]) -> list[BaselineRow]:
    """Return the published rows that have a score on a track, best first."""
    book_id, _, name = track.partition("/")
    weights = ranking_weights(books[book_id], name)
    rows = []
    for _, row in ranked_baselines(books[book_id], weights):
        score = sum((exact(weight) * exact(row.tar[part]) for part, weight in weights.items()), Fraction(0))
        rows.append(BaselineRow(track=track, name=row.name, score=str(score), score_text=percent(score)))
    return rows
