"""Running pytest on tiny submissions: with the sandbox where that matters, else on facts gathered once."""

from __future__ import annotations

from pathlib import Path

import numpy as np  # noqa: F401  # see below
import pytest
import rich.console
import rich.style
import rich.table
import rich.text  # noqa: F401  # see below
import scipy.ndimage
import scipy.optimize
import scipy.spatial
import scipy.stats  # noqa: F401  # pytester forgets what an inner run imported, and these can be loaded only once

from tests.support.models import network, save

#: Rules that need no run of the model: tests of options judge only these, to be quick.
QUICK = "input or package or model-size"


@pytest.fixture(autouse=True)
def _no_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timing has tests of its own; elsewhere the modelled time must do, which runs nothing."""
    monkeypatch.setenv("FACECHALLENGE_LATENCY", "modelled")
    # Tests write their ini file and conftest.py beside the model; what happens otherwise has tests of its own.
    monkeypatch.setenv("FACECHALLENGE_OWN_FOLDER", "yes")


@pytest.fixture
def model(pytester: pytest.Pytester) -> Path:
    """A submission that keeps every rule that can be judged from the file."""
    return save(network(), pytester.path / "model.onnx")


@pytest.fixture
def facts(pytester: pytest.Pytester, report: bytes) -> Path:
    """The report as a file in the test's folder."""
    path = pytester.path / "report.json"
    path.write_bytes(report)
    return path


def assert_ran(result: pytest.RunResult, *, passed: int = 0, failed: int = 0) -> None:
    """Assert how many tests passed and failed, however many rules there are to deselect."""
    found = result.parseoutcomes()
    assert (found.get("passed", 0), found.get("failed", 0)) == (passed, failed), result.outlines


@pytest.fixture(autouse=True)
def _not_on_a_ci_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown on a CI server has tests of its own."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "CI"):
        monkeypatch.delenv(name, raising=False)
