"""``facechallenge audit ENTRIES --out DIR``: judge many entries, go on where it was stopped, compare and rank them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_facechallenge.commands import console
from pytest_facechallenge.commands.option_arguments import add_option
from pytest_facechallenge.engine.options import OPTIONS

if TYPE_CHECKING:
    from pytest_facechallenge.auditing.document import EntryRow

#: Options that are arguments here, or that the audit's folder decides.
_ELSEWHERE = ("model", "facts", "features")
_INTERRUPTED = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("entries", nargs="+", metavar="PATH", help="a folder of entries, a .onnx file, a zip or a glob")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the audit; the same one goes on with it")
    parser.add_argument("-n", dest="jobs", type=_jobs, default=1, metavar="N", help="judge N entries at a time (1)")
    parser.add_argument("--strict", action="store_true", help="exit with 1 unless every entry is COMPLIANT")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no line for each entry")
    for option in OPTIONS:
        if option.name not in _ELSEWHERE:
            add_option(parser, option)


def _jobs(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"a number of at least 1 is expected, found {text!r}")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Audit and print the ranking.

    The exit code is 0 when every entry was judged, whatever the verdicts; under strict 1 unless all are COMPLIANT; 2
    after Ctrl-C.
    """
    from pytest_facechallenge.api import audit
    from pytest_facechallenge.auditing.screen import render
    from pytest_facechallenge.core.outcome import VerdictWord

    given = {option.keyword: getattr(arguments, option.ini) for option in OPTIONS if option.name not in _ELSEWHERE}
    options = {name: value for name, value in given.items() if value not in (None, False)}
    tracks, rulebooks = options.pop("track", []), options.pop("rules", [])
    try:
        found = audit(
            arguments.entries,
            tracks,
            arguments.out,
            rulebooks=rulebooks,
            jobs=arguments.jobs,
            told=None if arguments.quiet else _tell,
            **options,
        )
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command goes on from here\n")
        return _INTERRUPTED
    console.write(render(found, console.view()))
    console.write(f"{_where(arguments.out)}\n")
    words = {row.verdict for entry in found.entries for row in entry.tracks}
    return 1 if arguments.strict and words - {VerdictWord.COMPLIANT} else 0


def _tell(row: EntryRow, done: int, total: int, seconds: float) -> None:
    verdicts = ", ".join(f"{each.track} {each.verdict}" for each in row.tracks)
    how = f"{row.gathered} steps gathered" if row.gathered else "nothing new to gather"
    sys.stderr.write(f"[{done:>{len(str(total))}}/{total}] {row.name}: {verdicts} ({seconds:.1f} s, {how})\n")
    sys.stderr.flush()


def _where(out: str) -> str:
    return f"{Path(out) / 'leaderboard.html'}, {Path(out) / 'leaderboard.csv'}, {Path(out) / 'audit.json'}"
