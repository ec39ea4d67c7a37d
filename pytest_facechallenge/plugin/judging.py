"""The hooks of a session that judges something: `begin` makes its run and registers this module as a plugin.

Apart from `hooks`, which pytest imports in every run of every project where the package is installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_facechallenge.core.text import clean
from pytest_facechallenge.engine.options import anything_to_judge
from pytest_facechallenge.plugin import invocation
from pytest_facechallenge.plugin import options as _options
from pytest_facechallenge.plugin.signals import end_orderly_on_sigterm
from pytest_facechallenge.plugin.stash import OWNS_TRACK, RUN

if TYPE_CHECKING:
    from pytest_facechallenge.engine.plan import JudgedRule
    from pytest_facechallenge.plugin.run import ChallengeRun

#: The most characters of a message about a wrong invocation.
MOST_OF_A_MESSAGE = 4_000


def refuse_code_of_a_submission(config: pytest.Config) -> None:
    """Refuse code that lies with a submission before pytest runs it.

    Raises
    ------
    pytest.UsageError
        Such code would be run, and the user did not say that it is the user's own.
    """
    if hasattr(config, "workerinput"):
        return
    try:
        chosen = _options.resolve(config, given_so_far=config.known_args_namespace)
        if not chosen.many("model"):
            return
        from pytest_facechallenge.core import option_files
        from pytest_facechallenge.engine.arguments import find_submissions
        from pytest_facechallenge.plugin import steering

        sources, _readings = find_submissions(chosen.many("model"), chosen.base)
    except ValueError:
        return  # told once the command line is read in whole
    if wrong := option_files.refusal(config.invocation_params.args, config.invocation_params.dir):
        raise pytest.UsageError(wrong)
    if steering.says_own(config):
        return
    found = steering.code_to_be_run(config, config.known_args_namespace, sources)
    if found:
        raise pytest.UsageError(steering.refusal(found))


def answer(config: pytest.Config) -> int | None:
    """Answer --facechallenge-list, -explain and -write-declaration, which run no tests; None where none was asked.

    Raises
    ------
    pytest.UsageError
        What was asked for cannot be answered.
    """
    try:
        chosen = _options.resolve(config)
        if chosen.text("write-declaration"):
            written = invocation.declaration_asked_for(chosen)
            sys.stdout.write(f"{written} was written: fill it in and keep it beside the model\n")
            return 0
        if chosen.flag("list") or chosen.text("explain"):
            from pytest_facechallenge.engine.extensions import load_rulebooks
            from pytest_facechallenge.reports.catalogue import explain, listing
            from pytest_facechallenge.reports.wrapping import spelt

            books = load_rulebooks(chosen.path(name) for name in chosen.many("rules"))
            rule = chosen.text("explain")
            said = explain(rule, books) if rule else listing(books)
            sys.stdout.write(spelt(said, sys.stdout.encoding or "utf-8"))
            return 0
    except ValueError as error:
        raise pytest.UsageError(_said(error)) from error
    return None


def _said(error: Exception) -> str:
    """Return an error's message for the terminal; a file's name or content may be a stranger's."""
    return clean(str(error), MOST_OF_A_MESSAGE)


def begin(config: pytest.Config) -> None:
    """Find out what is to be judged, put it into what pytest collects, and register the hooks of this module.

    Raises
    ------
    pytest.UsageError
        What was asked for cannot be judged.
    """
    try:
        chosen = _options.resolve(config)
        if not anything_to_judge(chosen):
            invocation.refuse_half_an_invocation(config)
            return
        from pytest_facechallenge.plugin.paths import collect_sources
        from pytest_facechallenge.plugin.run import ChallengeRun

        worker_input = getattr(config, "workerinput", None)
        run = ChallengeRun(chosen, config.rootpath, worker_input)
    except ValueError as error:
        foreign = not config.stash.get(OWNS_TRACK, True)
        hint = " (here --track belongs to another plugin: use --facechallenge-track)" if foreign else ""
        raise pytest.UsageError(f"{_said(error)}{hint}") from error
    config.stash[RUN] = run
    if worker_input is None:
        _note_steering(config, run)
    collect_sources(config, run)
    invocation.judge_every_rule(config)
    config.pluginmanager.register(sys.modules[__name__], "facechallenge-judging")
    if worker_input is None:
        from pytest_facechallenge.plugin.collector import OutcomeCollector
        from pytest_facechallenge.plugin.screen import Details, Screen

        end_orderly_on_sigterm(config)
        collector = OutcomeCollector(config, run)
        screen = Screen(config, collector)
        config.pluginmanager.register(collector, "facechallenge-report")
        config.pluginmanager.register(screen, "facechallenge-screen")
        config.pluginmanager.register(Details(screen), "facechallenge-details")


def _note_steering(config: pytest.Config, run: ChallengeRun) -> None:
    """Note what settings and code the run obeys; refuse what lies with a submission, unless the user vouches for it."""
    from pytest_facechallenge.core.analysis import SourceKind
    from pytest_facechallenge.engine.environment import Steering
    from pytest_facechallenge.plugin import steering

    submissions = [path for path, source in run.plan.sources.items() if source.kind is SourceKind.MODEL]
    found = steering.obeyed(config, submissions)
    if found and not steering.says_own(config):
        run.gatherer.close()
        del config.stash[RUN]
        raise pytest.UsageError(steering.refusal(found))
    run.steering = Steering(
        settings=_said_path(config.inipath),
        conftests=tuple(map(_said_path, steering.loaded_conftests(config))),
        warnings=steering.warnings_about(found),
    )


def _said_path(path: str | Path | None) -> str:
    from pytest_facechallenge.core.text import clean_path

    return "" if path is None else clean_path(path)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the run's temporary folder."""
    run = config.stash.get(RUN, None)
    if run is not None:
        run.gatherer.close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a pytest-xdist worker what is judged, and where the run's facts lie, so that each is gathered once."""
    run = node.config.stash.get(RUN, None)
    if run is not None:
        node.workerinput.update(run.for_workers())


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Keep the deselected tests of a pytest-xdist worker for the controller, which does not hear of them."""
    for item in items:
        output = getattr(item.config, "workeroutput", None)
        judged = _judged_by(item)
        if output is not None and judged is not None:
            output.setdefault("facechallenge_deselected", []).append(list(judged.key))


@pytest.hookimpl(tryfirst=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a submission's file, or an earlier report, as a module of rules."""
    if parent.config.stash.get(RUN, None) is None:
        return None
    from pytest_facechallenge.plugin.paths import collector_of

    return collector_of(file_path, parent)


@pytest.hookimpl(tryfirst=True)
def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a submission's folder as a module of rules, and lead to submissions without importing what lies there."""
    run = parent.config.stash.get(RUN, None)
    if run is None:
        return None
    from pytest_facechallenge.plugin.paths import collector_of, guarded_folder

    return collector_of(path, parent) or guarded_folder(path, parent, run)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test per rule (and case) of every track."""
    if "judged" not in metafunc.fixturenames:
        return
    run = metafunc.config.stash.get(RUN, None)
    module = metafunc.definition.getparent(pytest.Module)
    path = metafunc.definition.path if module is None else module.path
    if run is None or path not in run.plan.sources:
        return
    try:
        run.plan.validate()
        judged = run.plan.expected(path)
    except ValueError as error:
        raise pytest.UsageError(_said(error)) from error
    metafunc.parametrize(
        "judged",
        [pytest.param(each, id=each.test_id, marks=_marks(metafunc.config, run, each)) for each in judged],
    )


def _marks(config: pytest.Config, run: ChallengeRun, judged: JudgedRule) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.facechallenge(rule=judged.rule.id, track=judged.track_label)]
    if _benchmark_runs(config):
        from pytest_facechallenge.plugin.benchmark import Playback, timed_by

        analysis = timed_by(run, judged)
        if analysis is not None:
            group = f"{analysis.name} on {judged.rule.full_track}"
            marks.append(pytest.mark.benchmark(timer=Playback(), group=group))
    return marks


def _benchmark_runs(config: pytest.Config) -> bool:
    """Whether pytest-benchmark is there to show times; under pytest-xdist it switches itself off.

    It also does so in a run that a test of a distributed run started, and tells xdist there by its variable.
    """
    distributed = config.getoption("dist", "no") != "no" or "PYTEST_XDIST_WORKER" in os.environ
    return config.pluginmanager.hasplugin("benchmark") and not distributed


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Let pytest-benchmark see which tests have times to show, so that --benchmark-only and -skip select them.

    Only while it selects: a test that then has no times to show must not open the fixture, which complains when it is
    not used.
    """
    ours = [
        item
        for item in items
        if item.get_closest_marker("facechallenge") and item.get_closest_marker("benchmark")
        if isinstance(item, pytest.Function)
    ]
    names = [item.fixturenames for item in ours]
    for item in ours:
        item.fixturenames = [*item.fixturenames, "benchmark"]
    yield
    for item, before in zip(ours, names, strict=True):
        item.fixturenames = before


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add what a time depends on to pytest-benchmark's description of the machine."""
    run = config.stash.get(RUN, None)
    if run is not None:
        from pytest_facechallenge.plugin.benchmark import machine_info_of

        machine_info["facechallenge"] = machine_info_of(run)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan which facts the selected tests need, so that each sandboxed process gathers as much as it can."""
    run = session.config.stash.get(RUN, None)
    if run is not None:
        selected = [judged for judged in map(_judged_by, session.items) if judged is not None]
        run.gatherer.select(selected)
        run.gatherer.note(selected)


def _judged_by(item: pytest.Item) -> JudgedRule | None:
    callspec = getattr(item, "callspec", None)
    judged: JudgedRule | None = None if callspec is None else callspec.params.get("judged")
    return judged


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a finding where pytest would show a traceback through our code."""
    report = yield
    judged = _judged_by(item)
    if report.failed and judged is not None:
        from pytest_facechallenge.plugin.transport import note_failure

        note_failure(report, judged)
    if judged is not None and report.skipped and isinstance(report.longrepr, tuple):
        # pytest's line on a skipped test names the place of the skip, which is the same for every rule.
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        report.longrepr = (item.nodeid.partition("::")[0], None, f"Skipped: {judged.test_id}: {reason}")  # type: ignore[assignment]
    run = item.config.stash.get(RUN, None)
    if call.excinfo is not None and run is not None:
        from pytest_facechallenge.engine.build_report import rule_result
        from pytest_facechallenge.plugin.collection import RuleBroken
        from pytest_facechallenge.reports.finding import render

        if isinstance(call.excinfo.value, RuleBroken):
            broken = call.excinfo.value
            name = run.plan.names[broken.judged.source, broken.judged.number]
            report.longrepr = render(rule_result(broken.judged, broken.outcome), name, broken.judged.rule.full_track)
    if judged is not None and run is not None and report.skipped and run.values.flag("strict"):
        from pytest_facechallenge.plugin.transport import fail_if_undecided

        fail_if_undecided(report, judged, run.plan.names[judged.source, judged.number])
    return report
