"""What several folders of tests use."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.models import network, save


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
    assert json.loads(data)["submissions"][0]["failures"] == {}
    return data
