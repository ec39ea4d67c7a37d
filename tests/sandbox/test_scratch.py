"""The private folder of a run is gone afterwards, also that of a run that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pytest_facechallenge.sandbox.scratch import GRACE_SECONDS, LOCK, Scratch, sweep

HOLD = "from pytest_facechallenge.sandbox.scratch import Scratch; s = Scratch(); print(s.path, flush=True); input()"


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def age(folder: Path) -> None:
    os.utime(folder, times=(0, folder.stat().st_mtime - GRACE_SECONDS - 1))


def test_removed_at_the_end(parent: Path) -> None:
    scratch = Scratch()
    (scratch.path / "model.onnx").write_bytes(b"1")
    scratch.remove()
    assert list(parent.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next(parent: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().decode().strip())
        age(left)
        sweep(parent)
        assert (left / LOCK).is_file(), "a run that still lives keeps its folder"
        process.kill()
    sweep(parent)
    assert not left.exists()


def test_folders_of_others_are_left_alone(parent: Path) -> None:
    fresh, foreign = Scratch(), parent / "facechallenge-notes"
    foreign.mkdir()
    age(foreign)
    sweep(parent)
    assert fresh.path.is_dir()
    assert foreign.is_dir()
    fresh.remove()
