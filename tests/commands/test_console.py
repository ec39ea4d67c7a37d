"""When a command writes colours: a terminal, or who asks for them; NO_COLOR wins."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pytest_facechallenge.cli import main
from pytest_facechallenge.commands.console import colours


@pytest.mark.parametrize(
    "argv", [("explain", "embedding-dim"), ("list",), ("judge", "--help"), ("completion", "fish"), ("report", "r.json")]
)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_every_console_can_show_every_command(
    argv: tuple[str, ...], encoding: str, report: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.json").write_bytes(report)
    monkeypatch.chdir(tmp_path)
    written = io.BytesIO()
    console = io.TextIOWrapper(written, encoding=encoding)
    monkeypatch.setattr("sys.stdout", console)
    assert main(argv) == 0
    console.flush()
    assert len(written.getvalue().decode(encoding)) > 100


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "terminal", "pipe"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        # Empty is as if it was not set: https://no-color.org, https://force-color.org.
        ({"NO_COLOR": "", "FORCE_COLOR": ""}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "3"}, True, True),
    ],
)
def test_colours(environment: dict[str, str], terminal: bool, pipe: bool) -> None:
    assert colours(Terminal(), environment) is terminal
    assert colours(io.StringIO(), environment) is pipe
