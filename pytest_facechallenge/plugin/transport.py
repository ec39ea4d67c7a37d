"""How an outcome travels from a test to the controller: JSON text in a user property, since only scalars do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest

from pytest_facechallenge.core.outcome import Outcome, Status
from pytest_facechallenge.engine.build_report import rule_result
from pytest_facechallenge.engine.plan import JudgedRule, Key
from pytest_facechallenge.reports.finding import render

#: The name under which an outcome lies in ``report.user_properties``.
PROPERTY = "facechallenge"
#: The name under which a failed test's key lies there, so that a crash is told of the right rule.
FAILED_KEY = "facechallenge-failed"


def record(node: pytest.Item, judged: JudgedRule, outcome: Outcome) -> None:
    """Attach the outcome to the test, so that it reaches the controller."""
    payload = {
        "source": str(judged.source),
        "number": judged.number,
        "track": judged.rule.full_track,
        "rule": judged.rule_id,
        "outcome": msgspec.to_builtins(outcome),
    }
    node.user_properties.append((PROPERTY, json.dumps(payload, sort_keys=True)))


def outcome_in(properties: Iterable[tuple[str, object]]) -> tuple[Key, Outcome] | None:
    """Return ((source, number, track, rule), outcome) from a test report's properties, or None."""
    for name, value in properties:
        if name == PROPERTY:
            payload: Mapping[str, Any] = json.loads(str(value))
            key = (payload["source"], payload["number"], payload["track"], payload["rule"])
            return key, msgspec.convert(payload["outcome"], Outcome)
    return None


def note_failure(report: pytest.TestReport, judged: JudgedRule) -> None:
    """Write into a failed test's report what it was judging."""
    report.user_properties = [*report.user_properties, (FAILED_KEY, json.dumps(judged.key))]


def failed_key(properties: Iterable[tuple[str, object]]) -> Key | None:
    """Return what a failed test was judging, or None."""
    for name, value in properties:
        if name == FAILED_KEY:
            source, number, track, rule = json.loads(str(value))
            return source, number, track, rule
    return None


def without_ours(properties: Iterable[tuple[str, object]]) -> list[tuple[str, object]]:
    """Return the properties that a test has for other readers."""
    return [each for each in properties if each[0] not in (PROPERTY, FAILED_KEY)]


def fail_if_undecided(report: pytest.TestReport, judged: JudgedRule, name: str) -> None:
    """Turn an undecided rule that a verdict waits for from a skipped test into a failed one, with what would decide it.

    For runs under strict: JUnit and other readers of test reports then show why the run failed.
    """
    decoded = outcome_in(report.user_properties)
    if decoded is None or decoded[1].status is not Status.UNDECIDED or not judged.counts:
        return
    report.outcome = "failed"
    report.longrepr = render(rule_result(judged, decoded[1]), name, judged.rule.full_track)
