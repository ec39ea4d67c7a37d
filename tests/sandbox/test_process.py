"""The sandbox against steps that die, hang, eat memory or leave processes behind."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.sandbox.process import Limits, Request, run_steps
from tests.support import hostile_worker

LIMITS = Limits(idle_seconds=1.5, memory_bytes=300 << 20, file_bytes=16 << 20)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", root)
    (tmp_path / "work").mkdir()
    (tmp_path / "facts").mkdir()

    def go(*steps: str, limits: Limits = LIMITS) -> dict[str, Any]:
        request = Request(
            source=str(tmp_path / "model.onnx"), workdir=str(tmp_path / "work"), facts_dir=str(tmp_path / "facts"),
            steps=steps, options=RunOptions(), limits=limits,
        )  # fmt: skip
        run_steps(request, lines.append, worker=hostile_worker.__name__)
        return {name: msgspec.json.decode((tmp_path / "facts" / f"{name}.json").read_bytes()) for name in steps}

    lines: list[str] = []
    go.lines = lines  # type: ignore[attr-defined]
    return go


def test_death_by_signal_is_told_and_the_other_steps_go_on(run: Any) -> None:
    found = run("segfault", "good")
    failure = found["segfault"]["failure"]
    assert failure["kind"] == "crashed"
    assert "SIGSEGV while loading the model" in failure["message"]
    assert "the runtime's last words" in failure["message"]
    assert "facts" in found["good"]


def test_leaving_with_success_on_the_lips_is_a_crash(run: Any) -> None:
    found = run("leave", "good")
    assert found["leave"]["failure"]["kind"] == "crashed"
    assert "facts" in found["good"]


def test_silence_is_ended(run: Any) -> None:
    found = run("hang", "good")
    assert found["hang"]["failure"]["kind"] == "timeout"
    assert "while thinking" in found["hang"]["failure"]["message"]
    assert "facts" in found["good"]


def test_long_work_that_reports_is_left_alone(run: Any) -> None:
    assert "facts" in run("chatter")["chatter"]
    assert "part 3" in run.lines


def test_memory_is_bounded(run: Any) -> None:
    found = run("gobble", "good")
    assert found["gobble"]["failure"]["kind"] == "memory"
    assert "facts" in found["good"]


def test_error_keeps_its_text(run: Any) -> None:
    failure = run("raise_error")["raise_error"]["failure"]
    assert (failure["kind"], failure["message"]) == ("error", "ValueError: what a library says")


def test_children_are_taken_along(run: Any, tmp_path: Path) -> None:
    run("spawn")
    child = int((tmp_path / "work" / "child").read_text())
    deadline = time.monotonic() + 5
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child of a killed worker lives on"
        time.sleep(0.05)


@pytest.mark.skipif(os.name != "posix", reason="file size limits exist on POSIX only")
def test_files_are_bounded(run: Any, tmp_path: Path) -> None:
    found = run("write_much")
    assert "failure" in found["write_much"]
    assert (tmp_path / "work" / "big").stat().st_size <= LIMITS.file_bytes


def _namespaces_allowed() -> bool:
    import subprocess
    import sys

    code = (
        "import ctypes, sys; libc = ctypes.CDLL(None);"
        "sys.exit(0 if libc.unshare(0x40000000) == 0 or libc.unshare(0x50000000) == 0 else 1)"
    )
    return os.name == "posix" and subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not _namespaces_allowed(), reason="this system does not allow network namespaces")
def test_there_is_no_network(run: Any) -> None:
    failure = run("connect")["connect"]["failure"]
    assert "no network" in failure["message"]
