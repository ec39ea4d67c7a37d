"""The pages of docs/: blocks that are marked to be run, commands that exist, reference pages as the code makes them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from docs import make_reference
from pytest_facechallenge.commands import COMMANDS
from pytest_facechallenge.commands.parser import Parser
from pytest_facechallenge.plugin.options import OPTIONS
from tests.support.models import network, save

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
BLOCK = re.compile(r"<!-- run -->\n```python\n(.*?)```", re.DOTALL)
BLOCKS = {
    f"{path.relative_to(DOCS).with_suffix('').as_posix()}-{number}": (path, code)
    for path in sorted(DOCS.rglob("*.md"))
    for number, code in enumerate(BLOCK.findall(path.read_text(encoding="utf-8")))
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_code_block_runs(name: str, tmp_path: Path) -> None:
    path, code = BLOCKS[name]
    save(network(), tmp_path / "model.onnx")
    for other, text in FILE.findall(path.read_text(encoding="utf-8")):
        (tmp_path / other).write_text(text, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_api_is_shown() -> None:
    assert sum(name.startswith("python-api") for name in BLOCKS) >= 4


def commands(path: Path) -> list[list[str]]:
    """Return the words of every command of ours in the shell blocks of a page."""
    found = []
    for block in SHELL.findall(path.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] in (["facechallenge"], ["pytest"]):
                found.append(words)
    return found


PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))}


@pytest.mark.parametrize("page", [page for page, path in PAGES.items() if commands(path)])
def test_shown_commands_have_the_options_that_they_show(page: str) -> None:
    for words in commands(PAGES[page]):
        ours = words[: words.index("--")] if "--" in words else words
        if words[0] == "pytest":
            known = {option.flag for option in OPTIONS} | {"--track"}
            given = [word.partition("=")[0] for word in ours if word.startswith(("--facechallenge", "--track"))]
            assert set(given) <= known, words
            continue
        command = next((each for each in COMMANDS if each.name == words[1]), None)
        assert command is not None, f"there is no command {words[1]}"
        parser = Parser(prog=words[1])
        command.add_arguments(parser)
        _, unknown = parser.parse_known_intermixed_args(ours[2:])
        assert not unknown, words


def test_the_pages_of_the_reference_are_those_that_the_code_makes() -> None:
    made = make_reference.pages()
    for name, text in made.items():
        found = (make_reference.FOLDER / name).read_text(encoding="utf-8")
        assert found == text.rstrip("\n") + "\n", f"{name} is old: python -m docs.make_reference"


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r"[\w/.-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert named == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
