"""``facechallenge declare [FILE]``: a commented declaration to fill in."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="a new file (default: declaration.toml, with --model beside the model)"
    )
    parser.add_argument("--model", metavar="MODEL", help="the submission that it is about")
    parser.add_argument(
        "--track", action="append", default=[], metavar="TRACK", help="track whose demands are named; repeatable"
    )
    parser.add_argument("--rules", action="append", default=[], metavar="FILE", help="a rulebook of your own")


def run(arguments: argparse.Namespace) -> int:
    """Write the declaration and say where it is.

    Raises
    ------
    ValueError
        The file is there already, or something named cannot be used.
    """
    from pytest_facechallenge.api import load_rulebooks
    from pytest_facechallenge.core.declaration import write_declaration
    from pytest_facechallenge.engine.arguments import find_tracks
    from pytest_facechallenge.engine.declaring import NAME, one_submission, place_for, template_for

    model = one_submission(arguments.model, Path.cwd()) if arguments.model else None
    rules = []
    if arguments.track:
        books = load_rulebooks(arguments.rules)
        for each in find_tracks(tuple(arguments.track), books):
            rules += books[each.book].rules_of(each.track)
    place = Path(arguments.file) if arguments.file else place_for(model) if model is not None else Path(NAME)
    written = write_declaration(place, template_for(model, rules))
    sys.stdout.write(f"{written} was written: fill it in and keep it beside the model\n")
    return 0
