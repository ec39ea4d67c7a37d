"""The report as JSON."""

from __future__ import annotations

from pytest_facechallenge.engine.report import Report


def render(report: Report) -> bytes:
    """Return the whole report as JSON text."""
    return report.to_json()
