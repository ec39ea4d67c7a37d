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
    examples
        Command lines for its help.
    """

    name: str
    about: str
    module: str
    passes_on: bool = False
    examples: tuple[str, ...] = ()

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what the command takes to its parser."""
        cast("Callable[[argparse.ArgumentParser], None]", self._load("add_arguments"))(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        """Run the command and return the exit code."""
        return cast("Callable[[argparse.Namespace], int]", self._load("run"))(arguments)

    def _load(self, name: str) -> object:
        return getattr(import_module(f"{__name__}.{self.module}"), name)


#: In the order of the help: what a submission goes through, then what is known without one.
COMMANDS: tuple[Command, ...] = (
    Command(
        "judge",
        "judge submissions; no file of theirs steers the run",
        "judge",
        passes_on=True,
        examples=(
            "facechallenge judge model.onnx --track A",
            "facechallenge judge entries/ --track A --track B --json audit.json -n 4",
            "facechallenge judge model.onnx --track A --strict -- --junitxml judgement.xml",
        ),
    ),
    Command(
        "repair",
        "write a mended copy where the fault is mechanical, proven and judged",
        "repair",
        examples=("facechallenge repair model.onnx --out mended/ --track A",),
    ),
    Command(
        "declare",
        "write a commented declaration to fill in",
        "declare",
        examples=("facechallenge declare --model model.onnx --track A",),
    ),
    Command(
        "audit",
        "judge many entries, go on where it was stopped, rank them",
        "audit",
        examples=("facechallenge audit entries/ --track A --out audit/ -n 2 --declarations table.csv",),
    ),
    Command(
        "fingerprint",
        "show how alike models are to each other and to published networks",
        "fingerprint",
        examples=(
            "facechallenge fingerprint one.onnx other.onnx",
            "facechallenge fingerprint model.onnx --name iresnet50-glint360k --add known.toml",
        ),
    ),
    Command(
        "replay",
        "judge the facts of an earlier JSON report again",
        "replay",
        examples=("facechallenge replay judgement.json --track B",),
    ),
    Command(
        "report",
        "show JSON reports on the console, as a page or as Markdown",
        "report",
        examples=(
            "facechallenge report judgement.json --html judgement.html",
            "facechallenge report round1/*.json --html all.html --markdown all.md",
        ),
    ),
    Command(
        "explain",
        "explain a rule: what, why, how it is measured, how to fix it",
        "explain",
        examples=("facechallenge explain embedding-dim",),
    ),
    Command("doctor", "print what a bug report needs, and what is wrong with this installation", "doctor"),
    Command("list", "show the rulebooks, their tracks and rules", "list_rules"),
    Command(
        "completion",
        "print what makes a shell complete commands, options, tracks and rules",
        "completion",
        examples=(
            'eval "$(facechallenge completion bash)"    # in ~/.bashrc',
            'eval "$(facechallenge completion zsh)"     # in ~/.zshrc, after compinit',
            "facechallenge completion fish | source     # in ~/.config/fish/config.fish",
        ),
    ),
)
