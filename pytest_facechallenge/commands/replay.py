"""``facechallenge replay REPORT``: judge recorded facts again, under the rulebooks of today or one's own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_facechallenge.commands import console


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

    report = rejudge(
        Path(arguments.report), arguments.track, rulebooks=arguments.rules, min_tar=tuple(arguments.min_tar)
    )
    sys.stdout.write(render(report, console.view(int(arguments.verbose), strict=arguments.strict)))
    if arguments.json:
        report.save(arguments.json)
    words = {track.verdict.word for submission in report.submissions for track in submission.tracks}
    fails = words - {VerdictWord.COMPLIANT} if arguments.strict else words & {VerdictWord.NON_COMPLIANT}
    return 1 if fails else 0
