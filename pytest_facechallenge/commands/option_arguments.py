"""Options of a run as arguments of a command: with and without the prefix that they have in pytest."""

from __future__ import annotations

import argparse

from pytest_facechallenge.core.options import GIVEN, Option, OptionKind


def add_option(parser: argparse._ActionsContainer, option: Option) -> None:
    """Add an option; its value is found under ``option.ini``, None (False for a switch) where it was not given."""
    names = (f"--{option.name}", option.flag)
    about = option.help.replace("; --track is an alias", "").replace("%", "%%")
    if option.kind is OptionKind.FLAG:
        parser.add_argument(*names, dest=option.ini, action="store_true", help=about)
    elif option.kind is OptionKind.OPTIONAL:
        parser.add_argument(*names, dest=option.ini, nargs="?", const=GIVEN, metavar=option.metavar, help=about)
    else:
        action = "append" if option.kind is OptionKind.LIST else "store"
        parser.add_argument(*names, dest=option.ini, action=action, metavar=option.metavar, help=about)
