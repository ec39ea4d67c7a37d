"""``facechallenge explain RULE``."""

from __future__ import annotations

import argparse

from pytest_facechallenge.commands import console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("rule", metavar="RULE", help="the rule's name, as in 'facechallenge list'")
    parser.add_argument("--rules", action="append", default=[], metavar="FILE", help="a rulebook of your own")


def run(arguments: argparse.Namespace) -> int:
    """Print the explanation."""
    from pytest_facechallenge.api import explain

    console.write(explain(arguments.rule, arguments.rules))
    return 0
