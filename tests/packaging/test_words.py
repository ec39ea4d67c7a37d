"""Names are the field's words: what was once called otherwise here is not called so again."""

from __future__ import annotations

import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Words that are no names here, in the singular, each with what the field says.
OLD_WORDS = {
    "picture": "image",
    "dataflow": "implicit batch, backtrace",
    "tower": "parallel branches, weight similarity",
    "twin": "weight similarity, shared weights",
    "echo": "equivariant features",
    "doubt": "caveat",
    "disguise": "pixel recovery, element-wise contraction",
    "disguised": "element-wise contraction",
    "surroundings": "contention",
    "company": "batch composition",
    "wild": "the name of the set",
    "knob": "option",
    "helper": "organisers' checker",
}
#: Names with such a word that stay: those of others, and what is known by that name outside of the code.
ALLOWED = {
    # Modules of onnx.
    "helper": "onnx.helper",
    "numpy_helper": "onnx.numpy_helper",
    # The organisers call their checker onnx_helper.py; the rule has its name.
    "helper_verdict": "a check that rulebooks name",
    # What version 0.1 recorded is read to be compared.
    "from_picture": "a field of version 0.1",
}


def words(name: str) -> Iterator[str]:
    """Yield the words of a name, in the singular: ``TwinFacts`` and ``twin_facts`` have two."""
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name):
        yield re.sub(r"(?<=o)es$|s$", "", word.lower()) if word.lower() not in OLD_WORDS else word.lower()


def files() -> list[Path]:
    """Return what is under version control, or, in a copy without it, what lies there."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    folders = ("pytest_facechallenge", "rules", "evaluation", "tests", "benchmarks", "docs", "examples")
    return [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".toml", ".md")]


def names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each name in a module, and of each string that is nothing but a name."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.NAME:
                yield token.start[0], token.string
            elif token.type == tokenize.STRING and re.fullmatch(r"[\"'][a-z]+(_[a-z]+)+[\"']", token.string):
                yield token.start[0], token.string.strip("\"'")


def test_no_name_is_an_old_word() -> None:
    found = []
    for path in files():
        where = path.relative_to(ROOT).as_posix()
        if set(words(path.stem)) & OLD_WORDS.keys():
            found.append(f"{where}: the name of the file")
        if path.suffix == ".py" and path != Path(__file__):
            found += [
                f"{where}:{line}: {name} ({OLD_WORDS[word]})"
                for line, name in names(path)
                if name not in ALLOWED
                for word in words(name)
                if word in OLD_WORDS
            ]
    assert found == []


@pytest.mark.parametrize("name", ["find_pictures", "TwinFact", "ECHOES", "test_in_other_company", "Knobs"])
def test_an_old_word_is_seen_in_every_form(name: str) -> None:
    assert set(words(name)) & OLD_WORDS.keys()
