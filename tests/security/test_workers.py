"""Workers end with the run that started them, and get of its environment only what they need."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pytest_facechallenge.sandbox import parent as parent_module
from pytest_facechallenge.sandbox.environment import worker_environment
from tests.security.conftest import Runner

START = """
import sys
from pathlib import Path
from pytest_facechallenge.sandbox.process import run_steps
from tests.security.conftest import Runner
run = Runner(Path(sys.argv[1]))
run_steps(run.request(sys.argv[2]), worker=sys.argv[3])
"""


def start(folder: Path, step: str, worker: str) -> subprocess.Popen[bytes]:
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", START, str(folder), step, worker], env={**os.environ, "PYTHONPATH": root}
    )


def workers(folder: Path) -> list[psutil.Process]:
    """Return the living workers of a run."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        if str(folder / "facts" / "worker.request") in command and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def wait_until(true: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_worker_that_still_starts_when_the_run_is_killed_does_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, "environment", "tests.support.late_worker")
    wait_until((tmp_path / "facts" / "late").exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not workers(tmp_path))
    assert not (tmp_path / "work" / "environment.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_worker_at_work_ends_when_the_run_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, "hang", "tests.support.hostile_worker")
    progress = tmp_path / "facts" / "worker.progress"
    wait_until(lambda: progress.is_file() and "thinking" in progress.read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not workers(tmp_path), 10)


@pytest.mark.skipif(os.name != "posix", reason="sessions")
def test_without_help_of_the_system_a_thread_watches(tmp_path: Path) -> None:
    inner = (
        "import sys, time; from pytest_facechallenge.sandbox import parent; parent._ask_linux = lambda: False;"
        "parent.die_with(int(sys.argv[1])); print('watching', flush=True); time.sleep(60)"
    )
    outer = (
        "import os, subprocess, sys, time;"
        f"p = subprocess.Popen([sys.executable, '-c', {inner!r}, str(os.getpid())], start_new_session=True,"
        " stdout=subprocess.PIPE); p.stdout.readline(); print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        watcher = psutil.Process(int(process.stdout.readline()))
        process.kill()
        process.wait()
    wait_until(lambda: not watcher.is_running() or watcher.status() == psutil.STATUS_ZOMBIE, 10)


def test_no_parent_given_is_no_parent_lost() -> None:
    parent_module.die_with(0)
    assert not parent_module.orphaned(os.getppid())


def test_the_worker_s_folders_are_private(run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run("environment")
    found = json.loads((tmp_path / "work" / "environment.json").read_text())
    assert "SECRET_TOKEN" not in found
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        assert Path(found[name]).is_relative_to(tmp_path / "work"), name


def test_what_programs_and_numbers_need_is_passed_on(tmp_path: Path) -> None:
    given = {
        "PATH": "/bin", "LC_ALL": "de_DE.UTF-8", "OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": "1",
        "LD_LIBRARY_PATH": "/opt/cuda/lib64", "NVIDIA_VISIBLE_DEVICES": "all", "AWS_SECRET_ACCESS_KEY": "x",
        "PYTEST_ADDOPTS": "-p evil", "PYTHONSTARTUP": "evil.py", "LD_PRELOAD": "evil.so", "GITHUB_TOKEN": "x",
        "PYTEST_XDIST_WORKER_COUNT": "4", "HOME": str(tmp_path / "user"),
    }  # fmt: skip
    (tmp_path / "user" / ".pyenv").mkdir(parents=True)
    found = worker_environment(tmp_path / "work", given)
    kept = set(given) - {
        "AWS_SECRET_ACCESS_KEY", "PYTEST_ADDOPTS", "PYTHONSTARTUP", "LD_PRELOAD", "GITHUB_TOKEN", "HOME",
    }  # fmt: skip
    assert {name: found.get(name) for name in kept} == {name: given[name] for name in kept}
    assert not {"AWS_SECRET_ACCESS_KEY", "PYTEST_ADDOPTS", "PYTHONSTARTUP", "LD_PRELOAD", "GITHUB_TOKEN"} & set(found)
    assert found["PYENV_ROOT"] == str(tmp_path / "user" / ".pyenv"), "the server's Python may be one of pyenv's"


def test_python_path_never_means_the_folder_of_the_submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = worker_environment(tmp_path / "work", {"PYTHONPATH": os.pathsep.join([".", "", "lib"])})
    paths = found["PYTHONPATH"].split(os.pathsep)
    assert paths[1:] == [str(tmp_path), str(tmp_path / "lib")]
