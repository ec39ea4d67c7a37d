"""The Containerfile without a daemon: the wheel from the files that are sent, and what the image runs as."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from pytest_facechallenge.engine.extensions import load_rulebooks
from pytest_facechallenge.plugin.options import OPTIONS

ROOT = Path(__file__).parents[2]


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", "")
    parts = (line.partition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return [(word, rest) for word, _, rest in parts]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``COPY . .`` brings into the image: everything is ignored but what .dockerignore takes back."""
    folder = tmp_path_factory.mktemp("context") / "source"
    folder.mkdir()
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    kept = [each[1:] for each in patterns if each.startswith("!")]
    dropped = [each.removeprefix("**/") for each in patterns[1:] if not each.startswith("!")]
    for path in ROOT.iterdir():
        if not any(fnmatch.fnmatch(path.name, each) for each in kept):
            continue
        if path.is_dir():
            shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns(*dropped))
        else:
            shutil.copy(path, folder)
    return folder


def wheel_of(source: Path, folder: Path) -> set[str]:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_what_is_sent_makes_the_same_wheel(sent: Path, tmp_path: Path) -> None:
    assert wheel_of(sent, tmp_path / "sent") == wheel_of(ROOT, tmp_path / "whole")


def test_nothing_but_the_wheel_reaches_the_image() -> None:
    second = [number for number, (word, _) in enumerate(instructions()) if word == "FROM"][1]
    copied = [rest for word, rest in instructions()[second:] if word in ("COPY", "ADD")]
    assert copied == ["--from=wheel /wheels /wheels"]


def test_the_second_image_is_the_first_with_the_servers_runtime() -> None:
    found = instructions()
    assert ("FROM", "judge AS server") in found
    given = dict(rest.split("=", 1) for word, rest in found if word == "ENV")
    option = next(each for each in OPTIONS if each.name == "server-python")
    assert given[option.variable] == "/opt/server/bin/python"
    made = next(rest for word, rest in found if word == "RUN" and "uv venv" in rest)
    runtime = load_rulebooks(())["mfr21"].runtime
    assert runtime is not None
    assert re.findall(r"onnxruntime==(\S+)", made) == [runtime.onnxruntime]


def test_it_runs_the_command_as_a_user_without_rights() -> None:
    found = dict(instructions())
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    (program,) = json.loads(found["ENTRYPOINT"])
    assert program in scripts
    assert int(found["USER"]) > 0
