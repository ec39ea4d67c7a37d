"""The pytest plugin: options, and hooks that hand over to the run's session.

pytest imports this in every run of every project where the package is installed, so nothing but the standard library
and pytest is imported here; everything else is imported once a submission is to be judged.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_facechallenge.plugin import options as _settings

if TYPE_CHECKING:
    from types import FrameType

    from pytest_facechallenge.engine.session import ChallengeSession
    from pytest_facechallenge.plugin.collection import JudgedRule

_SESSION = pytest.StashKey["ChallengeSession"]()
_OWNS_TRACK = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `settings.OPTIONS`."""
    _settings.add_options(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser) -> Generator[None]:
    """Add the alias --track after every other plugin had its chance, so that a clash breaks neither."""
    yield
    early_config.stash[_OWNS_TRACK] = _settings.add_track_alias(parser)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Answer --facechallenge-list and --facechallenge-explain, which run no tests."""
    try:
        chosen = _settings.resolve(config)
        if chosen.flag("list") or chosen.text("explain"):
            from pytest_facechallenge.reports import catalogue

            sys.stdout.write(catalogue.answer(chosen))
            return 0
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Find out what is to be judged, and put it into what pytest collects."""
    config.addinivalue_line("markers", "facechallenge(rule, track): a rule of a face-recognition challenge")
    try:
        chosen = _settings.resolve(config)
        if not chosen.active:
            return
        from pytest_facechallenge.engine.session import ChallengeSession

        worker_input = getattr(config, "workerinput", None)
        shared = Path(worker_input["facechallenge_root"]) if worker_input else None
        session = ChallengeSession(chosen, shared)
    except ValueError as error:
        foreign = not config.stash.get(_OWNS_TRACK, True)
        hint = " (here --track belongs to another plugin: use --facechallenge-track)" if foreign else ""
        raise pytest.UsageError(f"{error}{hint}") from error
    config.stash[_SESSION] = session
    _refuse_settings_of_a_submission(config, session)
    _collect_sources(config, session)
    if worker_input is None:
        from pytest_facechallenge.plugin.collector import RunReport

        _end_orderly_on_sigterm(config)
        config.pluginmanager.register(RunReport(config, session), "facechallenge-report")


def _refuse_settings_of_a_submission(config: pytest.Config, session: ChallengeSession) -> None:
    """Refuse an ini file that lies with a submission: a stranger's settings must not steer the run that judges them.

    pytest looks for an ini file beside everything on the command line that is a path, before it knows our options, so
    also beside the value of an option that stands apart from its name.
    """
    here = config.invocation_params.dir
    if config.inipath is None or getattr(config.option, "inifilename", None) or hasattr(config, "workerinput"):
        return
    folder = config.inipath.parent
    given = config.args if config.args_source == pytest.Config.ArgsSource.ARGS else []
    if folder in (here, *here.parents) or any(folder in _argument_path(config, path).parents for path in given):
        return
    judged = next((source for source in session.sources if folder in (source, *source.parents)), None)
    if judged is not None:
        session.close()
        del config.stash[_SESSION]
        raise pytest.UsageError(
            f"{config.inipath} would steer this run, and it lies with the submission {judged.name}; "
            f"write --facechallenge-model={judged} (with '='), or name your own ini file with -c"
        )


def _end_orderly_on_sigterm(config: pytest.Config) -> None:
    """Let SIGTERM end the run as Ctrl-C does, so that a cancelled CI job still has its report and leaves no files.

    Only where nobody else handles it.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt("SIGTERM")

    def let_go() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, interrupt)
    config.add_cleanup(let_go)


def _collect_sources(config: pytest.Config, session: ChallengeSession) -> None:
    """Replace pytest's default paths by the submissions, or add them to the paths that the user gave.

    A submission that the user named by a node id of its own ("model.onnx::test_rule[A-input]") is not added whole.
    """
    given = config.args if config.args_source == pytest.Config.ArgsSource.ARGS else []
    named = {_argument_path(config, argument) for argument in given}
    paths = (path for path, source in session.given_as.items() if not {source, path} & named)
    config.args[:] = [*given, *map(str, paths)]


def _argument_path(config: pytest.Config, argument: str) -> Path:
    return Path(os.path.normpath(config.invocation_params.dir / argument.partition("::")[0]))


def session_of(config: pytest.Config) -> ChallengeSession:
    """Return the run's session.

    Raises
    ------
    KeyError
        The run judges nothing.
    """
    return config.stash[_SESSION]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say that nothing is judged, when a track was named and no submission."""
    if config.stash.get(_SESSION, None) is None and _settings.resolve(config).many("track"):
        return ["facechallenge: a track is named but no submission, so nothing is judged: add --facechallenge-model"]
    return []


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the run's temporary folder."""
    session = config.stash.get(_SESSION, None)
    if session is not None:
        session.close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a pytest-xdist worker where the run's facts lie, so that each is gathered once."""
    session = node.config.stash.get(_SESSION, None)
    if session is not None:
        node.workerinput["facechallenge_root"] = str(session.root)


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
    return _submission(file_path, parent)


@pytest.hookimpl(tryfirst=True)
def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a submission's folder as a module of rules, and lead to submissions without importing what lies there."""
    session = parent.config.stash.get(_SESSION, None)
    if session is None:
        return None
    found = _submission(path, parent)
    if found is not None:
        return found
    return _guarded_folder(path, parent, session)


def _submission(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    session = parent.config.stash.get(_SESSION, None)
    if session is None or path not in session.given_as:
        return None
    from pytest_facechallenge.plugin.collection import AwkwardPath, collect_submission

    if session.given_as[path] == path:
        return collect_submission(path, parent)
    node: pytest.Collector = AwkwardPath.from_parent(parent, path=path, name=path.name)
    return node


def _guarded_folder(path: Path, parent: pytest.Collector, session: ChallengeSession) -> pytest.Collector | None:
    config = parent.config
    on_the_way = any(path in given.parents for given in session.given_as)
    if (
        not on_the_way
        or path == config.rootpath
        or path in (config.invocation_params.dir, *config.invocation_params.dir.parents)
    ):
        return None
    others = [_argument_path(config, argument) for argument in config.args]
    others = [other for other in others if other not in session.given_as]
    if any(path == other or path in other.parents or other in path.parents for other in others):
        return None
    from pytest_facechallenge.plugin.collection import SubmissionFolder

    node: pytest.Collector = SubmissionFolder.from_parent(parent, path=path)
    return node


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test per rule (and case) of every track."""
    if "judged" not in metafunc.fixturenames:
        return
    session = metafunc.config.stash.get(_SESSION, None)
    path = metafunc.definition.path
    if session is None or path not in session.sources:
        return
    _validate(session)
    judged = session.expected(path)
    metafunc.parametrize(
        "judged",
        [pytest.param(each, id=each.test_id, marks=_marks(metafunc.config, each)) for each in judged],
    )


def _marks(config: pytest.Config, judged: JudgedRule) -> list[pytest.MarkDecorator]:
    marks = [pytest.mark.facechallenge(rule=judged.rule.id, track=judged.track_label)]
    if judged.rule.check == "latency" and not judged.rule.not_applicable and _benchmark_runs(config):
        from pytest_facechallenge.plugin.benchmark import Playback

        marks.append(pytest.mark.benchmark(timer=Playback(), group=f"latency on {judged.rule.full_track}"))
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
    session = config.stash.get(_SESSION, None)
    if session is not None:
        from pytest_facechallenge.plugin.benchmark import machine_info_of

        machine_info["facechallenge"] = machine_info_of(session)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the profiles that --facechallenge-profile asked for."""
    session = config.stash.get(_SESSION, None)
    if session is not None and session.latency.profile and not config.option.collectonly:
        from pytest_facechallenge.analyses.latency.profile import tables

        for text in tables(session, shutil.get_terminal_size().columns):
            terminalreporter.section("face challenge profile")
            terminalreporter.write(text)


def _validate(session: ChallengeSession) -> None:
    try:
        session.validate()
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan which facts the selected tests need, so that each sandboxed process gathers as much as it can."""
    run = session.config.stash.get(_SESSION, None)
    if run is not None:
        run.plan(_judged(session.items))


def _judged(items: Iterable[pytest.Item]) -> Iterable[JudgedRule]:
    return (judged for judged in map(_judged_by, items) if judged is not None)


def _judged_by(item: pytest.Item) -> JudgedRule | None:
    callspec = getattr(item, "callspec", None)
    judged: JudgedRule | None = None if callspec is None else callspec.params.get("judged")
    return judged


@pytest.fixture(scope="session")
def facechallenge(request: pytest.FixtureRequest) -> ChallengeSession:
    """Give the run's session: what is judged, and the facts about it."""
    session = request.config.stash.get(_SESSION, None)
    if session is None:
        raise pytest.UsageError(
            "the fixture 'facechallenge' needs a submission: add --facechallenge-model PATH --track NAME"
        )
    return session


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a finding where pytest would show a traceback through our code."""
    report = yield
    judged = _judged_by(item)
    if report.failed and judged is not None:
        from pytest_facechallenge.engine.session import note_failure

        note_failure(report, judged)
    if judged is not None and report.skipped and isinstance(report.longrepr, tuple):
        # pytest's line on a skipped test names the place of the skip, which is the same for every rule.
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        report.longrepr = (item.nodeid.partition("::")[0], None, f"Skipped: {judged.test_id}: {reason}")  # type: ignore[assignment]
    session = item.config.stash.get(_SESSION, None)
    if call.excinfo is not None and session is not None:
        from pytest_facechallenge.plugin.collection import RuleBroken
        from pytest_facechallenge.reports.finding import render

        if isinstance(call.excinfo.value, RuleBroken):
            broken = call.excinfo.value
            report.longrepr = render(broken, session.names()[broken.judged.source, broken.judged.number])
    return report
