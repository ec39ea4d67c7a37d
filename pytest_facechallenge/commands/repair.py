"""``facechallenge repair MODEL --out FOLDER``: a mended copy where the fault is mechanical, proven and judged."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import Any

from pytest_facechallenge.commands.option_arguments import add_option
from pytest_facechallenge.engine.options import OPTIONS

#: Columns where the console does not say how wide it is.
_WIDTH = 80
#: Options that mean nothing here: one submission is named, and nothing is written but the mended copy.
_ELSEWHERE = ("model", "facts", "features", "labels", "write-features")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes: the options of a run that decide how the mended copy is judged."""
    parser.add_argument("model", metavar="MODEL", help="a .onnx file, a zip or a folder; it is only read")
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="where model.onnx and submission.zip are written"
    )
    for option in OPTIONS:
        if option.name not in _ELSEWHERE:
            add_option(parser, option)


def run(arguments: argparse.Namespace) -> int:
    """Mend, and show what came of it; 1 where no file was written or the mended one breaks a rule.

    Raises
    ------
    ValueError, OSError
        Something named cannot be used, or something would be overwritten.
    """
    from pytest_facechallenge.core.outcome import VerdictWord
    from pytest_facechallenge.mending import repair
    from pytest_facechallenge.reports.repaired import render
    from pytest_facechallenge.reports.view import View

    asked = {option.keyword: getattr(arguments, option.ini, None) for option in OPTIONS}
    given: dict[str, Any] = {keyword: value for keyword, value in asked.items() if value not in (None, False)}
    tracks, books = given.pop("track", []), given.pop("rules", [])
    done = repair(arguments.model, arguments.out, tracks, rulebooks=books, **given)
    view = View(
        width=shutil.get_terminal_size((_WIDTH, 24)).columns,
        colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ,
        encoding=sys.stdout.encoding or "utf-8",
    )
    sys.stdout.write(render(done, os.path.basename(os.path.normpath(arguments.model)), view))  # noqa: PTH119  # a text
    words = {track.verdict.word for each in done.report.submissions for track in each.tracks} if done.report else set()
    return 1 if done.model is None or VerdictWord.NON_COMPLIANT in words else 0
