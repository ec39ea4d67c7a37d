"""``facechallenge``: finds the command, shows what is wrong in one sentence, and decides nothing."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from pytest_facechallenge.commands import COMMANDS, Command
from pytest_facechallenge.core.text import clean
from pytest_facechallenge.core.version import __version__

PROGRAM = "facechallenge"
#: The exit code of a wrong invocation, pytest's.
WRONG_INVOCATION = 4
_MOST_OF_A_MESSAGE = 4_000


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one sentence, with the nearest name that it knows, and end in 4."""

    def error(self, message: str) -> NoReturn:
        """Show what is wrong, and exit."""
        _complain(f"{message}; see '{self.prog} --help'")
        sys.exit(WRONG_INVOCATION)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    own, passed_on = _split(given)
    parser = _parser()
    name = next((each for each in own if not each.startswith("-")), "")
    command = next((each for each in COMMANDS if each.name == name), None)
    if name and command is None:
        parser.error(f"there is no command {name!r}{nearest(name, (each.name for each in COMMANDS))}")
    if command is None:
        parser.parse_args(own)
        parser.print_help()
        return 0 if not own else WRONG_INVOCATION
    if passed_on and not command.passes_on:
        parser.error(f"'{PROGRAM} {name}' takes nothing after --")
    sub = Parser(
        prog=f"{PROGRAM} {name}",
        description=f"{command.about[0].upper()}{command.about[1:]}.",
        epilog="Options of pytest are passed on after --, as in: -- -k input -x" if command.passes_on else None,
        allow_abbrev=False,
    )
    command.add_arguments(sub)
    own.remove(name)
    arguments, unknown = sub.parse_known_intermixed_args(own)
    if unknown:
        options = [option for action in sub._actions for option in action.option_strings]
        sub.error(f"there is no option {unknown[0]!r}{nearest(unknown[0].partition('=')[0], options)}")
    arguments.passed_on = passed_on
    return _ran(command, arguments)


def _ran(command: Command, arguments: argparse.Namespace) -> int:
    try:
        return command.run(arguments)
    except (ValueError, OSError) as error:
        _complain(str(error))
        return WRONG_INVOCATION


def _parser() -> Parser:
    width = max(len(each.name) for each in COMMANDS)
    table = "\n".join(f"  {each.name:{width}}  {each.about}" for each in COMMANDS)
    parser = Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND [options]",
        description="Judge face-recognition challenge submissions: every rule a test, every verdict with its evidence.",
        epilog=f"commands:\n{table}\n\n'{PROGRAM} COMMAND --help' shows the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def _split(given: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in given:
        return given, []
    place = given.index("--")
    return given[:place], given[place + 1 :]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'judge'?" where a known name is like ``name``, else ""."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _complain(message: str) -> None:
    print(f"{PROGRAM}: error: {clean(message, _MOST_OF_A_MESSAGE)}", file=sys.stderr)
