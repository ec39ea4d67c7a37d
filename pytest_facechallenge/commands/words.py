"""Every command with the words that may follow it: what a shell completes, read from the parsers."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from enum import StrEnum

from pytest_facechallenge.commands import Command


class Kind(StrEnum):
    """What a value is."""

    #: Nothing that a shell could know.
    ANY = "any"
    FILE = "file"
    FOLDER = "folder"
    WORDS = "words"


@dataclass(frozen=True)
class Values:
    """What may be given for an option or an argument; ``words`` where it is one of a few."""

    kind: Kind
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Switch:
    """An option: its spellings ("-v", "--verbose"), what it does, and its values; None where it takes none."""

    spellings: tuple[str, ...]
    about: str
    values: Values | None
    optional: bool = False


@dataclass(frozen=True)
class Completed:
    """A command with its options, and what its arguments may be; None where it takes none."""

    name: str
    about: str
    switches: tuple[Switch, ...]
    arguments: Values | None


@dataclass(frozen=True)
class Known:
    """Names that the installed rulebooks have."""

    tracks: tuple[str, ...]
    rules: tuple[str, ...]


#: What a placeholder in the help stands for; "practice|entry" are words, and any other is not known to a shell.
_KINDS = {
    "FILE": Kind.FILE, "PATH": Kind.FILE, "[NAME=]PATH": Kind.FILE, "REPORT": Kind.FILE, "PYTHON": Kind.FILE,
    "MODEL": Kind.FILE, "DIR": Kind.FOLDER, "FOLDER": Kind.FOLDER,
}  # fmt: skip


def completed(command: Command, arguments: list[argparse.Action], known: Known) -> Completed:
    """Return what may follow a command, from the actions of its parser."""
    switches, positional = [], None
    for action in arguments:
        values = None if action.nargs == 0 else _values(str(action.metavar or ""), known)
        if not action.option_strings:
            positional = positional or values
        elif action.help is not argparse.SUPPRESS:
            spellings = tuple(name for name in action.option_strings if not name.startswith("--facechallenge-"))
            about = (action.help or "").replace("%%", "%")
            switches.append(Switch(spellings, about, values, action.nargs == "?"))
    return Completed(command.name, command.about, tuple(switches), positional)


def _values(placeholder: str, known: Known) -> Values:
    named = {"TRACK": known.tracks, "RULE": known.rules}
    words = named.get(placeholder, tuple(placeholder.split("|")) if "|" in placeholder else ())
    return Values(Kind.WORDS, words) if words else Values(_KINDS.get(placeholder, Kind.ANY))
