"""The parser of a command: complaints in one sentence with the nearest name, and help in groups. Standard library only.

argparse, and not click or typer: the options of ``judge`` are the table that pytest's options are made from, and a
parser is three lines of a loop over it; a command starts in the time that Python takes, as nothing else is imported.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from pytest_facechallenge.commands import Command, console
from pytest_facechallenge.core.text import clean

PROGRAM = "facechallenge"
#: The exit code of a wrong invocation, pytest's.
WRONG_INVOCATION = 4
_MOST_OF_A_MESSAGE = 4_000
#: Help is read best in lines of at most so many columns.
_MOST_COLUMNS = 100
#: The column in which explanations begin, at most; a longer option has a line of its own.
_MOST_LEFT = 30
#: Names that are less like each other (difflib's ratio) are no typo of each other: --junitxml is none of --html.
_LEAST_LIKENESS = 0.7
_BOLD, _HEADING, _WORD, _PLAIN = "\x1b[1m", "\x1b[1;32m", "\x1b[36m", "\x1b[0m"


class Parser(argparse.ArgumentParser):
    """A parser of one command.

    Parameters
    ----------
    examples
        Command lines that the help shows.
    commands
        Of the program: name, and what it does. The help lists them, the parser takes none.
    """

    def __init__(
        self, *, examples: Sequence[str] = (), commands: Sequence[tuple[str, str]] = (), **keywords: Any
    ) -> None:
        super().__init__(allow_abbrev=False, add_help=False, **keywords)
        self.examples = examples
        self.commands = commands
        # A row of the help like any other, but in argparse's words.
        self.add_argument("-h", "--help", action="help", help="show this help")

    def error(self, message: str) -> NoReturn:
        """Show what is wrong in one sentence, and exit."""
        complain(f"{message}; see '{self.prog} --help'")
        sys.exit(WRONG_INVOCATION)

    def refuse_unknown(self, unknown: Sequence[str], more: str = "") -> None:
        """Exit where a word was given that the command does not take; ``more`` is said where no option is like it."""
        if not unknown:
            return
        # What is no option is more than the command takes; the option before it, if any, is the mistake.
        word = next((each for each in unknown if each.startswith("-")), unknown[0])
        if not word.startswith("-"):
            self.error(f"{word!r} is one word too many")
        name = word.partition("=")[0]
        self.error(f"there is no option {name!r}{nearest(name, self.options()) or more}")

    def options(self) -> list[str]:
        """Return every spelling of every option."""
        return [spelling for action in self._actions for spelling in action.option_strings]

    def arguments(self) -> list[argparse.Action]:
        """Return every argument and option."""
        return list(self._actions)

    def sections(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return the rows of the help under their headings; options that are in no group come last."""
        arguments, others, *groups = self._action_groups
        named = [("Commands", list(self.commands))]
        for title, group in [
            ("Arguments", arguments),
            *((each.title or "", each) for each in groups),
            ("Options", others),
        ]:
            shown = [each for each in group._group_actions if each.help is not argparse.SUPPRESS]
            named.append((title, [(_spelt(each), (each.help or "").replace("%%", "%")) for each in shown]))
        return [(title, rows) for title, rows in named if rows]

    def format_usage(self) -> str:
        """Return the line that says how the command is called."""
        words = [_spelt(action) for action in self._actions if not action.option_strings]
        return " ".join([f"Usage: {self.prog}", *(["COMMAND"] if self.commands else []), "[OPTIONS]", *words])

    def format_help(self) -> str:
        """Return the help: what it does, how it is called, examples, arguments and options in groups."""
        columns = min(console.width(), _MOST_COLUMNS)
        paint = _painted if console.colours(sys.stdout) else _unpainted
        lines = [*_wrapped(self.description or "", columns), ""]
        lines += [self.format_usage().replace("Usage:", paint("Usage:", _HEADING), 1), ""]
        if self.examples:
            lines += [paint("Examples:", _HEADING), *(f"  {paint(each, _BOLD)}" for each in self.examples), ""]
        sections = self.sections()
        widest = max((len(name) for _, rows in sections for name, _ in rows), default=0)
        left = min(widest + 4, _MOST_LEFT)
        for title, rows in sections:
            lines += [paint(f"{title[0].upper()}{title[1:]}:", _HEADING)]
            for name, about in rows:
                lines += _row(name, about, left, columns, paint)
            lines += [""]
        lines += _wrapped(self.epilog or "", columns)
        return "\n".join(lines).rstrip("\n") + "\n"


def parser_of(command: Command) -> Parser:
    """Return the parser of a command."""
    parser = Parser(
        prog=f"{PROGRAM} {command.name}",
        description=f"{command.about[0].upper()}{command.about[1:]}.",
        epilog="Options of pytest are passed on after --, as in: -- -k input -x" if command.passes_on else None,
        examples=command.examples,
    )
    command.add_arguments(parser)
    return parser


def _row(name: str, about: str, left: int, columns: int, paint: Callable[[str, str], str]) -> list[str]:
    """Return one entry: the name, and what is said of it from column ``left`` on, below it where it is long."""
    said = _wrapped(about, columns - left) or [""]
    begin = f"  {paint(name, _WORD)}"
    if len(name) + 4 > left:
        return [begin, *(f"{'':{left}}{line}" for line in said)]
    padding = " " * (left - len(name) - 2)
    return [f"{begin}{padding}{said[0]}".rstrip(), *(f"{'':{left}}{line}" for line in said[1:])]


def _spelt(action: argparse.Action) -> str:
    """Return how an argument or an option is written: "--json FILE", "-v, --verbose", "PATH..."."""
    value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    if not action.option_strings:
        several = action.nargs in ("*", "+")
        return f"{value}..." if several else value
    # The long form of pytest is taken as well, and shown nowhere: it says the same.
    names = [name for name in action.option_strings if not name.startswith("--facechallenge-")]
    shown = ", ".join(names)
    if action.nargs == "?":
        return f"{shown} [{value}]"
    return f"{shown} {value}" if value else shown


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(text, max(columns, 20), break_long_words=False, break_on_hyphens=False)


def _painted(text: str, style: str) -> str:
    return f"{style}{text}{_PLAIN}"


def _unpainted(text: str, _style: str) -> str:
    return text


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'judge'?" where a known name is like ``name``, else ""."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=_LEAST_LIKENESS)
    return f"; did you mean {near[0]!r}?" if near else ""


def complain(message: str) -> None:
    """Show on the console for errors what is wrong, in one line."""
    print(f"{PROGRAM}: error: {clean(message, _MOST_OF_A_MESSAGE)}", file=sys.stderr)
