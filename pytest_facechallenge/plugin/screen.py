"""What pytest's terminal shows of a run: where on the screen the views of the report go, and what gives way to them."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Generator, Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_facechallenge.analyses.table import ANALYSES
from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.tables import NamedTable
from pytest_facechallenge.core.text import clean_path
from pytest_facechallenge.engine.environment import runtimes_clash, versions
from pytest_facechallenge.engine.repair_report import RepairReport
from pytest_facechallenge.mending import mend
from pytest_facechallenge.plugin.collector import OutcomeCollector
from pytest_facechallenge.plugin.progress import InWork, is_live, writer_of
from pytest_facechallenge.plugin.stash import LEFT_ASIDE
from pytest_facechallenge.plugin.steering import loaded_conftests
from pytest_facechallenge.plugin.transport import failed_key, outcome_in
from pytest_facechallenge.reports import github, wording
from pytest_facechallenge.reports.hyperlinks import shows_links
from pytest_facechallenge.reports.repaired import render as render_repair
from pytest_facechallenge.reports.terminal import MOST_SINGLE, render_details, render_table, render_verdicts
from pytest_facechallenge.reports.view import LEAST_WIDTH, View
from pytest_facechallenge.reports.wrapping import cut, wrap

#: What `facechallenge judge` starts pytest with.
SETTINGS = Path(__file__).parents[1] / "commands" / "isolated.ini"
#: Columns where the console does not say how wide it is.
DEFAULT_WIDTH = 80
#: The attribute of a stand-in for a failed report that holds what was found.
_FOUND = "facechallenge_found"
#: Fewer columns than this say nothing about what was found.
_LEAST_FOUND = 8
#: Options of pytest-benchmark that ask for its table.
_ASKS_FOR_TIMES = ("benchmark_only", "benchmark_compare", "benchmark_histogram", "benchmark_cprofile")


class Screen:
    """A plugin object of the controller: prints views of the report, decides nothing."""

    def __init__(self, config: pytest.Config, collector: OutcomeCollector) -> None:
        self.config = config
        self.collector = collector
        self.run = collector.run
        #: The failed tests of rules that pytest's own sections do not repeat.
        self._told: list[pytest.TestReport] = []
        self._summing_up = False

    @property
    def terminal(self) -> Any:
        """The terminal reporter of pytest, None where there is none."""
        return self.config.pluginmanager.get_plugin("terminalreporter")

    @property
    def view(self) -> View:
        """How this terminal wants it."""
        terminal = self.terminal
        return View(
            width=shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns,
            colour=terminal.hasmarkup,
            encoding=getattr(terminal._tw._file, "encoding", None) or "utf-8",
            verbosity=self.config.get_verbosity(),
            strict=self.run.values.flag("strict"),
            links=is_live(self.config) and shows_links(),
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_report_header(self) -> Generator[None, list[Any], list[Any]]:
        """Say what is judged and what could make the judging untrustworthy; fold long lines between words."""
        found = yield
        width = max(LEAST_WIDTH, self.terminal._tw.fullwidth)
        shown = []
        # pytest shows what the last of these says first.
        for each in [*found, list(self._header())]:
            lines = [each] if isinstance(each, str) else each
            if not self._shows_times():
                lines = [line for line in lines if not line.startswith("benchmark: ")]
            if self.config.inipath == SETTINGS:
                # The launcher's own file says nothing to anybody, and its path is long.
                lines = [line for text in lines for line in text.split("\n") if not line.startswith("configfile: ")]
            shown.append([folded for line in lines for folded in wrap("", line, width)])
        return shown

    def _header(self) -> Iterable[str]:
        plan = self.run.plan
        names = list(plan.names.values())
        tracks = ", ".join(f"{ref.full} (rulebook {plan.books[ref.book].version})" for ref in plan.tracks)
        found = versions()
        runtime = next((f"{name} {found[name]}" for name in ("onnxruntime-gpu", "onnxruntime") if name in found), "")
        what = f"{len(names)} submission{'' if len(names) == 1 else 's'}"
        yield f"facechallenge: {what} on {tracks}; {runtime or 'no onnxruntime'}"
        yield from (f"facechallenge: {reading}" for reading in plan.readings)
        aside = self.config.stash.get(LEFT_ASIDE, ())
        if aside:
            verb = "is" if len(aside) == 1 else "are"
            yield f"facechallenge: {', '.join(aside)} of the settings {verb} left aside: every rule is judged"
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

    def _shows_times(self) -> bool:
        asked = any(getattr(self.config.option, name, None) for name in _ASKS_FOR_TIMES)
        return asked or self.config.get_verbosity() > 0

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Show what a worker of a distributed run begins with; in one process the test itself shows what it does."""
        if self._in_work is not None:
            path, _, test = nodeid.partition("::")
            self._in_work.start(nodeid, f"{path} {test.removeprefix('test_rule[').removesuffix(']')}")

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Take what is done out of the line."""
        if self._in_work is not None:
            self._in_work.finish(nodeid)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self) -> Generator[None]:
        """Make room for what pytest says about a test."""
        if self._in_work is not None:
            self._in_work.clear()
        yield
        if self._in_work is not None:
            self._in_work.show()

    @cached_property
    def _in_work(self) -> InWork | None:
        distributed = self.config.getoption("dist", "no") != "no"
        if not distributed or self.terminal is None or self.config.get_verbosity() < -1:
            return None
        width = self.terminal._tw.fullwidth
        return InWork(writer_of(self.config), live=is_live(self.config), width=width)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Leave pytest-benchmark's table out of a run that only judges, unless it is asked for."""
        benchmark = getattr(self.config, "_benchmarksession", None)
        only_ours = all(item.get_closest_marker("facechallenge") for item in session.items)
        if benchmark is not None and only_ours and not self._shows_times():
            benchmark.quiet = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """Let a line of pytest's short summary begin with what was found."""
        found = getattr(report, _FOUND, "")
        return ("failed", "F", f"FAILED {found}".rstrip()) if self._summing_up and found else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None]:
        """Keep pytest's section of failures to those that no finding tells of."""
        stats = terminalreporter.stats
        before = {name: stats[name] for name in ("failed", "skipped") if name in stats}
        failed = before.get("failed", ())
        self._told = [each for each in failed if outcome_in(each.user_properties) and isinstance(each.longrepr, str)]
        told = set(map(id, self._told))
        for report in failed:
            # pytest-xdist's line "[gw1] linux -- Python …" would stand above what the report says.
            if failed_key(report.user_properties) is not None and hasattr(report, "node"):
                del report.node
        if failed:
            stats["failed"] = [report for report in failed if id(report) not in told]
        try:
            yield
        finally:
            stats.update(before)
            self._summing_up = False

    def show_details(self) -> None:
        """Print what stands above the verdicts, and prepare pytest's short summary, which comes next."""
        terminal, view = self.terminal, self.view
        # The line of progress is ended already; pytest would leave another one empty before its next heading.
        terminal.currentfspath = None
        if self.config.option.tbstyle != "no" and not self.config.option.no_summary:
            text = render_details(self.collector.report, view)
            broken = any(track.verdict.broken for _, track in wording.judged(self.collector.report))
            if text and (broken or view.verbosity > 0):
                terminal.section("findings" if view.verbosity == 0 else "face challenge")
            terminal.write(text)
        section = ""
        for table in self._tables():
            if table.section != section:
                section = table.section
                terminal.section(section)
            terminal.write(render_table(table, view))
        self._summing_up = True
        stats = terminal.stats
        width = max(LEAST_WIDTH, terminal._tw.fullwidth)
        many = len(wording.judged(self.collector.report)) > MOST_SINGLE
        if self._told and (view.verbosity not in (0, -1) or (view.verbosity == 0 and not many)):
            stats["failed"] = [*stats["failed"], *(self._in_short(report, width) for report in self._told)]
        if view.verbosity <= 0 and "skipped" in stats:
            stats["skipped"] = [_with_shorter_reason(report, width) for report in stats["skipped"]]

    def _tables(self) -> list[NamedTable]:
        """Return the tables that the user asked for beside the summary, those without a heading first."""
        plan, found = self.run.plan, []
        for (path, number), name in plan.names.items():
            facts = self.run.gatherer.recorded(path, number)
            for analysis in ANALYSES:
                found += [titled(table, name) for table in analysis.tables_of(facts, plan.options[analysis.name])]
        return sorted(found, key=lambda table: table.section)

    def _in_short(self, report: pytest.TestReport, width: int) -> pytest.TestReport:
        """Return a stand-in for a report whose line begins with what was found and ends with the test's name."""
        short = copy.copy(report)
        short.longrepr = None
        decoded = outcome_in(report.user_properties)
        if decoded is not None:
            outcome = decoded[1]
            said = wording.against_limit(outcome) or wording.first_sentence(outcome.message)
            if outcome.status is Status.UNDECIDED:
                said = f"undecided, {said}"
            room = width - len("FAILED  - ") - len(_as_pytest_writes_it(self.config, report.nodeid))
            found = f"{cut(said, room)} -" if room >= _LEAST_FOUND else ""
            setattr(short, _FOUND, found)
        return short

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, object, object]:
        """Print the verdicts, below everything of pytest's own."""
        if self._in_work is not None:
            self._in_work.clear()
        result = yield
        terminal = self.terminal
        if terminal is None or self.config.option.collectonly or exitstatus == pytest.ExitCode.USAGE_ERROR:
            return result
        terminal.ensure_newline()
        if github.wanted(self.run.values.flag("no-annotations")):
            terminal.write(github.render(self.collector.report, strict=self.run.values.flag("strict")))
        for warning in self.collector.warnings():
            terminal.write_line(f"facechallenge: warning: {warning}", red=True, bold=True)
        for complaint in self.collector.complaints:
            terminal.write_line(f"facechallenge: {complaint}", red=True)
        for path, folder in self.run.mended_into.items():
            done = self._mended(path, folder)
            terminal.write(render_repair(done, self.run.plan.names[path, 0], self.view))
            terminal.write_line("")
        strict = self.run.values.flag("strict") and session.exitstatus == pytest.ExitCode.TESTS_FAILED
        terminal.write(render_verdicts(self.collector.report, replace(self.view, strict=strict)))
        return result

    def _mended(self, path: Path, folder: Path) -> RepairReport:
        """Mend one submission; where that is not possible, what the run found says why."""
        try:
            return mend(self.run.plan, self.run.gatherer, path, folder, as_given=lambda: self.collector.report)
        except OSError as error:
            return RepairReport(None, why_not=f"{folder} cannot be written: {error.strerror or error}")


class Details:
    """A plugin object of its own, as what it prints belongs inside of what `Screen` wraps."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self) -> None:
        """Print the findings."""
        if not self.screen.config.option.collectonly:
            self.screen.show_details()


def _as_pytest_writes_it(config: pytest.Config, nodeid: str) -> str:
    """Return a test's id as the short summary has it: relative to the folder that pytest was started in."""
    path, colons, test = nodeid.partition("::")
    return os.path.relpath(config.rootpath / path, config.invocation_params.dir) + colons + test


def _with_shorter_reason(report: Any, width: int) -> Any:
    """Return a stand-in for a skipped rule whose line in the short summary fits the screen."""
    if outcome_in(report.user_properties) is None or not isinstance(report.longrepr, tuple):
        return report
    path, line, reason = report.longrepr
    short = copy.copy(report)
    room = width - len("SKIPPED [1] : ") - len(str(path))
    short.longrepr = (path, line, f"Skipped: {cut(str(reason).removeprefix('Skipped: '), max(room, _LEAST_FOUND))}")
    return short


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
