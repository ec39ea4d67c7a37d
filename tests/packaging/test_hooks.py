"""The hook for pre-commit: what it runs, on which files, as one run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from pytest_facechallenge.commands import COMMANDS
from pytest_facechallenge.commands.parser import parser_of

ROOT = Path(__file__).parents[2]
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))


def test_it_runs_a_command_that_takes_arguments_and_files() -> None:
    program, name = HOOK["entry"].split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert program in project["scripts"]
    command = next(each for each in COMMANDS if each.name == name)
    # pre-commit puts the user's arguments before the names of files.
    given, unknown = parser_of(command).parse_known_intermixed_args(["--track", "mfr21/A", "a.onnx", "b/c.onnx"])
    assert not unknown
    assert (given.facechallenge_track, given.path) == (["mfr21/A"], ["a.onnx", "b/c.onnx"])


def test_it_is_for_models_and_judges_them_in_one_run() -> None:
    found = [
        path for path in ("model.onnx", "a/b.onnx", "model.onnx.py", "onnx", "a.zip") if re.search(HOOK["files"], path)
    ]
    assert found == ["model.onnx", "a/b.onnx"]
    assert HOOK["require_serial"]
