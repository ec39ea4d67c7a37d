"""Collects outcomes on the controlling process and turns them into the report, its files and the exit code."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from _pytest.junitxml import LogXML

from pytest_facechallenge.core.outcome import Outcome, VerdictWord
from pytest_facechallenge.core.text import clean, clean_path
from pytest_facechallenge.engine.build_report import build
from pytest_facechallenge.engine.plan import JudgedRule, Key
from pytest_facechallenge.engine.report import Report, ReportError, write_atomically
from pytest_facechallenge.plugin.run import ChallengeRun
from pytest_facechallenge.plugin.steering import loaded_conftests
from pytest_facechallenge.plugin.transport import failed_key, outcome_in, without_ours
from pytest_facechallenge.reports import github, markdown
from pytest_facechallenge.reports.formats import FORMATS
from pytest_facechallenge.reports.wording import all_causes, judged

#: Exit codes of runs that judged something: not a wrong invocation, not an error inside pytest.
SUMMED_UP = (
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.INTERRUPTED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
)


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

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        """Take the outcome out of a test's report; note a test that ended without one.

        pytest's JUnit file would hold it as properties of a test, which Jenkins' schema of such files does not know, so
        that its plugin refuses the file.
        """
        self._take(report)
        every = report.user_properties
        if self._junit():
            report.user_properties = without_ours(every)
        yield
        report.user_properties = every

    def _junit(self) -> list[LogXML]:
        return [plugin for plugin in self.config.pluginmanager.get_plugins() if isinstance(plugin, LogXML)]

    def _take(self, report: pytest.TestReport) -> None:
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
                for each in plan.expected(path):
                    if each.key not in self.outcomes and each.key not in self.missing:
                        why = self._died(each)
                        if why:
                            self.missing[each.key] = why
            conftests = tuple(map(clean_path, loaded_conftests(self.config)))
            steering = replace(self.run.steering, conftests=conftests)
            self._report = build(plan, self.run.gatherer, self.outcomes, self.missing, steering)
        return self._report

    def _died(self, judged: JudgedRule) -> str:
        return self.died.get(f"{self.run.node_ids[judged.source]}::test_rule[{judged.test_id}]", "")

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Write the reports (also after an interruption) and, under strict, fail the run."""
        if self.config.option.collectonly:
            return (yield)
        self._tell_junit()
        result = yield
        self._write_files(session)
        words = {track.verdict.word for _, track in judged(self.report)}
        not_all_well = words - {VerdictWord.COMPLIANT} or self.warnings()
        if self.run.values.flag("strict") and session.exitstatus == 0 and not_all_well:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return result

    def _tell_junit(self) -> None:
        """Give pytest's JUnit file the verdicts, before it is written."""
        for plugin in self._junit():
            for submission, track in judged(self.report):
                name = f"facechallenge {track.full} {clean(submission.name)}"
                plugin.add_global_property(name, f"{track.verdict.word}: {all_causes(track)}")

    def _write_files(self, session: pytest.Session) -> None:
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
        if github.wanted(self.run.values.flag("no-annotations")) and session.exitstatus in SUMMED_UP:
            trouble = markdown.write_job_summary(self.report)
            self.complaints += [trouble] if trouble else []

    def warnings(self) -> list[str]:
        """Return what makes the verdicts of this run doubtful, a sentence each."""
        changed = [f"{each.name}: {line}" for each in self.report.submissions for line in each.warnings]
        return [*self.run.steering.warnings, *changed]
