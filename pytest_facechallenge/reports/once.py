"""Every sentence once for a submission: what a reader was told already is not shown again. Nothing is decided here."""

from __future__ import annotations

import re

import msgspec

from pytest_facechallenge.core.outcome import Evidence, Status
from pytest_facechallenge.core.verdict import OpenRule, Verdict
from pytest_facechallenge.engine.report import Report, RuleResult, SubmissionReport, TrackReport

#: A text that is shorter is no sentence: "640 values per image" may stand in a message and beside a batch.
LEAST = 30
#: In which order views show the rules of a track.
_ORDER = (Status.FAILED, Status.UNDECIDED)


def once(report: Report) -> Report:
    """Return the report as views show it: each text where it is said first, and "as on …" or nothing where again.

    Evidence that the message quotes is left out, and so are notes that say what a message or evidence says. What is the
    same on a second track of the submission is said on the first.
    """
    return msgspec.structs.replace(report, submissions=tuple(map(_submission, report.submissions)))


def _submission(submission: SubmissionReport) -> SubmissionReport:
    said = _Said()
    return msgspec.structs.replace(submission, tracks=tuple(said.track(each) for each in submission.tracks))


class _Said:
    """What was said of one submission so far, and where."""

    def __init__(self) -> None:
        self._results: dict[tuple[object, ...], str] = {}
        self._open: dict[tuple[str, str, str], str] = {}
        self._texts: dict[str, str] = {}
        self._sentences: set[str] = set()

    def track(self, track: TrackReport) -> TrackReport:
        """Return the track without what was said."""
        order = sorted(track.rules, key=lambda each: _ORDER.index(each.status) if each.status in _ORDER else 2)
        shown = {id(each): self._result(each, track.full) for each in order}
        open_ = tuple(self._reason(each, track.full) for each in track.verdict.open)
        verdict: Verdict = msgspec.structs.replace(track.verdict, open=open_)
        return msgspec.structs.replace(track, rules=tuple(shown[id(each)] for each in track.rules), verdict=verdict)

    def _result(self, result: RuleResult, track: str) -> RuleResult:
        sentence = "" if result.sentence in self._sentences else result.sentence
        reading = "" if result.reading in self._sentences else result.reading
        self._sentences |= {result.sentence, result.reading}
        same = (result.name, result.status, result.message, result.evidence, result.remedy, result.limit)
        first = self._results.setdefault(same, track)
        if first != track:
            return msgspec.structs.replace(
                result, message=f"As on {first}.", evidence=(), remedy="", notes=(), sentence=sentence, reading=reading
            )
        evidence = tuple(each for each in result.evidence if not _is_in(each, result.message))
        told = " ".join([result.message, *(each.what for each in result.evidence)])
        notes = tuple(note for note in result.notes if not self._told(note, told))
        message = result.message
        if result.status in (Status.PASSED, Status.NOT_APPLICABLE) and len(message) >= LEAST:
            before = self._texts.setdefault(message, result.name)
            message = message if before == result.name else f"As {before}."
        return msgspec.structs.replace(
            result, message=message, evidence=evidence, notes=notes, sentence=sentence, reading=reading
        )

    def _told(self, note: str, message: str) -> bool:
        """Return whether a note was told before, or says nothing that the message and the evidence do not."""
        known = note in self._texts or _plain(note) in _plain(message)
        self._texts.setdefault(note, note)
        return known and len(note) >= LEAST

    def _reason(self, reason: OpenRule, track: str) -> OpenRule:
        first = self._open.setdefault((reason.rule, reason.why, reason.remedy), track)
        return reason if first == track else msgspec.structs.replace(reason, why=f"As on {first}.", remedy="")


def _is_in(evidence: Evidence, message: str) -> bool:
    what = _plain(evidence.what)
    return len(what) >= LEAST and what in _plain(message)


def _plain(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().casefold()
