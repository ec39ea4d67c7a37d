"""What judging one rule says (Outcome), and what all of them together say about a submission on a track (Verdict)."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Status(StrEnum):
    """The four things a check can say."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    NOT_APPLICABLE = "not-applicable"


class VerdictWord(StrEnum):
    """The three things a run can say about a submission on a track."""

    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON-COMPLIANT"
    INCOMPLETE = "INCOMPLETE"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was seen, and where.

    Attributes
    ----------
    where
        The node, tensor, file or image, in words a participant can search for ("node 'Conv_3'").
    what
        What was seen there, with its numbers.
    """

    where: str
    what: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule says about one submission.

    Attributes
    ----------
    status
        See `Status`. UNDECIDED always says in ``message`` what would decide it.
    message
        One or more sentences: what was expected, what was found, where.
    measured, limit
        Short texts for the table; empty when there is nothing to show.
    evidence
        What the status rests on.
    remedy
        How to fix it in the tools participants use; empty when nothing has to be fixed.
    notes
        Observations that change no status but that a participant or organiser should know.
    uncounted
        On a track where the rule is a note or a measurement: the status that it would have if it counted. The status
        itself is then NOT_APPLICABLE.
    because_of
        For undecided, the rule that explains it and has the remedy; "" when nothing else does.
    score
        What was measured where that is a score, exactly, as a fraction ("1277/2000"); "" elsewhere.
    """

    status: Status
    message: str
    measured: str = ""
    limit: str = ""
    evidence: tuple[Evidence, ...] = ()
    remedy: str = ""
    notes: tuple[str, ...] = ()
    because_of: str = ""
    uncounted: Status | None = None
    score: str = ""


def passed(
    message: str,
    *,
    measured: str = "",
    limit: str = "",
    notes: tuple[str, ...] = (),
    evidence: tuple[Evidence, ...] = (),
) -> Outcome:
    """Return an outcome that says the rule is kept."""
    return Outcome(
        status=Status.PASSED, message=message, measured=measured, limit=limit, notes=notes, evidence=evidence
    )


def failed(
    message: str,
    *,
    remedy: str,
    measured: str = "",
    limit: str = "",
    notes: tuple[str, ...] = (),
    evidence: tuple[Evidence, ...] = (),
) -> Outcome:
    """Return an outcome that says the rule is broken; a remedy is required, so that no finding leaves one helpless."""
    return Outcome(
        status=Status.FAILED,
        message=message,
        measured=measured,
        limit=limit,
        notes=notes,
        evidence=evidence,
        remedy=remedy,
    )


def undecided(
    message: str,
    *,
    remedy: str,
    measured: str = "",
    limit: str = "",
    notes: tuple[str, ...] = (),
    evidence: tuple[Evidence, ...] = (),
) -> Outcome:
    """Return an outcome that says the rule cannot be judged here; ``remedy`` says what would decide it."""
    return Outcome(
        status=Status.UNDECIDED,
        message=message,
        measured=measured,
        limit=limit,
        notes=notes,
        evidence=evidence,
        remedy=remedy,
    )


def explained(rule: str, why: str) -> Outcome:
    """Return an outcome that says the rule is not judged, because what broke ``rule`` explains it."""
    return Outcome(status=Status.UNDECIDED, message=f"Not judged, because of {rule}: {why}", because_of=rule)


def not_applicable(
    message: str,
    *,
    measured: str = "",
    limit: str = "",
    notes: tuple[str, ...] = (),
    evidence: tuple[Evidence, ...] = (),
) -> Outcome:
    """Return an outcome that says the rule has nothing to judge on this track or submission."""
    return Outcome(
        status=Status.NOT_APPLICABLE, message=message, measured=measured, limit=limit, notes=notes, evidence=evidence
    )
