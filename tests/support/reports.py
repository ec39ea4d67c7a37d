"""Reports built in code, for tests of what is shown."""

from __future__ import annotations

from pytest_facechallenge.core.outcome import Evidence, Outcome, Status
from pytest_facechallenge.core.verdict import verdict
from pytest_facechallenge.engine.report import (
    SCHEMA,
    Environment,
    Report,
    RulebookReference,
    RuleResult,
    SubmissionReport,
    Tool,
    TrackReport,
)


def result(
    rule: str,
    status: Status = Status.PASSED,
    *,
    message: str = "What was found.",
    measured: str = "",
    limit: str = "",
    remedy: str = "Do this.",
    evidence: tuple[Evidence, ...] = (),
    notes: tuple[str, ...] = (),
) -> RuleResult:
    """Return the row of one rule."""
    return RuleResult(
        rule=rule, clause="Rules 1", level="rule", status=status, message=message, measured=measured, limit=limit,
        remedy=remedy, evidence=evidence, notes=notes, sentence="The sentence of the rules.",
    )  # fmt: skip


def track(*rules: RuleResult, name: str = "A") -> TrackReport:
    """Return a track with the verdict that follows from its rules."""
    counted = [each for each in rules if each.status is not Status.NOT_APPLICABLE]
    outcomes: dict[str, Outcome] = {each.name: each.outcome for each in counted}
    found = verdict([each.name for each in counted], outcomes, {})
    return TrackReport(rulebook="mfr21", track=name, title=f"Sub-Track {name}", verdict=found, rules=rules)


def submission(name: str, *tracks: TrackReport, path: str = "") -> SubmissionReport:
    """Return a submission of 1.5 MiB."""
    where = path or f"/entries/{name}"
    return SubmissionReport(
        path=where, name=name, sha256="0" * 64, bytes=3 << 19, facts={}, failures={}, digest="", tracks=tracks
    )


def report(*submissions: SubmissionReport) -> Report:
    """Return a report."""
    book = RulebookReference(id="mfr21", title="MFR", version="1", date="2021-06-01", digest="")
    environment = Environment(versions={}, platform="Linux", machine="x86_64", processor="CPU", cores=2)
    return Report(
        schema=SCHEMA, tool=Tool(name="pytest-facechallenge", version="0.2.0"), date="2026-11-29T00:00:00+00:00",
        options={}, rulebooks=(book,), environment=environment, submissions=submissions,
    )  # fmt: skip
