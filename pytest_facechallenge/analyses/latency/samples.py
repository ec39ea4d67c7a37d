"""The recorded times that an outcome rests on, for pytest-benchmark."""

from __future__ import annotations

import msgspec

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.latency import LatencyFacts, LaunchFacts, Machine, Series, ServerLatencyFacts
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.tables import TimedSamples
from pytest_facechallenge.latency_estimate import evidence_grades
from pytest_facechallenge.latency_estimate.statistics import Summary, summarise


def samples_of(facts: Facts, rule: Rule) -> TimedSamples | None:
    """Return the times in milliseconds that the outcome rests on; None when nothing was timed."""
    found = _judged(facts, rule)
    if found is None or not found[0].samples:
        return None
    series, machine = found
    about: dict[str, object] = {"judged_ms": summarise(series.samples).judged, "machine": msgspec.to_builtins(machine)}
    here, server = facts.get(LatencyFacts), facts.get(ServerLatencyFacts)
    if server is not None and series is server.submission:
        return TimedSamples(milliseconds=series.samples, about=about | {"grade": "measured"})
    about["grade"] = "local"
    estimate = evidence_grades.scaled(here, facts.get(LaunchFacts), rule.book)
    if not isinstance(estimate, str):
        about |= {"grade": "scaled", "estimate_ms": estimate.ms, "interval_ms": [estimate.low, estimate.high]}
    return TimedSamples(milliseconds=series.samples, about=about)


def _judged(facts: Facts, rule: Rule) -> tuple[Series, Machine] | None:
    """Return the series that the outcome rests on, and where it was taken."""
    here, server = facts.get(LatencyFacts), facts.get(ServerLatencyFacts)
    mode = here.mode if here else "auto"
    if mode != "scaled" and isinstance(evidence_grades.measured(server, rule.book), Summary):
        assert server is not None and server.submission is not None and server.machine is not None  # noqa: S101, PT018
        return server.submission, server.machine
    if here is None or here.submission is None or here.machine is None:
        return None
    return here.submission, here.machine
