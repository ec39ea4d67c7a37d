"""Facts are gathered once, on demand; what builds on a failed step is blocked without a process of its own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.sandbox import fact_store as store_module
from pytest_facechallenge.sandbox.fact_store import FactStore
from pytest_facechallenge.sandbox.process import Limits, Request, run_steps
from tests.support.models import network, save


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The steps of every process that was started."""
    calls: list[tuple[str, ...]] = []

    def counting(request: Request, *rest: object, **named: object) -> None:
        calls.append(request.steps)
        run_steps(request)

    monkeypatch.setattr(store_module, "run_steps", counting)
    return calls


def test_gathered_once_also_by_several_askers(tmp_path: Path, started: list[tuple[str, ...]]) -> None:
    path = save(network(), tmp_path / "model.onnx")
    stores = [FactStore(tmp_path / "run", RunOptions(), Limits()) for _ in range(2)]
    threads = [threading.Thread(target=store.facts, args=(path, ["interface"])) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert started == [("package", "interface")]
    assert stores[0].recorded(path).need(InterfaceFacts).nodes == 10


def test_planned_steps_of_the_stage_come_along(tmp_path: Path, started: list[tuple[str, ...]]) -> None:
    path = save(network(), tmp_path / "model.onnx")
    store = FactStore(tmp_path / "run", RunOptions(), Limits())
    store.plan(path, ["interface", "declaration", "batch"])
    store.facts(path, ["package"])
    assert started == [("package", "declaration", "interface")]


def test_what_builds_on_a_failure_is_blocked(tmp_path: Path, started: list[tuple[str, ...]]) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    facts = FactStore(tmp_path / "run", RunOptions(), Limits()).facts(path, ["batch"])
    assert started == [("package", "interface")]
    assert facts.get(PackageFacts) is not None
    assert facts.failures["interface"].kind == "error"
    assert (facts.failures["batch"].kind, facts.failures["batch"].because_of) == ("blocked", "interface")


def test_nothing_is_written_beside_the_submission(tmp_path: Path) -> None:
    path = save(network(batch=1), tmp_path / "entry" / "model.onnx")
    FactStore(tmp_path / "run", RunOptions(), Limits()).facts(path, ["batch", "repeat"])
    assert [each.name for each in path.parent.iterdir()] == ["model.onnx"]
