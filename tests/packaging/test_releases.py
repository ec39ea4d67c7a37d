"""What a release is made of: one version everywhere, a changelog of fragments, files of constraints."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from pytest_facechallenge import __version__

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = SETTINGS["project"]
#: By name, those of another platform left out.
NEEDED = {
    each.name: each
    for each in map(Requirement, PROJECT["dependencies"])
    if each.marker is None or each.marker.evaluate({"sys_platform": "linux", "platform_machine": "x86_64"})
}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_place_that_says_the_version_says_the_same() -> None:
    said = {
        "pyproject.toml": PROJECT["version"],
        "CITATION.cff": re.findall(r"^version: (.+)$", text("CITATION.cff"), re.MULTILINE)[0],
        "CHANGELOG.md": re.findall(r"^## (\S+)", text("CHANGELOG.md"), re.MULTILINE)[0],
        "the example of a workflow": re.findall(
            r"pytest-facechallenge@v(\S+)", text("examples/github-workflow/judge-submission.yml")
        )[0],
    }
    assert said == dict.fromkeys(said, __version__)


def constraints(name: str) -> dict[str, Version]:
    """Return the versions of a file of constraints that are for this Python."""
    found = [Requirement(line) for line in text(name).splitlines() if line and not line.startswith("#")]
    assert all(len(each.specifier) == 1 and str(each.specifier).startswith("==") for each in found)
    here = [each for each in found if each.marker is None or each.marker.evaluate()]
    return {each.name: Version(str(each.specifier).removeprefix("==")) for each in here}


def test_the_oldest_versions_are_the_bounds() -> None:
    bounds = {name: Version(next(iter(each.specifier)).version) for name, each in NEEDED.items()}
    assert constraints(".ci/oldest.txt") == bounds


def test_the_newest_versions_are_of_all_that_is_needed_and_allowed() -> None:
    found = constraints(".ci/newest.txt")
    assert set(found) == set(NEEDED)
    assert all(NEEDED[name].specifier.contains(version) for name, version in found.items())


def test_the_matrix_runs_the_commands_of_the_readme_on_every_python() -> None:
    command = [sys.executable, ".ci/matrix.py", "--list", "--tests", "tests/core"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    first, second = [line for line in text("README.md").splitlines() if line.startswith("python3 -m venv ")]
    judged = first.partition("pytest ")[2]
    assert said.count(judged) == said.count(f"pytest {second.partition('pytest ')[2]} ") == 5
    assert said.count(" -c .ci/constraints.txt -c .ci/oldest.txt -e ") == 1
    pythons = {line.rpartition(" :: ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line}
    assert pythons == set(re.findall(r"^(\S+)-newest: ", said, re.MULTILINE))
    assert set(re.findall(r"-c (\S+) dist/the.whl", said)) == {".ci/newest.txt", ".ci/oldest.txt"}


def test_ci_tries_every_environment_of_the_matrix() -> None:
    found = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]["packages"]["strategy"]["matrix"]["include"]
    listed = subprocess.run(
        [sys.executable, ".ci/matrix.py", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert [each["environment"] for each in found] == re.findall(r"^(\S+): ", listed, re.MULTILINE)
    assert all(each["environment"].startswith(f"{each['python']}-") for each in found)


KINDS = {kind["directory"] for kind in SETTINGS["tool"]["towncrier"]["type"]}


def test_a_fragment_of_the_changelog_has_a_kind_and_a_name() -> None:
    found = [path.name for path in (ROOT / "changelog.d").iterdir() if path.name not in ("README.md", ".gitignore")]
    assert [name for name in found if not re.fullmatch(rf"(\d+|\+[a-z-]+)\.({'|'.join(KINDS)})\.md", name)] == []


def test_fragments_become_the_part_of_a_release(tmp_path: Path) -> None:
    beside = Path(sys.executable).with_name("towncrier")
    program = str(beside) if beside.exists() else shutil.which("towncrier")
    if program is None:
        pytest.skip("needs towncrier")
    for name in ("pyproject.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "changelog.d", tmp_path / "changelog.d")
    for kind in KINDS:
        (tmp_path / "changelog.d" / f"+new-{kind}.{kind}.md").write_text(f"News of the kind {kind}.\n")
    command = [program, "build", "--yes", "--version", "99.0", "--date", "2026-12-01"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    made = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    old = text("CHANGELOG.md").partition("## ")
    new = made.partition(old[1] + old[2])[0]
    assert new.startswith(f"{old[0]}## 99.0 (2026-12-01)\n")
    assert all(f"\n- News of the kind {kind}.\n" in new for kind in KINDS)
    assert made.endswith(old[2]), "what stood there stays"
