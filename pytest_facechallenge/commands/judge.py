"""``facechallenge judge PATH …``: pytest, started so that nothing lying with a submission can steer it.

pytest is given a configuration file of this package, the root folder, the plugins that are needed, and an environment
without settings of Python and pytest; it looks for no ini file, no conftest.py and no plugin beyond these, and Python
does not import from the working folder.
"""

from __future__ import annotations

import argparse
import os
import site
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pytest_facechallenge.analyses.table import ANALYSES
from pytest_facechallenge.commands.option_arguments import add_option
from pytest_facechallenge.core.options import GIVEN, Option, OptionKind
from pytest_facechallenge.engine.options import COMMON
from pytest_facechallenge.plugin.options import OPTIONS, OWN
from pytest_facechallenge.reports.formats import FORMATS

SETTINGS = Path(__file__).with_name("isolated.ini")
PLUGIN = "pytest_facechallenge.plugin.hooks"
#: Options that have a command of their own, or no meaning where nothing of a submission is obeyed.
_ELSEWHERE = ("list", "explain", "model", OWN.name)
#: Settings of Python that a run needs; every other, and all of pytest's, are dropped.
_KEPT = ("PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUSERBASE", "PYTHONNOUSERSITE")
#: Plugins that are loaded when an option of theirs is passed on: the beginning of such options, and the entry point.
_WITH_OPTIONS = (
    (("-n", "--numprocesses", "--dist", "--maxprocesses", "--max-worker-restart", "--tx"), "xdist"),
    (("--benchmark",), "benchmark"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("path", nargs="*", metavar="PATH", help="a .onnx file, a zip, a folder or a glob")
    grouped: dict[str, argparse._ArgumentGroup] = {}
    for option in OPTIONS:
        if option.name not in _ELSEWHERE:
            title = _headings().get(option.name, "the run")
            if title not in grouped:
                grouped[title] = parser.add_argument_group(title)
            add_option(grouped[title], option)
    parser.add_argument("-n", dest="processes", metavar="N", help="judge in N processes (needs pytest-xdist)")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="show every rule, reason and note")
    parser.add_argument("-q", "--quiet", action="count", default=0, help="show the verdicts alone; -qq: not even these")


@cache
def _headings() -> dict[str, str]:
    """Return under which heading of the help an option stands: what is judged, an analysis, or the reports."""
    found = {option.name: "what is judged, and how" for option in COMMON}
    found |= {option.name: analysis.about for analysis in ANALYSES for option in analysis.options}
    return found | {option.name: "reports" for each in FORMATS for option in (each.option, *each.details)}


def run(arguments: argparse.Namespace) -> int:
    """Start pytest and return its exit code.

    Raises
    ------
    ValueError
        Nothing is named that could be judged: pytest would take the working folder for tests.
    """
    if not (arguments.path or any(getattr(arguments, f"facechallenge_{name}") for name in ("facts", "features"))):
        raise ValueError(
            "nothing to judge: name a .onnx file, a zip, a folder or a glob ('facechallenge judge --help')"
        )
    command, environment = command_of(arguments), environment_of(os.environ)
    sys.stdout.flush()
    if os.name == "posix":
        # The same process: a signal reaches pytest, and nothing is left when it is killed.
        os.execve(command[0], command, environment)  # noqa: S606  # no shell is wanted
    return subprocess.call(command, env=environment)


def command_of(arguments: argparse.Namespace) -> list[str]:
    """Return the command line of pytest."""
    passed_on: Sequence[str] = arguments.passed_on
    ours = [f"--facechallenge-model={path}" for path in arguments.path]
    for option in OPTIONS:
        ours += _as_given(option, getattr(arguments, option.ini, None))
    ours += ["-v"] * arguments.verbose + ["-q"] * arguments.quiet
    ours += ["-n", arguments.processes] if arguments.processes else []
    plugins = [PLUGIN]
    for beginnings, plugin in _WITH_OPTIONS:
        wanted = any(each.startswith(beginnings) for each in [*ours, *passed_on])
        if wanted and find_spec("pytest_benchmark" if plugin == "benchmark" else plugin) is not None:
            plugins.append(plugin)
    loaded = [word for plugin in plugins for word in ("-p", plugin)]
    # -P: Python's import path does not begin with the working folder, which may be a stranger's.
    start = [sys.executable, "-P", "-m", "pytest", "-c", str(SETTINGS), "--rootdir", str(Path.cwd()), "--noconftest"]
    return [*start, "-p", "no:cacheprovider", *loaded, *ours, *passed_on]


def _as_given(option: Option, value: str | bool | list[str] | None) -> list[str]:
    if not value:
        return []
    if option.kind is OptionKind.FLAG or (option.kind is OptionKind.OPTIONAL and value == GIVEN):
        return [option.flag]
    return [f"{option.flag}={each}" for each in (value if isinstance(value, list) else [value])]


def environment_of(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of pytest: without settings of pytest and, but for a few, of Python."""
    found = {
        name: value
        for name, value in given.items()
        if name in _KEPT or not name.upper().startswith(("PYTEST_", "PYTHON"))
        if name != OWN.variable
    }
    found |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONSAFEPATH": "1"}
    home = Path(__file__).resolve().parents[2]
    installed = [*site.getsitepackages(), site.getusersitepackages()]
    if str(home) not in map(os.path.realpath, installed):
        found["PYTHONPATH"] = str(home)
    return found
