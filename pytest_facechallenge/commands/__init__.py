"""The commands of ``facechallenge``: one module each, one row each. Standard library only until a command runs.

A module has ``add_arguments(parser)`` and ``run(arguments) -> int``, which returns the exit code: 0, 1 for a verdict
that fails the run, 4 for a wrong invocation (pytest's own numbers). A `ValueError` is shown as one sentence and ends
in 4.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes
    ----------
    name, about
        As ``facechallenge --help`` shows them.
    module
        The module in this package.
    passes_on
        Whether it takes the arguments after ``--``.
    """

    name: str
    about: str
    module: str
    passes_on: bool = False

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what the command takes to its parser."""
        cast("Callable[[argparse.ArgumentParser], None]", self._load("add_arguments"))(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the command and return the exit code."""
        return cast("Callable[[argparse.Namespace], int]", self._load("run"))(arguments)

    def _load(self, name: str) -> object:
        return getattr(import_module(f"{__name__}.{self.module}"), name)


COMMANDS: tuple[Command, ...] = (
    Command("judge", "judge submissions; no file of theirs steers the run", "judge", passes_on=True),
    Command("repair", "write a mended copy where the fault is mechanical, proven and judged", "repair"),
    Command("declare", "write a commented declaration to fill in", "declare"),
    Command("audit", "judge many entries, go on where it was stopped, rank them", "audit"),
    Command("replay", "judge the facts of an earlier JSON report again", "replay"),
    Command("explain", "explain a rule: what, why, how it is measured, how to fix it", "explain"),
    Command("doctor", "print what a bug report needs, and what is wrong with this installation", "doctor"),
    Command("list", "show the rulebooks, their tracks and rules", "list_rules"),
)
