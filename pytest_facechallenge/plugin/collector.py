"""Collects outcomes on the controlling process and turns them into the report, the summary and the exit code."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_facechallenge.analyses.table import ANALYSES
from pytest_facechallenge.core.outcome import Outcome, VerdictWord
from pytest_facechallenge.core.tables import NamedTable
from pytest_facechallenge.core.text import clean, clean_path
from pytest_facechallenge.engine.build_report import build
from pytest_facechallenge.engine.environment import runtimes_clash, versions
from pytest_facechallenge.engine.plan import JudgedRule, Key
from pytest_facechallenge.engine.report import Report, ReportError, write_atomically
from pytest_facechallenge.plugin.run import ChallengeRun
from pytest_facechallenge.plugin.steering import loaded_conftests
from pytest_facechallenge.plugin.transport import failed_key, outcome_in
from pytest_facechallenge.reports.formats import FORMATS
from pytest_facechallenge.reports.terminal import render, render_table

#: Columns where the console does not say how wide it is.
DEFAULT_WIDTH = 80


class OutcomeCollector:
    """A plugin object of the controller: listens to test reports, decides nothing."""

    def __init__(self, config: pytest.Config, run: ChallengeRun) -> None:
        self.config = config
        self.run = run
        self.outcomes: dict[Key, Outcome] = {}
        self.missing: dict[Key, str] = {}
        #: Of tests that died with their process, nothing but the node id is known.
        self.died: dict[str, str] = {}
        self.complaints: list[str] = []
        self._report: Report | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the outcome out of a test's report; note a test that ended without one."""
        decoded = outcome_in(report.user_properties)
        if decoded is not None:
            self.outcomes[decoded[0]] = decoded[1]
        elif report.failed:
            text = str(report.longrepr).strip().splitlines()
            why = f"crashed: {clean(text[-1]) if text else 'no message'}"
            key = failed_key(report.user_properties)
            if key is None:
                self.died[report.nodeid] = why
            else:
                self.missing[key] = why

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note the tests that the user chose not to run."""
        for item in items:
            callspec = getattr(item, "callspec", None)
            if callspec is not None and "judged" in callspec.params:
                self.missing[callspec.params["judged"].key] = "deselected"

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the deselected tests of a pytest-xdist worker over."""
        for source, number, track, rule in getattr(node, "workeroutput", {}).get("facechallenge_deselected", []):
            self.missing[source, number, track, rule] = "deselected"

    @property
    def report(self) -> Report:
        """What the run says, made once the tests are over."""
        if self._report is None:
            plan = self.run.plan
            for path in plan.sources:
                for judged in plan.expected(path):
                    if judged.key not in self.outcomes and judged.key not in self.missing:
                        why = self._died(judged)
                        if why:
                            self.missing[judged.key] = why
            conftests = tuple(map(clean_path, loaded_conftests(self.config)))
            steering = replace(self.run.steering, conftests=conftests)
            self._report = build(plan, self.run.gatherer, self.outcomes, self.missing, steering)
        return self._report

    def _died(self, judged: JudgedRule) -> str:
        return self.died.get(f"{self.run.node_ids[judged.source]}::test_rule[{judged.test_id}]", "")

    def pytest_report_header(self) -> Iterable[str]:
        """Say what is judged, and what could make the judging untrustworthy."""
        plan = self.run.plan
        tracks = ", ".join(f"{ref.full} (rulebook version {plan.books[ref.book].version})" for ref in plan.tracks)
        found = versions()
        runtime = next(
            (f"{name} {found[name]}" for name in ("onnxruntime-gpu", "onnxruntime") if name in found), "none"
        )
        yield f"facechallenge: {len(plan.sources)} submission(s) on {tracks}; runtime {runtime}"
        conftests = [clean_path(each) for each in loaded_conftests(self.config)]
        if conftests:
            yield (
                f"facechallenge: code that can change results is loaded: {', '.join(conftests)} "
                "(an audit uses --noconftest)"
            )
        for line in self.run.steering.warnings:
            yield f"facechallenge: warning: {line}"
        clash = runtimes_clash()
        if clash:
            yield f"facechallenge: warning: {clash}"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports (also after an interruption) and, under strict, fail the run."""
        if self.config.option.collectonly:
            return
        for each in FORMATS:
            path = self.run.values.path_of(each.option.name)
            if not path:
                continue
            try:
                write_atomically(Path(path), each.rendered(self.report))
            except ReportError as error:
                # Everything else of the run is still shown; the exit code must not say that all is well.
                self.complaints.append(str(error))
                session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        words = {track.verdict.word for submission in self.report.submissions for track in submission.tracks}
        doubtful = any(submission.warnings for submission in self.report.submissions) or self.run.steering.warnings
        not_all_well = words - {VerdictWord.COMPLIANT} or doubtful
        if self.run.values.flag("strict") and session.exitstatus == 0 and not_all_well:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the summary."""
        if self.config.option.collectonly:
            return
        encoding = getattr(terminalreporter._tw._file, "encoding", None) or "utf-8"
        width, colour = _width(), terminalreporter.hasmarkup
        terminalreporter.section("face challenge summary")
        verbose = self.config.get_verbosity() > 0
        terminalreporter.write(render(self.report, width=width, colour=colour, encoding=encoding, verbose=verbose))
        section = ""
        for table in self._tables():
            if table.section != section:
                section = table.section
                terminalreporter.section(section)
            terminalreporter.write(render_table(table, width=width, colour=colour))
        for warning in self.warnings():
            terminalreporter.write_line(f"facechallenge: warning: {warning}", red=True, bold=True)
        for complaint in self.complaints:
            terminalreporter.write_line(f"facechallenge: {complaint}", red=True)

    def warnings(self) -> list[str]:
        """Return what makes the verdicts of this run doubtful, a sentence each."""
        changed = [f"{each.name}: {line}" for each in self.report.submissions for line in each.warnings]
        return [*self.run.steering.warnings, *changed]

    def _tables(self) -> list[NamedTable]:
        """Return the tables that the user asked for beside the summary, those without a heading first."""
        plan, found = self.run.plan, []
        for (path, number), name in plan.names.items():
            facts = self.run.gatherer.recorded(path, number)
            for analysis in ANALYSES:
                found += [titled(table, name) for table in analysis.tables_of(facts, plan.options[analysis.name])]
        return sorted(found, key=lambda table: table.section)


def titled(table: NamedTable, name: str) -> NamedTable:
    """Return the table with the submission's name before its title."""
    return NamedTable(
        title=f"{name}: {table.title}",
        headings=table.headings,
        rows=table.rows,
        numbers_from=table.numbers_from,
        below=table.below,
        section=table.section,
    )


def _width() -> int:
    return max(60, min(shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns, 140))
