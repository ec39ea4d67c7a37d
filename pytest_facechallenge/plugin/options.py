"""The settings of a run: command line over environment over ini file, into one frozen `Settings`.

`OPTIONS` is the only list of options: the command line, the ini keys, the environment variables and the documentation
are made from it. Standard library only, since pytest loads this in every run.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes
    ----------
    name
        "model" gives ``--facechallenge-model``, the ini key ``facechallenge_model`` and the environment variable
        ``FACECHALLENGE_MODEL``.
    kind
        "flag" (a switch), "text" (one value), "list" (repeatable), "number" or "optional" (a switch that may carry a
        value).
    help
        For ``pytest --help``.
    metavar
        Placeholder of the value.
    default
        The value when nobody set it.
    """

    name: str
    kind: str
    help: str
    metavar: str = ""
    default: Any = None

    @property
    def flag(self) -> str:
        """The command-line option."""
        return f"--facechallenge-{self.name}"

    @property
    def ini(self) -> str:
        """The ini key."""
        return f"facechallenge_{self.name.replace('-', '_')}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return self.ini.upper()


#: The value of an "optional" option that was given without a value.
GIVEN = "given"

OPTIONS: tuple[Option, ...] = (
    Option("model", "list", "submission to judge: a .onnx file, a zip, a folder or a glob; repeatable", "PATH"),
    Option("track", "list", "track to judge it on, 'A' or 'mfr21/A'; repeatable; --track is an alias", "TRACK"),
    Option("rules", "list", "a rulebook of your own, beside the built-in ones; repeatable", "FILE"),
    Option("facts", "list", "judge the facts of an earlier JSON report instead of a model; repeatable", "FILE"),
    Option("json", "text", "write every fact, outcome and verdict to FILE", "FILE"),
    Option("list", "flag", "show rulebooks, tracks and rules, and exit"),
    Option("explain", "text", "explain one rule (what, why, how it is measured, how to fix it), and exit", "RULE"),
    Option("strict", "flag", "fail the run unless every verdict is COMPLIANT"),
    Option("declaration", "text", "what only people can state (default: declaration.toml beside the model)", "FILE"),
    Option("server-python", "text", "Python interpreter that has the evaluation server's onnxruntime", "PYTHON"),
    Option("testset", "list", "testset to measure accuracy on; repeatable", "[NAME=]PATH"),
    Option("min-tar", "list", "least TAR on a set (0..1, or the name of a published row); repeatable", "NAME=VALUE"),
    Option("features", "text", "LFR19 feature file to judge, alone or beside the model", "FILE"),
    Option("labels", "text", "identities of the feature file's rows, one a line", "FILE"),
    Option("write-features", "text", "write the testset's features in the official LFR19 format", "FILE"),
    Option(
        "cache",
        "text",
        "folder that keeps embeddings and calibrations (default: calibrations, in the user's cache)",
        "DIR",
    ),
    Option("flops-by-layer", "flag", "show the FLOPs of every layer after the summary"),
    Option(
        "flops-crosscheck", "optional", "count again with fvcore, also the torch module that FACTORY makes", "FACTORY"
    ),
    Option("device", "text", "where to run the model: auto, cpu, cuda, tensorrt", "DEVICE", "auto"),
    Option("threads", "number", "threads of the runtime (default: it chooses)", "N", 0),
    Option("latency", "text", "evidence of the inference time: auto, measured, scaled, modelled", "GRADE", "auto"),
    Option("rounds", "number", "timed runs of a submission, a multiple of 50 (default: 50)", "N", 50),
    Option("calibration", "text", "file of such times: used when it exists, else written", "FILE"),
    Option("profile", "flag", "show where the time goes, node by node"),
    Option("timeout", "number", "seconds a sandboxed step may go without progress (default: 120)", "SECONDS", 120),
    Option("memory", "number", "MiB a sandboxed step may use (default: 8192, at most 3/4 of the machine's)", "MIB", 0),
)


class SettingsError(ValueError):
    """A setting that cannot be used; the message says which, where it was set, and what is allowed."""


@dataclass(frozen=True)
class Settings:
    """What the user asked for, resolved; paths are as given, relative to the invocation folder."""

    values: Mapping[str, Any]
    invocation_dir: Path

    def text(self, name: str) -> str:
        """Return a text setting, "" when it is not set."""
        return str(self.values[name] or "")

    def flag(self, name: str) -> bool:
        """Return a switch."""
        return bool(self.values[name])

    def many(self, name: str) -> tuple[str, ...]:
        """Return a repeatable setting."""
        return tuple(self.values[name] or ())

    def number(self, name: str) -> int:
        """Return a whole-number setting."""
        return int(self.values[name])

    def path(self, text: str) -> Path:
        """Return the absolute path of a path setting."""
        return Path(os.path.normpath(self.invocation_dir / text))

    @property
    def active(self) -> bool:
        """Whether the run judges anything at all."""
        return bool(self.many("model") or self.many("facts") or self.text("features"))


def add_options(parser: pytest.Parser) -> None:
    """Add every option to pytest's command line and ini keys."""
    group = parser.getgroup("facechallenge", "judge face-recognition challenge submissions")
    for option in OPTIONS:
        keywords: dict[str, Any] = {"dest": option.ini, "help": option.help, "default": None}
        if option.kind == "flag":
            keywords |= {"action": "store_true"}
        elif option.kind == "optional":
            keywords |= {"nargs": "?", "const": GIVEN, "metavar": option.metavar}
        else:
            keywords |= {"action": "append" if option.kind == "list" else "store", "metavar": option.metavar}
        group.addoption(option.flag, **keywords)
        ini_type: Literal["linelist", "string"] = "linelist" if option.kind == "list" else "string"
        parser.addini(option.ini, f"the same as {option.flag}", type=ini_type, default=None)


def add_track_alias(parser: pytest.Parser) -> bool:
    """Add ``--track`` as an alias; return False when another plugin owns that name."""
    _, unknown = parser.parse_known_and_unknown_args(["--track=probe"])
    if not unknown:
        return False
    group = parser.getgroup("facechallenge")
    alias = "alias of --facechallenge-track"
    group.addoption("--track", dest="facechallenge_track", action="append", metavar="TRACK", help=alias)
    return True


def resolve(config: pytest.Config, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read every option: command line over environment over ini over default.

    Raises
    ------
    SettingsError
        A value that cannot be used.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        given = getattr(config.option, option.ini, None)
        source = option.flag
        if given is None and environment.get(option.variable):
            given, source = environment[option.variable], f"the environment variable {option.variable}"
            if option.kind == "list":
                given = shlex.split(given)
        if given is None:
            given, source = config.getini(option.ini), f"the ini key {option.ini}"
            given = None if given in ("", []) else given
        values[option.name] = _typed(option, given, source)
    return Settings(values, config.invocation_params.dir)


def _typed(option: Option, given: Any, source: str) -> Any:
    if given is None:
        return () if option.kind == "list" else option.default
    if option.kind == "flag":
        word = str(given).lower()
        if word not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
            raise SettingsError(f"{source} must be yes or no, found {given!r}")
        return word in ("true", "1", "yes", "on")
    if option.kind == "number":
        try:
            number = int(given)
        except ValueError:
            number = -1
        if number < 0:
            raise SettingsError(f"{source} must be a whole number of at least 0, found {given!r}")
        return number
    return tuple(given) if option.kind == "list" else str(given)
