"""Images embedded by two processes, in shards, are those that one process embeds, to the last digit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_facechallenge import judge
from pytest_facechallenge.analyses.accuracy import entries
from pytest_facechallenge.analyses.accuracy.gather import gather
from pytest_facechallenge.analyses.accuracy.parametrize import build_request
from pytest_facechallenge.analyses.accuracy.request import AccuracyOptions, TestsetSpec
from pytest_facechallenge.analyses.accuracy.run_options import shards
from pytest_facechallenge.cluster.connection import Cluster
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.machines import MachinesError
from pytest_facechallenge.embedding import pipeline
from pytest_facechallenge.engine import sharing
from tests.analyses import accuracy
from tests.analyses.accuracy import world
from tests.analyses.accuracy.test_gather import measure
from tests.analyses.accuracy.test_parametrize import BOOK, rule

RULES = Path(accuracy.__file__).parent / "book.toml"


@pytest.fixture
def folder(tmp_path: Path, machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, and 12 people with 46 images each, which are two chunks; ``local:2`` is the test's cluster."""
    world.model(tmp_path / "model.onnx")
    world.write_folders(tmp_path / "faces", world.people(12, 46, noise=60))

    class Connected:
        def __enter__(self) -> Cluster:
            return machines

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(sharing, "connect", lambda *_: Connected())
    monkeypatch.setattr(sharing, "_SHARDS", 1)
    return tmp_path


def judged(folder: Path, cache: str, **more: Any) -> AccuracyFacts:
    report = judge(
        folder / "model.onnx",
        f"{BOOK.id}/B",
        rulebooks=[RULES],
        testset=[f"mr-all={folder / 'faces'}"],
        cache=folder / cache,
        device="cpu",
        threads=1,
        **more,
    )
    return report.submissions[0].as_facts().need(AccuracyFacts)


def untimed(facts: AccuracyFacts) -> AccuracyFacts:
    """Return facts without seconds, and without what was found in a cache."""
    sets = tuple(msgspec.structs.replace(each, seconds=0.0) for each in facts.sets)
    testsets = tuple(msgspec.structs.replace(each, embedding=None) for each in facts.testsets)
    return msgspec.structs.replace(facts, sets=sets, testsets=testsets)


def embedded(facts: AccuracyFacts) -> tuple[int, int]:
    run = facts.testsets[0].embedding
    assert run is not None
    return run.computed, run.cached


def test_machines_embed_the_same(folder: Path) -> None:
    here = judged(folder, "here")
    assert embedded(here) == (552, 0)
    there = judged(folder, "there", dask="local:2")
    assert embedded(there) == (0, 552)
    assert untimed(there) == untimed(here)
    assert not list((folder / "there").glob("*.json"))


@pytest.mark.slow
def test_a_worker_that_is_killed_changes_nothing(folder: Path, machines: Cluster) -> None:
    killed: list[int] = []

    def kill_one(line: str) -> None:
        if "shards done" in line and not killed:
            killed.append(next(iter(machines._client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    there = judged(folder, "there", dask="local:2", on_progress=kill_one)
    assert killed
    assert embedded(there) == (0, 552)


def test_machines_that_fail_cost_time_only(folder: Path, machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> Iterable[Any]:
        raise MachinesError("the scheduler is gone")

    monkeypatch.setattr(machines, "each", gone)
    lines: list[str] = []
    found = judged(folder, "there", dask="local:2", on_progress=lines.append)
    assert embedded(found) == (552, 0)
    assert any("did not do their part: the scheduler is gone; it is done here" in line for line in lines)


def test_a_cache_is_needed(tmp_path: Path) -> None:
    world.model(tmp_path / "model.onnx")
    world.write_folders(tmp_path / "faces", world.people(2, 2))
    with pytest.raises(ValueError, match="--facechallenge-cache DIR is needed"):
        judge(tmp_path / "model.onnx", "mfr21/A", testset=[f"mr-all={tmp_path / 'faces'}"], dask="local:2")


@pytest.mark.parametrize("count", [1, 2, 3, 11])
def test_shards_are_the_chunks_of_the_whole(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CHUNK", 7)
    monkeypatch.setattr(entries, "CHUNK", 7)
    model = world.model(tmp_path / "model.onnx")
    faces = world.write_folders(tmp_path / "faces", world.people(15, 4, noise=60))
    expected = measure(tmp_path, model, f"mr-all={faces}", cache=str(tmp_path / "whole"))
    request = build_request(
        [(BOOK, rule("accuracy", "B"))], [TestsetSpec.parse(f"mr-all={faces}")], cache=str(tmp_path / "parts")
    )
    for part in shards(AccuracyOptions(request=request), count):
        assert gather(world.context(model, tmp_path / "work", part)) == AccuracyFacts()
    found = measure(tmp_path, model, f"mr-all={faces}", cache=str(tmp_path / "parts"))
    assert embedded(found) == (0, 60)
    assert untimed(found) == untimed(expected)
