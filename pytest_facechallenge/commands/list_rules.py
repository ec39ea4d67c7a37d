"""``facechallenge list``."""

from __future__ import annotations

import argparse

from pytest_facechallenge.commands import console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("--rules", action="append", default=[], metavar="FILE", help="a rulebook of your own")


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    from pytest_facechallenge.api import load_rulebooks
    from pytest_facechallenge.reports.catalogue import listing

    console.write(listing(load_rulebooks(arguments.rules)))
    return 0
