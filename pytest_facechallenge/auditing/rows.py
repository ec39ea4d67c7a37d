"""From the report of an entry to its rows."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from pytest_facechallenge.auditing.document import EntryRow, TrackRow
from pytest_facechallenge.auditing.ranking import standing
from pytest_facechallenge.checks.published import differences, ranking_weights
from pytest_facechallenge.checks.scores import percent
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.engine.report import SubmissionReport, TrackReport
from pytest_facechallenge.reports.overview import figures, megabytes
from pytest_facechallenge.reports.wording import all_causes

#: The check whose rule has the score that a track is ranked by.
RANKING = "ranking_score"


def entry_row(
    submission: SubmissionReport, report: str, gathered: int, reused: int, books: Mapping[str, Rulebook]
) -> EntryRow:
    """Return the row of an entry; ``report`` is the file of its report."""
    return EntryRow(
        path=submission.path,
        name=submission.name,
        sha256=submission.sha256,
        bytes=submission.bytes,
        report=report,
        tracks=tuple(track_row(submission, track, books[track.rulebook]) for track in submission.tracks),
        gathered=gathered,
        reused=reused,
        warnings=submission.warnings,
    )


def track_row(submission: SubmissionReport, track: TrackReport, book: Rulebook) -> TrackRow:
    """Return the row of an entry on one track, without its place."""
    ranking = {rule.id for rule in book.rules_of(track.track) if rule.check == RANKING}
    score = next((result.score for result in track.rules if result.rule in ranking and result.score), "")
    flops, time, _ = figures(track)
    row = TrackRow(
        track=track.full,
        verdict=track.verdict.word,
        broken=track.verdict.broken,
        open=tuple(each.rule for each in track.verdict.open),
        why=all_causes(track),
        score=score,
        score_text=percent(Fraction(score)) if score else "",
        comparable=bool(score) and _comparable(submission, track, book),
        size=megabytes(submission.bytes),
        flops=flops,
        time=time,
    )
    return TrackRow(
        **{field: getattr(row, field) for field in row.__struct_fields__} | {"standing": standing(row, track.purpose)}
    )


def _comparable(submission: SubmissionReport, track: TrackReport, book: Rulebook) -> bool:
    """Whether every set of the score is the challenge's own by its published counts."""
    measured = submission.as_facts().get(AccuracyFacts)
    if measured is None:
        return False
    own = [result for result in measured.sets if result.official and result.set in ranking_weights(book, track.track)]
    return bool(own) and all(
        result.set in book.sets and not differences(result, book.sets[result.set]) for result in own
    )
