"""The pages of docs/: blocks that are marked to be run, commands that exist, reference pages as the code makes them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from docs import make_reference
from pytest_facechallenge.commands import COMMANDS
from pytest_facechallenge.commands.parser import Parser
from pytest_facechallenge.plugin.options import OPTIONS
from pytest_facechallenge.testsets.feature_format import write_features
from tests.support.models import network, save

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", re.DOTALL)
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


def blocks(path: Path, language: str) -> list[str]:
    """Return the blocks of a page that are in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(path: Path) -> list[list[str]]:
    """Return the words of every command of ours in the shell blocks of a page, and in its settings of CI."""
    found = []
    for block in (*blocks(path, "sh"), *map(steps, blocks(path, "yaml"))):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] in (["facechallenge"], ["pytest"]):
                found.append(words)
    return found


def steps(text: str) -> str:
    """Return the commands of ours in settings of CI, a line each."""
    return "\n".join(re.findall(r"^ *- (?:run: )?((?:facechallenge|pytest) .*)$", text, re.MULTILINE))


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


#: The pages whose commands judge a model of one's own.
JUDGED = (
    "README.md", "docs/index.md", "docs/howto/ci.md", "docs/howto/mend.md", "docs/howto/rulebook.md",
    "docs/howto/testsets.md", "docs/howto/masked-sets.md", "docs/howto/audit.md",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("page", JUDGED)
def test_shown_commands_run(page: str, tmp_path: Path) -> None:
    """Each ends with a verdict: 0, or 1 where a rule is broken, or open under strict. No time is taken."""
    furnished(tmp_path, PAGES[page])
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "FACECHALLENGE_LATENCY": "modelled", "FACECHALLENGE_STORE": str(tmp_path / "kept"),
        "FACECHALLENGE_OWN_FOLDER": "yes",
    }  # fmt: skip
    for words in commands(PAGES[page]):
        program = {"facechallenge": "pytest_facechallenge"}.get(words[0], words[0])
        run = [sys.executable, "-m", program, *words[1:]]
        done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), f"{words}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr


def furnished(folder: Path, page: Path) -> None:
    """Put everything into a folder that the pages' commands name."""
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    model = save(network(), folder / "model.onnx")
    with zipfile.ZipFile(folder / "submission.zip", "w") as archive:
        archive.write(model, "model.onnx")
    (folder / "entries").mkdir()
    for name in ("team-a.zip", "team-b.zip"):
        shutil.copy(folder / "submission.zip", folder / "entries" / name)
    table = [text for text in blocks(page, "text") if text.startswith("entry,")]
    (folder / "table.csv").write_text("".join(table), encoding="utf-8")
    for name, text in FILE.findall(page.read_text(encoding="utf-8")):
        (folder / name).write_text(text, encoding="utf-8")
    rng = np.random.default_rng(0)
    for place in ("faces/mask", "faces/nonmask", "masked/mask", "masked/nonmask"):
        for person in range(3):
            for number in range(2):
                path = folder / place / str(person) / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (112, 112, 3), np.uint8)).save(path)
    write_features(folder / "mine.bin", rng.standard_normal((6, 8)).astype(np.float32))
    (folder / "labels.txt").write_text("0\n0\n1\n1\n2\n2\n", encoding="utf-8")


@pytest.mark.parametrize("page", [page for page, path in PAGES.items() if blocks(path, "toml") + blocks(path, "yaml")])
def test_settings_are_well_formed(page: str) -> None:
    assert all(map(tomllib.loads, blocks(PAGES[page], "toml")))
    assert all(map(yaml.safe_load, blocks(PAGES[page], "yaml")))


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_a_test_looks_at(page: str) -> None:
    """Commands and settings are looked at above; text is what commands print; Python is run."""
    text = PAGES[page].read_text(encoding="utf-8")
    fences = re.findall(r"^```(\w*)$", text, re.MULTILINE)
    assert set(fences[::2]) <= {"", "sh", "python", "toml", "yaml", "text"}
    marked = re.findall(r"^<!-- (?:run|try|import: \S+|file: \S+) -->\n```python$", text, re.MULTILINE)
    assert len(marked) == len(blocks(PAGES[page], "python"))


def test_the_pages_of_the_reference_are_those_that_the_code_makes() -> None:
    made = make_reference.pages()
    for name, text in made.items():
        found = (make_reference.FOLDER / name).read_text(encoding="utf-8")
        assert found == text.rstrip("\n") + "\n", f"{name} is old: python -m docs.make_reference"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_screen_of_a_page_is_part_of_one_that_a_run_shows(page: str) -> None:
    """Those of docs/screens are what a run shows, as tests/plugin finds."""
    screen = iter((DOCS / "screens" / "two-broken-rules.txt").read_text(encoding="utf-8").splitlines())
    text = PAGES[page].read_text(encoding="utf-8")
    (block,) = re.findall(r"^```(?:text)?\n(model\.onnx: .*?)^```", text, re.DOTALL | re.MULTILINE)
    assert all(line in screen for line in block.splitlines()), "a line is missing there, or stands elsewhere"


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r"[\w/.-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert named == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
