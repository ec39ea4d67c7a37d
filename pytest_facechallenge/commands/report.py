"""``facechallenge report REPORT …``: show recorded verdicts again. Nothing is judged, so nothing can fail."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_facechallenge.commands import console
from pytest_facechallenge.core.options import OptionKind
from pytest_facechallenge.reports.formats import FORMATS

if TYPE_CHECKING:
    from pytest_facechallenge.engine.report import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes: a file for each format of the table."""
    parser.add_argument(
        "report", nargs="+", metavar="REPORT", help="a JSON report of an earlier run; several are shown as one"
    )
    files = parser.add_argument_group("files to write")
    for each in FORMATS:
        for option in (each.option, *each.details):
            if option.kind is OptionKind.FLAG:
                files.add_argument(f"--{option.name}", dest=option.ini, action="store_true", help=option.help)
            else:
                files.add_argument(f"--{option.name}", dest=option.ini, metavar=option.metavar, help=option.help)
    parser.add_argument("-v", "--verbose", action="count", default=0, help="show every rule, reason and note")
    parser.add_argument("-q", "--quiet", action="count", default=0, help="show the verdicts alone; -qq: not even these")


def run(arguments: argparse.Namespace) -> int:
    """Write the files and show the verdicts; 0 whatever they are.

    Raises
    ------
    ReportError
        A file is no report, two do not fit together, or a file cannot be written.
    """
    from pytest_facechallenge.engine.combine import combined
    from pytest_facechallenge.engine.report import Report, write_atomically
    from pytest_facechallenge.reports.terminal import render

    # A file that is named twice (by a glob and by itself) is one report.
    paths = dict.fromkeys(arguments.report)
    report = combined({path: Report.load(path) for path in paths})
    for each in FORMATS:
        wanted = getattr(arguments, each.option.ini)
        if wanted:
            write_atomically(Path(wanted), each.rendered(_as_asked_now(report, arguments)))
    sys.stdout.write(render(report, console.view(arguments.verbose - arguments.quiet)))
    for warning in report.environment.warnings:
        print(f"facechallenge: warning: {warning}", file=sys.stderr)
    return 0


def _as_asked_now(report: Report, arguments: argparse.Namespace) -> Report:
    """Return the report with the details that are asked for now: what another run showed is not repeated unasked."""
    import msgspec

    details = [option for each in FORMATS for option in each.details]
    options = {name: value for name, value in report.options.items() if name not in {each.name for each in details}}
    options |= {each.name: True for each in details if getattr(arguments, each.ini)}
    return msgspec.structs.replace(report, options=options)
