"""``facechallenge``: finds the command, shows what is wrong in one sentence, and decides nothing."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath

from pytest_facechallenge.commands import COMMANDS, Command, console
from pytest_facechallenge.commands.parser import PROGRAM, WRONG_INVOCATION, Parser, complain, nearest, parser_of
from pytest_facechallenge.core import option_files
from pytest_facechallenge.core.version import __version__

#: What a submission's name ends in: who writes one where a command belongs has left "judge" out.
_SUBMISSIONS = (".onnx", ".zip")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if not given or given[0].startswith("-"):
        return _without_command(given)
    name, rest = given[0], given[1:]
    command = next((each for each in COMMANDS if each.name == name), None)
    if name == "help":
        return main([*rest[:1], "--help"])
    if command is None:
        top_level().error(f"there is no command {name!r}{_meant(name)}")
    parser = parser_of(command)
    if wrong := option_files.refusal(rest, Path()):
        parser.error(wrong)
    own, passed_on = _split(rest)
    if passed_on and not command.passes_on:
        parser.error(f"'{PROGRAM} {name}' takes nothing after --")
    if {"-h", "--help"} & set(own):
        console.write(parser.format_help())
        return 0
    arguments, unknown = parser.parse_known_intermixed_args(own)
    parser.refuse_unknown(unknown, "; pytest's own options are given after --" if command.passes_on else "")
    arguments.passed_on = passed_on
    return _ran(command, arguments)


def top_level() -> Parser:
    """Return the parser of a command line without a command."""
    parser = Parser(
        prog=PROGRAM,
        description="Judge face-recognition challenge submissions: every rule a test, every verdict with its evidence.",
        epilog=f"'{PROGRAM} COMMAND --help' shows the options of a command.",
        examples=(f"{PROGRAM} judge model.onnx --track A", f"{PROGRAM} explain embedding-dim"),
        commands=[(command.name, command.about) for command in COMMANDS],
    )
    parser.add_argument(
        "-V", "--version", action="version", version=f"{PROGRAM} {__version__}", help="show the version"
    )
    return parser


def _without_command(given: list[str]) -> int:
    parser = top_level()
    _, unknown = parser.parse_known_args(given[:1])
    parser.refuse_unknown(unknown, "; a command comes first")
    console.write(parser.format_help())
    return 0


def _meant(name: str) -> str:
    if name.lower().endswith(_SUBMISSIONS):
        return f"; to judge a submission write '{PROGRAM} judge {PurePath(name)} --track NAME'"
    return nearest(name, (each.name for each in COMMANDS))


def _ran(command: Command, arguments: argparse.Namespace) -> int:
    try:
        code = command.run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Who reads the output has seen enough ("| head"). Python flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        complain(str(error))
        return WRONG_INVOCATION


def _split(given: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in given:
        return given, []
    place = given.index("--")
    return given[:place], given[place + 1 :]
