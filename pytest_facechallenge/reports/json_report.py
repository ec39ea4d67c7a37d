"""The JSON report: everything as data, schema "pytest-facechallenge/1"; and reading one back to judge it again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.facts.base import Facts, StepFailure

if TYPE_CHECKING:
    from pytest_facechallenge.engine.session import ChallengeSession
    from pytest_facechallenge.plugin.collector import TrackResult

SCHEMA = "pytest-facechallenge/1"


class ReportError(ValueError):
    """A report that cannot be written or read back; the message says which file and why."""


def build(session: ChallengeSession, results: list[TrackResult], environment: dict[str, Any]) -> dict[str, Any]:
    """Return the report as plain data, with sorted keys wherever the order carries nothing."""
    submissions: dict[tuple[Path, int], dict[str, Any]] = {}
    for result in results:
        key = (result.source, result.number)
        if key not in submissions:
            submissions[key] = _submission(session, result)
        submissions[key]["tracks"].append(_track(session, result))
    return {"schema": SCHEMA, "environment": environment, "submissions": list(submissions.values())}


def _submission(session: ChallengeSession, result: TrackResult) -> dict[str, Any]:
    if result.source in session.reports:
        name, facts = session.reports[result.source][result.number]
        path = name
    else:
        path, facts = str(result.source), session.store.recorded(result.source)
    plain = facts.to_builtins()
    package = plain.get("package", {})
    return {
        "path": path,
        "sha256": package.get("sha256", ""),
        "bytes": package.get("bytes", 0),
        "facts": plain,
        "tracks": [],
    }


def _track(session: ChallengeSession, result: TrackResult) -> dict[str, Any]:
    book_id, _, track = result.full_track.partition("/")
    outcomes = []
    for judged, outcome, why in result.rows:
        row: dict[str, Any] = {"rule": judged.rule.id, "case": judged.rule.case, "clause": judged.rule.clause}
        if outcome is None:
            row |= {
                "status": "undecided",
                "message": why,
                "measured": "",
                "limit": "",
                "evidence": [],
                "remedy": "",
                "notes": [],
            }
        else:
            row |= msgspec.to_builtins(outcome)
        outcomes.append(row)
    return {
        "rulebook": book_id,
        "rulebook_version": session.books[book_id].version,
        "track": track,
        "verdict": str(result.verdict.word),
        "outcomes": outcomes,
    }


def write_report(
    path: Path, session: ChallengeSession, results: list[TrackResult], environment: dict[str, Any]
) -> None:
    """Write the report atomically: a reader finds the whole of it or what was there before.

    Raises
    ------
    ReportError
        The folder does not exist or cannot be written.
    """
    report = build(session, results, environment)
    data = msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
    try:
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # A temporary file is for its owner only; a report is as readable as any other file that the user writes.
        mask = os.umask(0)
        os.umask(mask)
        Path(partial).chmod(0o666 & ~mask)
        Path(partial).replace(path)
    except OSError as error:
        raise ReportError(f"the JSON report cannot be written to {path}: {error.strerror or error}") from error


def read_report(path: Path) -> list[tuple[str, Facts]]:
    """Return (path of the submission, its facts) for every submission of a report.

    Raises
    ------
    ReportError
        The file cannot be read, is no such report, or its facts do not have the shape this version knows.
    """
    try:
        raw = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ReportError(f"the report {path} cannot be read: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise ReportError(f"the report {path} is not valid JSON: {error}") from error
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        found = raw.get("schema") if isinstance(raw, dict) else type(raw).__name__
        raise ReportError(f"{path} is no report of this tool: the schema {SCHEMA!r} is expected, found {found!r}")
    try:
        found = [(str(entry["path"]), _facts(entry["facts"])) for entry in raw["submissions"]]
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise ReportError(
            f"the report {path} does not have the shape of {SCHEMA!r}: {type(error).__name__}: {error}"
        ) from error
    if not found:
        raise ReportError(f"the report {path} holds no submission, so there is nothing to judge again")
    return found


def _facts(plain: dict[str, Any]) -> Facts:
    gathered = {
        name: msgspec.convert(value, STEPS[name].facts_type()) for name, value in plain.items() if name in STEPS
    }
    failures = {name: msgspec.convert(value, StepFailure) for name, value in plain.get("failures", {}).items()}
    return Facts(gathered, failures)
