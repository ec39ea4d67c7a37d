"""``facechallenge declare`` and --facechallenge-write-declaration: a template that is told what is known."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from pytest_facechallenge.cli import main
from pytest_facechallenge.core.declaration import declaration_template, read_declaration
from pytest_facechallenge.engine import declaring
from tests.support.models import network, save


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def declared(path: Path) -> dict[str, str]:
    return read_declaration(tomllib.loads(path.read_text(encoding="utf-8"))).statements()


def test_the_lines_that_are_told_are_in_the_template() -> None:
    for line in (declaring._DATASET, declaring._STATED, declaring._WHEN):
        assert declaration_template().count(line) == 1


def test_alone_it_is_the_template(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["declare"]) == 0
    assert "declaration.toml was written: fill it in" in capsys.readouterr().out
    assert (tmp_path / "declaration.toml").read_text(encoding="utf-8") == declaration_template()
    assert declared(tmp_path / "declaration.toml") == {"purpose": "practice"}


@pytest.mark.parametrize(("track", "name"), [("A", "MS1M-V3"), ("B", "Glint360K")])
def test_it_names_what_the_track_asks_for(tmp_path: Path, track: str, name: str) -> None:
    assert main(["declare", "mine.toml", "--track", track]) == 0
    text = (tmp_path / "mine.toml").read_text(encoding="utf-8")
    assert f"mfr21/{track} asks for {name}" in text
    assert f'\n#dataset = "{name}"\n' in text
    assert "mfr21 takes entries from 2021-06-01T00:00:00-07:00 to 2021-10-01T23:59:59-07:00." in text
    assert "mfr21 takes 3 entries a day." in text
    assert declared(tmp_path / "mine.toml") == {"purpose": "practice"}
    stated = read_declaration(tomllib.loads(re.sub(r"^#(?=\w+ = )", "", text, flags=re.MULTILINE)))
    assert stated.training.dataset == name


def test_it_lies_where_it_is_looked_for(tmp_path: Path) -> None:
    model = save(network(), tmp_path / "alone" / "net.onnx")
    assert main(["declare", "--model", str(model)]) == 0
    text = (model.parent / "declaration.toml").read_text(encoding="utf-8")
    size, digest = model.stat().st_size, hashlib.sha256(model.read_bytes()).hexdigest()
    assert text.startswith(f"# For net.onnx, {size} bytes, SHA-256 {digest}.\n")
    save(network(), tmp_path / "two" / "a.onnx")
    save(network(), tmp_path / "two" / "b.onnx")
    assert main(["declare", "--model", "two/a.onnx"]) == 0
    assert declared(tmp_path / "two" / "a.declaration.toml") == {"purpose": "practice"}
    assert not (tmp_path / "two" / "declaration.toml").exists()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "declaration.toml").write_text("mine")
    assert main(["declare"]) == 4
    assert "is there already and is not overwritten" in capsys.readouterr().err
    assert (tmp_path / "declaration.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "none.onnx"), "none.onnx"),
        (("--track", "C"), "there is no track 'C'"),
        (("no/declaration.toml",), "cannot be written"),
    ],
)
def test_wrong_invocations(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str) -> None:
    assert main(["declare", *arguments]) == 4
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_several_submissions_have_several_declarations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        save(network(), tmp_path / "entries" / f"{name}.onnx")
    assert main(["declare", "--model", "entries"]) == 4
    assert "a declaration is about one submission, entries names 2" in capsys.readouterr().err


def test_the_option_of_pytest_is_told_as_well(pytester: pytest.Pytester) -> None:
    save(network(), pytester.path / "model.onnx")
    done = pytester.runpytest(
        "--facechallenge-write-declaration=mine.toml", "--facechallenge-model=model.onnx", "--track=B"
    )
    assert done.ret == 0
    text = (pytester.path / "mine.toml").read_text(encoding="utf-8")
    assert text.startswith("# For model.onnx, ")
    assert "mfr21/B asks for Glint360K" in text
