"""Steps gathered in the process of the test: for tests of what is gathered when, not of the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.sandbox import fact_store
from pytest_facechallenge.sandbox.fact_store import read_facts
from pytest_facechallenge.sandbox.process import Request
from pytest_facechallenge.sandbox.worker import _run_step


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Run steps in this process, and return the list that each run of some is added to."""
    calls: list[tuple[str, ...]] = []

    def in_process(request: Request, on_progress: Callable[[str], None], **_named: object) -> None:
        calls.append(request.steps)
        facts_dir = Path(request.facts_dir)
        facts = read_facts(facts_dir)
        context = Context(Path(request.source), Path(request.workdir), facts, request.options)
        for name in request.steps:
            on_progress(name)
            _run_step(name, context, facts, facts_dir)

    monkeypatch.setattr(fact_store, "run_steps", in_process)
    return calls
