"""The doctor prints what a bug report needs, and tells what has to be mended."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_facechallenge.cli import main
from pytest_facechallenge.engine import environment, extensions
from pytest_facechallenge.sandbox.abilities import ABILITIES, abilities


def test_a_good_installation_has_nothing_to_mend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    for word in (
        "versions\n",
        "pytest-facechallenge ",
        "onnxruntime",
        "CPUExecutionProvider",
        "cores",
        "a worker has no",
    ):
        assert word in shown
    assert shown.endswith("nothing to mend\n")


def test_two_runtimes_and_a_broken_extension_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "versions", lambda: {"onnxruntime": "1", "onnxruntime-gpu": "1"})

    def broken() -> None:
        raise extensions.ExtensionError("the checks of the package 'x' cannot be imported")

    monkeypatch.setattr(extensions, "load_checks", broken)
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "to mend\n  both onnxruntime and onnxruntime-gpu are installed" in shown
    assert shown.endswith("the checks of the package 'x' cannot be imported\n")


def test_abilities_are_asked_in_a_process_of_their_own(tmp_path: Path) -> None:
    found = abilities(tmp_path)
    assert set(found) == set(ABILITIES)
    assert found["limits"] is (sys.platform != "win32")
    assert list(tmp_path.iterdir()) == []


def test_no_process_means_no_ability(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    assert not any(abilities(tmp_path).values())
