"""What a user can set: the description of one option, and the values that were set. Standard library only.

pytest loads this in every run of every project where the package is installed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class OptionKind(StrEnum):
    """The kinds of values that an option takes."""

    FLAG = "flag"
    TEXT = "text"
    LIST = "list"
    NUMBER = "number"
    #: A switch that may carry a value.
    OPTIONAL = "optional"


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes
    ----------
    name
        "model" gives ``--facechallenge-model``, the ini key ``facechallenge_model``, the environment variable
        ``FACECHALLENGE_MODEL`` and the keyword ``model`` of `pytest_facechallenge.judge`.
    kind
        See `OptionKind`.
    help
        For ``pytest --help``.
    metavar
        Placeholder of the value; "practice|entry" where it is one of a few words.
    default
        The value when nobody set it.
    path
        Whether the value is a path: relative ones are relative to the folder that the run started in.
    """

    name: str
    kind: OptionKind
    help: str
    metavar: str = ""
    default: Any = None
    path: bool = False

    @property
    def flag(self) -> str:
        """The command-line option."""
        return f"--facechallenge-{self.name}"

    @property
    def keyword(self) -> str:
        """The keyword of the Python API."""
        return self.name.replace("-", "_")

    @property
    def ini(self) -> str:
        """The ini key."""
        return f"facechallenge_{self.keyword}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return self.ini.upper()


#: The value of an `OptionKind.OPTIONAL` option that was given without a value.
GIVEN = "given"


class OptionError(ValueError):
    """An option's value that cannot be used; the message says which, where it was set, and what is allowed."""


@dataclass(frozen=True)
class OptionValues:
    """What the user asked for, by option name; paths are as given."""

    values: Mapping[str, Any]
    base: Path

    def text(self, name: str) -> str:
        """Return a text value, "" when it is not set."""
        return str(self.values.get(name) or "")

    def flag(self, name: str) -> bool:
        """Return a switch."""
        return bool(self.values.get(name))

    def many(self, name: str) -> tuple[str, ...]:
        """Return the values of a repeatable option."""
        return tuple(self.values.get(name) or ())

    def number(self, name: str) -> int:
        """Return a whole number."""
        return int(self.values[name])

    def path(self, text: str) -> Path:
        """Return the absolute path of a path as given."""
        return Path(os.path.normpath(self.base / text))

    def path_of(self, name: str) -> str:
        """Return the absolute path that an option names, "" when it is not set."""
        return str(self.path(self.text(name))) if self.text(name) else ""

    def set_by_user(self) -> dict[str, Any]:
        """Return what differs from the default, for the report."""
        return {name: value for name, value in self.values.items() if value not in (None, (), False, "", 0)}


def typed(option: Option, given: Any, source: str) -> Any:
    """Return the value of an option in its kind.

    Parameters
    ----------
    given
        A text, or already the value; None when nobody set it.
    source
        Where it was set, for the message ("--facechallenge-rounds").

    Raises
    ------
    OptionError
        It is not of the option's kind.
    """
    if given is None:
        return () if option.kind is OptionKind.LIST else option.default
    if option.kind is OptionKind.FLAG:
        word = str(given).lower()
        if word not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
            raise OptionError(f"{source} must be yes or no, found {given!r}")
        return word in ("true", "1", "yes", "on")
    if option.kind is OptionKind.NUMBER:
        try:
            number = int(given)
        except (TypeError, ValueError):
            number = -1
        if number < 0:
            raise OptionError(f"{source} must be a whole number of at least 0, found {given!r}")
        return number
    if option.kind is OptionKind.LIST:
        several = [given] if isinstance(given, (str, os.PathLike)) else given
        return tuple(os.fspath(each) for each in several)
    if option.kind is OptionKind.OPTIONAL and given is True:
        return GIVEN
    return os.fspath(given) if isinstance(given, os.PathLike) else str(given)
