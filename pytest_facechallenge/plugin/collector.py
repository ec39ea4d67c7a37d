"""Collects outcomes on the controlling process and turns them into verdicts, the summary and the JSON report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_facechallenge.core.outcome import Outcome, VerdictWord
from pytest_facechallenge.engine.judge import Verdict, verdict
from pytest_facechallenge.engine.session import Key, decode_outcome, failed_key

if TYPE_CHECKING:
    from pytest_facechallenge.engine.session import ChallengeSession
    from pytest_facechallenge.plugin.collection import JudgedRule


class TrackResult(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run says about one submission on one track.

    Attributes
    ----------
    rows
        Every rule of the track in the rulebook's order, with its outcome (None when it has none) and, then, why.
    """

    source: Path
    number: int
    name: str
    full_track: str
    rows: tuple[tuple[JudgedRule, Outcome | None, str], ...]
    verdict: Verdict


def _counts(judged: JudgedRule) -> bool:
    """Whether a verdict waits for this rule: notes, measurements and what does not apply never keep one open."""
    return judged.rule.level == "rule" and not judged.rule.not_applicable


class RunReport:
    """A pytest plugin object of the controller: listens to reports, decides nothing."""

    def __init__(self, config: pytest.Config, session: ChallengeSession) -> None:
        self.config = config
        self.session = session
        self.outcomes: dict[Key, Outcome] = {}
        self.trouble: dict[Key, str] = {}
        #: Of tests that died with their process, nothing but the node id is known.
        self.died: dict[str, str] = {}
        self.complaint = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the outcome out of a test's report; note a test that ended without one."""
        decoded = decode_outcome(report.user_properties)
        if decoded is not None:
            self.outcomes[decoded[0]] = decoded[1]
        elif report.failed:
            text = str(report.longrepr).strip().splitlines()
            key, why = failed_key(report.user_properties), f"crashed: {text[-1] if text else 'no message'}"
            if key is None:
                self.died[report.nodeid] = why
            else:
                self.trouble[key] = why

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note the tests that the user chose not to run."""
        for item in items:
            callspec = getattr(item, "callspec", None)
            if callspec is not None and "judged" in callspec.params:
                self.trouble[callspec.params["judged"].key] = "deselected"

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear of the deselected tests of a pytest-xdist worker."""
        for source, number, track, rule in getattr(node, "workeroutput", {}).get("facechallenge_deselected", []):
            self.trouble[source, number, track, rule] = "deselected"

    def results(self) -> list[TrackResult]:
        """Return what the run says, per submission and track."""
        found = []
        for source in self.session.sources:
            groups: dict[tuple[int, str], list[JudgedRule]] = {}
            for judged in self.session.expected(source):
                groups.setdefault((judged.number, judged.rule.full_track), []).append(judged)
            for (number, full_track), rules in groups.items():
                found.append(self._result(source, number, full_track, rules))
        return found

    def _result(self, source: Path, number: int, full_track: str, rules: list[JudgedRule]) -> TrackResult:
        outcomes: dict[str, Outcome] = {}
        missing: dict[str, str] = {}
        rows = []
        for judged in rules:
            outcome = self.outcomes.get(judged.key)
            why = ""
            if outcome is None:
                why = self.trouble.get(judged.key) or self._died(judged) or "did not run"
                missing[judged.rule_id] = why
            else:
                outcomes[judged.rule_id] = outcome
            rows.append((judged, outcome, why))
        return TrackResult(
            source=source,
            number=number,
            name=self.session.names()[source, number],
            full_track=full_track,
            rows=tuple(rows),
            verdict=verdict([judged.rule_id for judged in rules if _counts(judged)], outcomes, missing),
        )

    def _died(self, judged: JudgedRule) -> str:
        for nodeid, why in self.died.items():
            path, _, test = nodeid.partition("::")
            place = Path(os.path.normpath(self.config.rootpath / path))
            if test == f"test_rule[{judged.test_id}]" and place == judged.source:
                return why
        return ""

    def pytest_report_header(self) -> Iterable[str]:
        """Say what is judged, and what could make the judging untrustworthy."""
        from pytest_facechallenge.engine.environment import header_lines

        return header_lines(self.config, self.session)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the JSON report (also after an interruption) and, under strict, fail the run."""
        if self.config.option.collectonly:
            return
        results = self.results()
        if self.session.settings.text("json"):
            from pytest_facechallenge.engine.environment import describe
            from pytest_facechallenge.reports.json_report import ReportError, write_report

            path = self.session.settings.path(self.session.settings.text("json"))
            try:
                write_report(path, self.session, results, describe(self.config, self.session))
            except ReportError as error:
                # Everything else of the run is still shown; the exit code must not say that all is well.
                self.complaint = str(error)
                session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        strict = self.session.settings.flag("strict")
        if strict and session.exitstatus == 0 and any(r.verdict.word is not VerdictWord.COMPLIANT for r in results):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the summary."""
        if self.config.option.collectonly:
            return
        from pytest_facechallenge.reports.tables import tables
        from pytest_facechallenge.reports.terminal import write_summary, write_tables

        write_summary(terminalreporter, self.results(), verbose=self.config.get_verbosity() > 0)
        write_tables(terminalreporter, list(tables(self.session)))
        if self.complaint:
            terminalreporter.write_line(f"facechallenge: {self.complaint}", red=True)
