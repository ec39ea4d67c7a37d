"""What several folders of tests use."""

from __future__ import annotations

import compileall
import gc
import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest

import pytest_facechallenge
from pytest_facechallenge.checks.registry import CHECKS
from pytest_facechallenge.sandbox import process
from tests.support.models import network, save
from tests.support.worker_server import served_workers

#: What runs of pytest inside of tests do without, since it takes longer than what they test: the plugin of hypothesis
#: loads all of hypothesis at the end of every run, and where no bytecode may be written each run would look for
#: assertions in every module of the package anew.
LIGHT = "-p no:hypothesispytest --assert=plain"


def pytest_collection_finish() -> None:
    """Leave what was collected out of every later search for garbage: it stays until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(autouse=True, scope="session")
def _light_runs_inside_of_tests() -> Iterator[None]:
    """Let processes that tests start be quick; a worker writes no bytecode, so each would compile the package anew."""
    for folder in pytest_facechallenge.__path__:
        compileall.compile_dir(folder, quiet=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_ADDOPTS", LIGHT)
        yield


@pytest.fixture(autouse=True, scope="session")
def _served_workers() -> Iterator[None]:
    """Let workers of the sandbox be forked where that is safe; see `started_workers`."""
    if sys.platform != "linux":
        yield
        return
    with served_workers():
        yield


@pytest.fixture
def started_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers start as they do for users: for tests of how they start, and of what they inherit."""
    monkeypatch.setattr(process, "subprocess", subprocess)


@pytest.fixture(scope="session")
def _whole_package() -> None:
    """Load all modules before pytester looks at what is loaded: it makes a run forget whatever is loaded later.

    A class that is loaded anew is another class than the one that modules hold which were there before.
    """
    for module in pkgutil.walk_packages(pytest_facechallenge.__path__, f"{pytest_facechallenge.__name__}."):
        if not module.name.endswith(".__main__"):
            import_module(module.name)


@pytest.fixture
def pytester(
    _whole_package: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.Pytester]:
    """Runs of pytest that start quickly, and leave no checks of theirs behind."""
    monkeypatch.setenv("PYTEST_ADDOPTS", LIGHT)  # pytester has taken it away
    own = dict(CHECKS)
    yield pytester
    CHECKS.clear()
    CHECKS.update(own)


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A JSON report with the facts of a good submission, gathered once for the whole test run."""
    folder = tmp_path_factory.mktemp("report")
    save(network(), folder / "model.onnx")
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {**os.environ, "FACECHALLENGE_LATENCY": "modelled", "FACECHALLENGE_OWN_FOLDER": "yes"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--facechallenge-model=model.onnx",
        "--track=A",
        "--facechallenge-json=r.json",
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    data = (folder / "r.json").read_bytes()
    assert not list(folder.glob(".r.json*")), "written beside it first, and left there"
    assert json.loads(data)["submissions"][0]["failures"] == {}
    return data
