"""Running misbehaving steps in the sandbox, and leaving nothing behind that other programs cannot remove."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_facechallenge.core.files import remove_tree
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.sandbox.process import Limits, Request, run_steps
from tests.support import hostile_worker

LIMITS = Limits(idle_seconds=20, memory_bytes=1 << 30, file_bytes=16 << 20)


@pytest.fixture(autouse=True)
def nothing_deep_stays(tmp_path: Path) -> Iterator[None]:
    """Remove what a test built: pytest's own way to do it, in a later run, ends where folders are deep."""
    yield
    remove_tree(tmp_path)
    tmp_path.mkdir(exist_ok=True)


class Runner:
    """Runs steps of `hostile_worker`; ``lines`` are those that the user would see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        for name in ("work", "facts"):
            (folder / name).mkdir()

    def request(self, *steps: str) -> Request:
        """Return the request for these steps."""
        return Request(
            source=str(self.folder / "model.onnx"),
            workdir=str(self.folder / "work"),
            facts_dir=str(self.folder / "facts"),
            steps=steps,
            options=RunOptions(),
            limits=LIMITS,
        )

    def __call__(self, *steps: str) -> dict[str, Any]:
        run_steps(self.request(*steps), self.lines.append, worker=hostile_worker.__name__)
        return {name: msgspec.json.decode((self.folder / "facts" / f"{name}.json").read_bytes()) for name in steps}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    return Runner(tmp_path)
