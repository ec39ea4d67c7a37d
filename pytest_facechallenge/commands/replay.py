"""``facechallenge replay REPORT``: judge recorded facts again, under the rulebooks of today or one's own."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

#: Columns where the console does not say how wide it is.
_WIDTH = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("report", metavar="REPORT", help="a JSON report of an earlier run")
    parser.add_argument(
        "--track", action="append", default=[], metavar="TRACK", help="track to judge on (default: those of the report)"
    )
    parser.add_argument("--rules", action="append", default=[], metavar="FILE", help="a rulebook of your own")
    parser.add_argument(
        "--min-tar", action="append", default=[], metavar="NAME=VALUE", help="least TAR on a set; repeatable"
    )
    parser.add_argument("--json", metavar="FILE", help="write the new report to FILE")
    parser.add_argument("--strict", action="store_true", help="exit with 1 unless every verdict is COMPLIANT")
    parser.add_argument("-v", "--verbose", action="store_true", help="show rules that do not apply, too")


def run(arguments: argparse.Namespace) -> int:
    """Judge, print the summary and write the report; 1 for a broken rule, and under strict for any open one."""
    from pytest_facechallenge.api import rejudge
    from pytest_facechallenge.core.outcome import VerdictWord
    from pytest_facechallenge.reports.terminal import render
    from pytest_facechallenge.reports.view import View

    report = rejudge(
        Path(arguments.report), arguments.track, rulebooks=arguments.rules, min_tar=tuple(arguments.min_tar)
    )
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    encoding = sys.stdout.encoding or "utf-8"
    width = shutil.get_terminal_size((_WIDTH, 24)).columns
    view = View(
        width=width, colour=colour, encoding=encoding, verbosity=int(arguments.verbose), strict=arguments.strict
    )
    sys.stdout.write(render(report, view))
    if arguments.json:
        report.save(arguments.json)
    words = {track.verdict.word for submission in report.submissions for track in submission.tracks}
    fails = words - {VerdictWord.COMPLIANT} if arguments.strict else words & {VerdictWord.NON_COMPLIANT}
    return 1 if fails else 0
