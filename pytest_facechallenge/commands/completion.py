"""``facechallenge completion SHELL``: print the script that lets a shell complete."""

from __future__ import annotations

import argparse

from pytest_facechallenge.commands import console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("shell", metavar="bash|zsh|fish", help="the shell that reads the script")
    parser.add_argument(
        "--rules", action="append", default=[], metavar="FILE", help="a rulebook of your own, whose names to complete"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the script.

    Raises
    ------
    ValueError
        There is no script for that shell.
    """
    from pytest_facechallenge.api import load_rulebooks
    from pytest_facechallenge.commands import COMMANDS
    from pytest_facechallenge.commands.parser import nearest, parser_of
    from pytest_facechallenge.commands.shells import SHELLS
    from pytest_facechallenge.commands.words import Known, completed

    if arguments.shell not in SHELLS:
        hint = nearest(arguments.shell, SHELLS) or f"; known: {', '.join(SHELLS)}"
        raise ValueError(f"there is no completion for the shell {arguments.shell!r}{hint}")
    books = load_rulebooks(arguments.rules)
    every = [(book.id, track) for book in books.values() for track in book.tracks]
    tracks = [track for _, track in every]
    known = Known(
        # A track is named alone where one rulebook only has it.
        tracks=tuple([f"{book}/{track}" for book, track in every] + [one for one in tracks if tracks.count(one) == 1]),
        rules=tuple(sorted({rule for book in books.values() for rule in book.rules})),
    )
    parsed = [completed(command, parser_of(command).arguments(), known) for command in COMMANDS]
    console.write(SHELLS[arguments.shell](parsed))
    return 0
