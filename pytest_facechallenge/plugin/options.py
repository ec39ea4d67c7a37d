"""The options on pytest's command line: command line over environment over ini file.

``python -m pytest_facechallenge.plugin.options`` writes `option_table`, from which `hooks` adds them: pytest loads that
in every run, and it imports nothing. A test compares the two.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_facechallenge.core.options import Option, OptionKind, OptionValues, typed
from pytest_facechallenge.engine.options import OPTIONS as OF_THE_RUN
from pytest_facechallenge.reports.formats import FORMATS

if TYPE_CHECKING:
    import pytest

OWN = Option(
    "own-folder",
    OptionKind.FLAG,
    "the ini file and conftest.py that lie with the submission are my own: obey them (never read from an ini file)",
)

#: The only list of options: the table that pytest's are made from and the environment variables follow from it.
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


#: The module that pytest loads in every run.
TABLE = Path(__file__).with_name("option_table.py")


def table_text() -> str:
    """Return the text of `option_table`."""
    rows = "".join(
        f"    (\n{''.join(f'        {_literal(text)},{chr(10)}' for text in row)}    ),\n"
        for row in ((option.name, str(option.kind), option.metavar, option.help) for option in OPTIONS)
    )
    about = '"""Every option of pytest: name, kind, metavar, help. Written by plugin/options.py; imports nothing."""'
    table = f"OPTIONS: tuple[tuple[str, str, str, str], ...] = (\n{rows})"
    return f"{about}\n\nfrom __future__ import annotations\n\n# fmt: off\n{table}\n"


def _literal(text: str) -> str:
    """Return a text as Python reads it, in double quotes as the linter wants them."""
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    TABLE.write_text(table_text(), encoding="utf-8")
