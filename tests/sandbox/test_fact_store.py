"""Facts are gathered once, on demand; what builds on a failed step is blocked without a process of its own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pytest_facechallenge.core.facts.behaviour import LoadFacts
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


def test_the_copy_goes_with_the_last_planned_step(tmp_path: Path) -> None:
    paths = [save(network(seed=seed), tmp_path / f"{seed}.onnx") for seed in (1, 2)]
    stores = [FactStore(tmp_path / "run", RunOptions(), Limits()) for _ in range(2)]  # as in two processes
    for store in stores:
        for path in paths:
            store.plan(path, ["interface", "load"])
    work = [stores[0].facts_dir(path) / "work" for path in paths]
    stores[0].facts(paths[0], ["package"])
    stores[0].facts(paths[1], ["package"])
    assert [each.exists() for each in work] == [True, True]
    stores[1].facts(paths[0], ["load"])
    assert [each.exists() for each in work] == [False, True]
    assert not stores[0].facts(paths[0], ["interface", "load"]).failures
    assert stores[0].changed(paths[0]) == ""


def test_no_two_submissions_share_a_folder(tmp_path: Path) -> None:
    store = FactStore(tmp_path / "run", RunOptions(), Limits())
    assert len(bytes.fromhex(store.facts_dir(tmp_path / "model.onnx").name)) >= 16


def test_the_copy_of_what_nothing_is_planned_for_stays(tmp_path: Path) -> None:
    path = save(network(), tmp_path / "model.onnx")
    store = FactStore(tmp_path / "run", RunOptions(), Limits())
    store.facts(path, ["interface"])
    assert (store.facts_dir(path) / "work").exists()


def test_a_step_that_is_asked_for_late_copies_the_submission_again(tmp_path: Path) -> None:
    path = save(network(), tmp_path / "model.onnx")
    store = FactStore(tmp_path / "run", RunOptions(), Limits())
    store.plan(path, ["interface"])
    store.facts(path, ["interface"])
    assert store.facts(path, ["load"]).get(LoadFacts) is not None
    assert not (store.facts_dir(path) / "again").exists()


@pytest.mark.parametrize("harm", ["written", "removed"])
def test_another_submission_is_not_taken_for_the_first(tmp_path: Path, harm: str) -> None:
    path = save(network(), tmp_path / "model.onnx")
    store = FactStore(tmp_path / "run", RunOptions(), Limits())
    store.plan(path, ["interface"])
    store.facts(path, ["interface"])
    path.unlink()
    if harm == "written":
        save(network(seed=1), path)
    facts = store.facts(path, ["load"])
    assert facts.get(LoadFacts) is None
    assert (facts.failures["load"].kind, "no longer" in facts.failures["load"].message) == ("machine", True)
