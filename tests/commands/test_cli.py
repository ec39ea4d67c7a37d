"""``facechallenge``: commands, what is wrong in one sentence, and exit codes."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_facechallenge.cli import main
from pytest_facechallenge.commands import COMMANDS, Command, judge
from pytest_facechallenge.commands.parser import parser_of


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    try:
        code = main(argv)
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, code in (((), 0), (("--help",), 0)):
        found, out, _ = said(capsys, *argv)
        assert found == code
        words = " ".join(out.split())
        assert all(f" {each.name} {each.about}" in words for each in COMMANDS)
    assert said(capsys, "--version")[1].startswith("facechallenge ")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_every_command_has_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: Command, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = said(capsys, command.name, "--help")
    assert code == 0
    assert f"Usage: facechallenge {command.name} [OPTIONS]" in out
    parser = parser_of(command)
    words = " ".join(out.split())
    for action in parser.arguments():
        assert " ".join((action.help or "").replace("%%", "%").split()) in words
    for line in out.splitlines():
        # An example is one line to copy, however narrow the console is.
        assert len(line) <= min(columns, 100) or line.strip() in command.examples
    assert said(capsys, "help", command.name)[1] == out


def test_help_has_colours_where_they_are_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    plain = said(capsys, "judge", "--help")[1]
    assert "\x1b" not in plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    coloured = said(capsys, "judge", "--help")[1]
    assert "\x1b[36m--track TRACK\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert said(capsys, "judge", "--help")[1] == plain


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("judg", "m.onnx"), "no command 'judg'; did you mean 'judge'?"),
        (("judge", "m.onnx", "--trak", "A"), "no option '--trak'; did you mean '--track'?"),
        (("judge", "m.onnx", "--trak=A"), "no option '--trak'; did you mean '--track'?"),
        (("judge", "m.onnx", "--junitxml=j.xml"), "no option '--junitxml'; pytest's own options are given after --"),
        (("model.onnx", "--track", "A"), "write 'facechallenge judge model.onnx --track NAME'"),
        (("--track", "A", "judge"), "no option '--track'; a command comes first"),
        (("--versoin",), "no option '--versoin'; did you mean '--version'?"),
        (("explain", "input", "output"), "'output' is one word too many"),
        (("report",), "REPORT"),
        (("report", "none.json"), "none.json cannot be read"),
        (("judge", "--track", "A"), "nothing to judge"),
        (("explain", "embeding-dim"), "did you mean 'embedding-dim'?"),
        (("explain",), "RULE"),
        (("list", "--", "x"), "takes nothing after --"),
        (("replay", "none.json"), "none.json cannot be read"),
        (("list", "--rules", "no\x1b.toml"), "no\\x1b.toml"),
    ],
)
def test_wrong_invocations(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], message: str) -> None:
    code, out, err = said(capsys, *argv)
    assert (code, out) == (4, "")
    assert err.startswith("facechallenge: error: ")
    assert err.count("\n") == 1
    assert message in err


def test_explain_and_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert "How it is measured" in said(capsys, "explain", "embedding-dim")[1]
    assert "embedding-dim (Rules 1): A <= 512, B <= 1024" in said(capsys, "list")[1]


def test_replay(capsys: pytest.CaptureFixture[str], report: bytes, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(report)
    code, out, _ = said(capsys, "replay", str(tmp_path / "r.json"), "--json", str(tmp_path / "new.json"))
    assert code == 0
    assert "INCOMPLETE" in out
    assert json.loads((tmp_path / "new.json").read_bytes())["submissions"]
    assert said(capsys, "replay", str(tmp_path / "r.json"), "--strict", "--track", "mfr21/B")[0] == 1


def test_judge_takes_every_option_and_passes_the_rest_on() -> None:
    parser = argparse.ArgumentParser()
    judge.add_arguments(parser)
    given = parser.parse_args(
        ["a.onnx", "b", "--track=A", "--track", "B", "--strict", "--facechallenge-timeout", "5", "-n", "2", "-v"]
    )
    given.passed_on = ["-x", "--benchmark-only"]
    command = judge.command_of(given)
    assert command[1:6] == ["-P", "-m", "pytest", "-c", str(judge.SETTINGS)]
    assert "--noconftest" in command
    for word in (
        "--facechallenge-model=a.onnx", "--facechallenge-model=b", "--facechallenge-track=A", "--facechallenge-track=B",
        "--facechallenge-strict", "--facechallenge-timeout=5", "-v",
    ):  # fmt: skip
        assert word in command
    assert command[-2:] == ["-x", "--benchmark-only"]
    assert [command[at + 1] for at, word in enumerate(command) if word == "-p"] == [
        "no:cacheprovider", judge.PLUGIN, "xdist", "benchmark",
    ]  # fmt: skip


def test_explaining_loads_neither_onnx_nor_pytest() -> None:
    code = (
        "import sys; from pytest_facechallenge.cli import main; main(['list']); main(['explain', 'input']); "
        "print([name for name in ('onnx', 'onnxruntime', 'scipy', 'pytest') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
