"""Completion: each shell reads its script, and completes what the parsers and rulebooks have."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_facechallenge.cli import main
from pytest_facechallenge.commands import COMMANDS
from pytest_facechallenge.commands.parser import parser_of
from pytest_facechallenge.commands.shells import SHELLS, fish, zsh
from pytest_facechallenge.commands.words import Completed, Kind, Known, Switch, Values, completed

#: What follows "facechallenge", and what the last word may become: all of it, and nothing that begins otherwise.
CASES: tuple[tuple[tuple[str, ...], set[str]], ...] = (
    (("rep",), {"repair", "replay", "report"}),
    (("judge", "--tr"), {"--track"}),
    (("judge", "--track", "mfr21/"), {"mfr21/A", "mfr21/B"}),
    (("judge", "--device", "c"), {"cpu", "cuda"}),
    (("judge", "--latency", "m"), {"measured", "modelled"}),
    (("explain", "embed"), {"embedding-dim"}),
    (("completion", ""), {"bash", "zsh", "fish"}),
    (("report", "my"), {"my report.json"}),
    (("judge", "model.onnx", "--", "my"), {"my report.json"}),
    (("judge", "--threads", ""), set()),
)
#: Stands for zsh's own functions: says which rows they were given.
ZSH_STAND_IN = "compdef() { :; }; _files() { print files; }; _describe() { print -l $commands; }\n"


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Path:
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    assert main(["completion", shell]) == 0
    path = tmp_path / f"script.{shell}"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    (tmp_path / "my report.json").touch()
    return path


def said(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash(script: Path, tmp_path: Path) -> None:
    code = (
        'source "$1"; shift\n'
        'for line in "$@"; do IFS="|" read -ra COMP_WORDS <<< "facechallenge|$line"; '
        '[[ $line == *"|" ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
        "_facechallenge; printf '%s\\n' \"${COMPREPLY[@]}\" '--end'; done"
    )
    lines = ["|".join(words) for words, _ in CASES] + ["judge|--track|=|mfr21/"]
    out = said("bash", "--norc", "-c", code, "bash", str(script), *lines, folder=tmp_path)
    found = [set(part.split("\n")) - {""} for part in out.split("--end\n")[:-1]]
    assert found == [expected for _, expected in CASES] + [{"mfr21/A", "mfr21/B"}]


@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish(script: Path, tmp_path: Path) -> None:
    code = "source $argv[1]; for line in $argv[2..]; complete -C $line; echo --end; end"
    lines = [" ".join(("facechallenge", *words)) for words, _ in CASES]
    out = said("fish", "--no-config", "-c", code, str(script), *lines, folder=tmp_path)
    found = [{line.partition("\t")[0] for line in part.splitlines()} for part in out.split("--end\n")[:-1]]
    for (words, expected), seen in zip(CASES, found, strict=True):
        assert {each.replace("\\ ", " ") for each in seen} >= expected, words


@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh(script: Path, tmp_path: Path) -> None:
    code = f'{ZSH_STAND_IN}_arguments() {{ print -l -- "$@"; }}\nsource "$1"\n'
    calls = "".join(
        f"words=(facechallenge {' '.join(words)}); CURRENT={len(words) + 1}; _facechallenge; print -- --end\n"
        for words in (("x",), ("judge", "x"), ("explain", "x"), ("judge", "m", "--", "x"))
    )
    out = said("zsh", "-f", "-c", code + calls, "zsh", str(script), folder=tmp_path)
    commands, judge, explain, passed_on = (part.splitlines() for part in out.split("--end\n")[:-1])
    assert [line.partition(":")[0] for line in commands] == [each.name for each in COMMANDS]
    assert "*--device=[where to run the model]:value:(auto cpu cuda tensorrt)" in judge
    assert "*--json=[write every fact, outcome and verdict to FILE]:value:_files" in judge
    assert judge[-1] == "*:judge:_files"
    assert " embedding-dim " in explain[-1]
    assert passed_on == ["files"]


def test_every_option_of_every_command_is_completed() -> None:
    known = Known(tracks=("mfr21/A",), rules=("input",))
    for command in COMMANDS:
        arguments = parser_of(command).arguments()
        found = {name for each in completed(command, arguments, known).switches for name in each.spellings}
        spelt = {name for action in arguments for name in action.option_strings}
        assert found == {name for name in spelt if not name.startswith("--facechallenge-")}


@pytest.mark.parametrize("shell", SHELLS)
def test_names_of_a_strangers_rulebook_are_text(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    evil = "a'$(touch evidence)`touch evidence`"
    switch = Switch(("--track",), evil, Values(Kind.WORDS, (evil,)))
    script = tmp_path / "script"
    script.write_text(SHELLS[shell]([Completed("judge", evil, (switch,), None)]), encoding="utf-8")
    calls = {
        "bash": "source ./script; COMP_WORDS=(facechallenge judge --track ''); COMP_CWORD=3; _facechallenge; "
        "printf '%s\\n' \"${COMPREPLY[@]}\"",
        "fish": "source ./script; complete -C 'facechallenge judge --track '",
        # As zsh's own function does, the stand-in evaluates the list of words behind the last colon.
        "zsh": f"{ZSH_STAND_IN}_arguments() {{ eval ws\\=${{@[-1]##*:}}; print -l -- $ws; }}\nsource ./script; "
        "words=(facechallenge judge x); CURRENT=3; _facechallenge",
    }
    flags = {"bash": "--norc", "fish": "--no-config", "zsh": "-f"}
    out = said(shell, flags[shell], "-c", calls[shell], folder=tmp_path)
    # bash has a word for each part of a name with blanks; rulebooks have none such.
    assert "$(touch evidence)" in out.replace("\n", " ")
    assert not (tmp_path / "evidence").exists()


def test_an_unknown_shell_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bsh"]) == 4
    assert "did you mean 'bash'?" in capsys.readouterr().err


def test_scripts_hold_no_python_at_a_key_press() -> None:
    assert "python" not in (fish([]) + zsh([])).lower()
