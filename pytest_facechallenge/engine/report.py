"""The report of a run: a typed document that holds every observed fact, outcome and verdict.

Schema ``pytest-facechallenge/2``. It can be judged again, without the models, under another rulebook.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any, Literal

import msgspec

from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.facts.base import Facts, StepFailure
from pytest_facechallenge.core.outcome import Evidence, Outcome, Status
from pytest_facechallenge.core.rulebook import Level
from pytest_facechallenge.core.verdict import Verdict

SCHEMA: Literal["pytest-facechallenge/2"] = "pytest-facechallenge/2"


class ReportError(ValueError):
    """A report that cannot be written or read back; the message says which file and why."""


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts of a report: an unknown key is an error, never dropped."""


class Tool(_Document, frozen=True, kw_only=True):
    """What wrote the report."""

    name: str
    version: str


class RulebookReference(_Document, frozen=True, kw_only=True):
    """A rulebook that was judged by; ``digest`` is the SHA-256 of what it says."""

    id: str
    title: str
    version: str
    date: str
    digest: str


class Environment(_Document, frozen=True, kw_only=True):
    """What the run ran on.

    Attributes
    ----------
    versions
        Of Python and of every package that can change a result.
    providers
        The execution providers that sessions really used.
    conftests
        conftest.py files that ran in the process of pytest: code that could change what tests report.
    settings
        The ini file that pytest was steered by, "" when there was none.
    warnings
        What makes the environment doubtful, as sentences.
    """

    versions: dict[str, str]
    platform: str
    machine: str
    processor: str
    cores: int
    gpus: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    conftests: tuple[str, ...] = ()
    settings: str = ""
    warnings: tuple[str, ...] = ()


class RuleResult(_Document, frozen=True, kw_only=True):
    """What judging one rule (in one of its cases) said.

    Attributes
    ----------
    rule, case
        Id of the rule, and what tells several tests of one rule apart ("" for most).
    clause, sentence, reading
        From the rulebook.
    level
        "rule", "note" or "measurement".
    counts
        Whether the verdict waits for it.
    ran
        False where there is no outcome; ``message`` then says what happened, and the status is undecided.
    message, measured, limit, evidence, remedy, notes, uncounted, because_of, score
        See `pytest_facechallenge.core.outcome.Outcome`.
    """

    rule: str
    clause: str
    level: Level
    status: Status
    message: str
    case: str = ""
    sentence: str = ""
    reading: str = ""
    counts: bool = True
    ran: bool = True
    measured: str = ""
    limit: str = ""
    evidence: tuple[Evidence, ...] = ()
    remedy: str = ""
    notes: tuple[str, ...] = ()
    uncounted: Status | None = None
    because_of: str = ""
    score: str = ""

    @property
    def name(self) -> str:
        """The rule with its case: what verdicts list."""
        return f"{self.rule}[{self.case}]" if self.case else self.rule

    @property
    def outcome(self) -> Outcome:
        """The outcome alone."""
        return Outcome(
            status=self.status,
            message=self.message,
            measured=self.measured,
            limit=self.limit,
            evidence=self.evidence,
            remedy=self.remedy,
            notes=self.notes,
            uncounted=self.uncounted,
            because_of=self.because_of,
            score=self.score,
        )


class TrackReport(_Document, frozen=True, kw_only=True):
    """What a run says about one submission on one track: every rule in the rulebook's order, and the verdict.

    Attributes
    ----------
    purpose
        What the declaration says that the model is judged for; "" without one. A verdict on practice says nothing about
        the rules of an entry.
    """

    rulebook: str
    track: str
    title: str
    verdict: Verdict
    rules: tuple[RuleResult, ...]
    purpose: Literal["", "practice", "entry"] = ""

    @property
    def full(self) -> str:
        """Rulebook and track, "mfr21/A"."""
        return f"{self.rulebook}/{self.track}"

    @property
    def verdict_text(self) -> str:
        """The verdict for a reader, "COMPLIANT (for practice)"."""
        return f"{self.verdict.word} (for practice)" if self.purpose == "practice" else str(self.verdict.word)


class SubmissionReport(_Document, frozen=True, kw_only=True):
    """One submission: its facts, and what they mean on each track.

    Attributes
    ----------
    path, name
        Absolute path, and the short name that tells it from the others of the run.
    sha256, bytes
        Of the file as handed in; "" and 0 where it could not be read.
    facts
        The struct of every step that gave facts, by step, as plain data.
    failures
        Why a step gave none, by step.
    digest
        SHA-256 over facts and failures: a fact that was edited afterwards does not fit it.
    warnings
        What makes the verdicts on it doubtful, as sentences: a file that was changed while it was judged.
    """

    path: str
    name: str
    sha256: str
    bytes: int
    facts: dict[str, dict[str, Any]]
    failures: dict[str, StepFailure]
    digest: str
    tracks: tuple[TrackReport, ...]
    warnings: tuple[str, ...] = ()

    def as_facts(self) -> Facts:
        """Return the facts as structs.

        Raises
        ------
        ReportError
            A step that this version does not know, or facts of another shape.
        """
        unknown = sorted({*self.facts, *self.failures} - set(STEPS))
        if unknown:
            raise ReportError(
                f"the facts about {self.path} hold the step {unknown[0]!r}, which this version does not know; "
                f"known: {', '.join(STEPS)}. Judge with the version that wrote the report."
            )
        gathered = {}
        for name, plain in self.facts.items():
            try:
                gathered[name] = msgspec.convert(plain, STEPS[name].facts_type())
            except msgspec.ValidationError as error:
                raise ReportError(
                    f"the facts of the step {name!r} about {self.path} do not have the shape that this version knows: "
                    f"{error}"
                ) from error
        return Facts(gathered, self.failures)


class Report(_Document, frozen=True, kw_only=True):
    """A whole run.

    Attributes
    ----------
    date
        When it ended, ISO 8601 in UTC.
    options
        What the user asked for, by option name, without what is at its default.
    """

    schema: Literal["pytest-facechallenge/2"]
    tool: Tool
    date: str
    options: dict[str, Any]
    rulebooks: tuple[RulebookReference, ...]
    environment: Environment
    submissions: tuple[SubmissionReport, ...]

    def to_json(self) -> bytes:
        """Return the report as JSON text."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    def save(self, path: str | Path) -> None:
        """Write the report atomically: a reader finds the whole of it or what was there before.

        Raises
        ------
        ReportError
            The folder does not exist or cannot be written, or ``path`` is no regular file.
        """
        write_atomically(Path(path), self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read a report.

        Raises
        ------
        ReportError
            The file cannot be read, is no such report, or its facts were changed after they were recorded.
        """
        where = Path(path)
        try:
            if not where.is_file():
                raise ReportError(f"the report {where} cannot be read: there is no regular file of that name")
            data = where.read_bytes()
        except OSError as error:
            raise ReportError(f"the report {where} cannot be read: {error.strerror or error}") from error
        return cls.from_json(data, str(where))

    @classmethod
    def from_json(cls, data: bytes, name: str = "the report") -> Report:
        """Read a report from its JSON text; ``name`` is how messages call it.

        Raises
        ------
        ReportError
            As for `load`.
        """
        try:
            raw = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise ReportError(f"{name} is not valid JSON: {error}") from error
        schema = raw.get("schema") if isinstance(raw, dict) else None
        if schema != SCHEMA:
            hint = ""
            if schema == "pytest-facechallenge/1":
                hint = "; it was written by version 0.1, so judge the submissions again"
            raise ReportError(
                f"{name} is no report of this version: the schema {SCHEMA!r} is expected, found {schema!r}{hint}"
            )
        try:
            report = msgspec.convert(raw, cls)
        except (msgspec.ValidationError, RecursionError) as error:
            raise ReportError(f"{name} does not have the shape of {SCHEMA!r}: {error}") from error
        if not report.submissions:
            raise ReportError(f"{name} holds no submission, so there is nothing to judge again")
        for submission in report.submissions:
            if digest_of(submission.facts, submission.failures) != submission.digest:
                raise ReportError(
                    f"{name}: the facts about {submission.path} were changed after they were recorded (their digest is "
                    "another); use the report as it was written, or judge the submission again"
                )
            submission.as_facts()
        return report


def digest_of(facts: dict[str, dict[str, Any]], failures: dict[str, StepFailure]) -> str:
    """Return the SHA-256 over facts and failures, independent of the order and layout of the JSON text."""
    plain = {"facts": facts, "failures": msgspec.to_builtins(failures)}
    return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file that a user named: whole, or not at all.

    Raises
    ------
    ReportError
        The folder does not exist or cannot be written, the disk is full, or something that is no regular file has the
        name.
    """
    partial = ""
    try:
        if os.path.lexists(path) and not (path.is_file() and not path.is_symlink()):
            raise ReportError(f"{path} cannot be written: it is no regular file; name another")
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # A temporary file is for its owner only; a report is as readable as any other file that the user writes.
        mask = os.umask(0)
        os.umask(mask)
        Path(partial).chmod(0o666 & ~mask)
        Path(partial).replace(path)
        partial = ""
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if partial:
            Path(partial).unlink(missing_ok=True)
