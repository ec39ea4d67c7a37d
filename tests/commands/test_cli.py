"""``facechallenge``: commands, what is wrong in one sentence, and exit codes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_facechallenge.cli import main
from pytest_facechallenge.commands import COMMANDS, judge


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
        assert all(f"  {each.name} " in out and each.about in out for each in COMMANDS)
    assert said(capsys, "--version")[1].startswith("facechallenge ")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: object) -> None:
    code, out, _ = said(capsys, getattr(command, "name", ""), "--help")
    assert code == 0
    assert "usage: facechallenge" in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("judg", "m.onnx"), "no command 'judg'; did you mean 'judge'?"),
        (("judge", "m.onnx", "--trak", "A"), "no option '--trak'; did you mean '--track'?"),
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
