"""Reports on faulty models, made in this process: what a person would be shown."""

from __future__ import annotations

from pathlib import Path

from pytest_facechallenge.core.outcome import Outcome
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.verdict import verdict
from pytest_facechallenge.engine.build_report import rule_result
from pytest_facechallenge.engine.explanations import steps_of
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks
from pytest_facechallenge.engine.judge import judge_rule
from pytest_facechallenge.engine.plan import JudgedRule
from pytest_facechallenge.engine.report import Report, TrackReport
from tests.support.gathering import gather
from tests.support.reports import report, submission

#: Steps that time or probe: what they say has tests of its own.
LEFT_OUT = frozenset({"implicit_batch", "latency", "server_latency", "launches", "flops_crosscheck"})
#: Rules that only these steps decide.
UNJUDGED = frozenset({"latency", "no-implicit-batch", "no-realignment", "flops-crosscheck", "accuracy"})


def report_on(path: Path, folder: Path, track: str = "mfr21/A") -> Report:
    """Return the report on a file, without its slow rules."""
    checks = load_checks()
    book, _, name = track.partition("/")
    books = load_rulebooks()
    rules = [each for each in books[book].rules_of(name) if each.id not in UNJUDGED]
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {step for each in rules for step in steps_of(checks[each.check])}
    facts = gather(path, folder, wanted - LEFT_OUT)
    outcomes = {each.id: judge_rule(facts, each) for each in rules}
    row = _track(path, rules, outcomes, books[book].tracks[name].title)
    return report(submission(path.name, row, path=str(path)))


def _track(path: Path, rules: list[Rule], outcomes: dict[str, Outcome], title: str) -> TrackReport:
    judged = [JudgedRule(path, each, each.track) for each in rules]
    found = verdict([each.rule_id for each in judged if each.counts], outcomes, {})
    rows = tuple(rule_result(each, outcomes[each.rule_id]) for each in judged)
    return TrackReport(rulebook=rules[0].book.id, track=rules[0].track, title=title, verdict=found, rules=rows)
