"""The options on pytest's command line: command line over environment over ini file. Standard library only."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pytest_facechallenge.core.options import GIVEN, Option, OptionKind, OptionValues, typed
from pytest_facechallenge.engine.options import OPTIONS as OF_THE_RUN
from pytest_facechallenge.reports.formats import FORMATS

if TYPE_CHECKING:
    import pytest

OWN = Option(
    "own-folder",
    OptionKind.FLAG,
    "the ini file and conftest.py that lie with the submission are my own: obey them (never read from an ini file)",
)

#: The only list of options: the command line, the ini keys and the environment variables are made from it.
OPTIONS: tuple[Option, ...] = (
    *OF_THE_RUN,
    *(option for each in FORMATS for option in (each.option, *each.details)),
    Option("list", OptionKind.FLAG, "show rulebooks, tracks and rules, and exit"),
    Option(
        "explain", OptionKind.TEXT, "explain one rule (what, why, how it is measured, how to fix it), and exit", "RULE"
    ),
    Option(
        "write-declaration", OptionKind.TEXT, "write a commented declaration to fill in, and exit", "FILE", path=True
    ),
    Option(
        "repair",
        OptionKind.TEXT,
        "where the fault is mechanical, write a mended copy to FOLDER, proven and judged; the original is only read",
        "FOLDER",
        path=True,
    ),
    Option("strict", OptionKind.FLAG, "fail the run unless every verdict is COMPLIANT"),
    Option(
        "no-annotations",
        OptionKind.FLAG,
        "under GitHub Actions: print no ::error lines and write no job summary",
    ),
    OWN,
)


def add_options(parser: pytest.Parser) -> None:
    """Add every option to pytest's command line and ini keys."""
    group = parser.getgroup("facechallenge", "judge face-recognition challenge submissions")
    for option in OPTIONS:
        keywords: dict[str, Any] = {"dest": option.ini, "help": option.help, "default": None}
        if option.kind is OptionKind.FLAG:
            keywords |= {"action": "store_true"}
        elif option.kind is OptionKind.OPTIONAL:
            keywords |= {"nargs": "?", "const": GIVEN, "metavar": option.metavar}
        else:
            several = option.kind is OptionKind.LIST
            keywords |= {"action": "append" if several else "store", "metavar": option.metavar}
        group.addoption(option.flag, **keywords)
        ini_type: Literal["linelist", "string"] = "linelist" if option.kind is OptionKind.LIST else "string"
        parser.addini(option.ini, f"the same as {option.flag}", type=ini_type, default=None)


def add_track_alias(parser: pytest.Parser) -> bool:
    """Add ``--track`` as an alias; return False when another plugin owns that name."""
    _, unknown = parser.parse_known_and_unknown_args(["--track=probe"])
    if not unknown:
        return False
    group = parser.getgroup("facechallenge")
    alias = "alias of --facechallenge-track"
    group.addoption("--track", dest="facechallenge_track", action="append", metavar="TRACK", help=alias)
    return True


def resolve(
    config: pytest.Config, environment: Mapping[str, str] = os.environ, given_so_far: object = None
) -> OptionValues:
    """Read every option: command line over environment over ini over default.

    Parameters
    ----------
    given_so_far
        The command line as far as it is read, while pytest starts.

    Raises
    ------
    OptionError
        A value that cannot be used.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        given = getattr(given_so_far or config.option, option.ini, None)
        source = option.flag
        if given is None and environment.get(option.variable):
            given, source = environment[option.variable], f"the environment variable {option.variable}"
            if option.kind is OptionKind.LIST:
                given = shlex.split(given)
        if given is None:
            given, source = config.getini(option.ini), f"the ini key {option.ini}"
            given = None if given in ("", []) else given
        values[option.name] = typed(option, given, source)
    return OptionValues(values, config.invocation_params.dir)
