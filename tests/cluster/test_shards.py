"""Images embedded by two processes, in shards, are those that one process embeds, to the last digit."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pytest_facechallenge import judge
from pytest_facechallenge.analyses.accuracy import entries, kept_verification
from pytest_facechallenge.analyses.accuracy.gather import gather
from pytest_facechallenge.analyses.accuracy.parametrize import build_request
from pytest_facechallenge.analyses.accuracy.request import AccuracyOptions, TestsetSpec
from pytest_facechallenge.analyses.accuracy.run_options import shards
from pytest_facechallenge.cluster.connection import Cluster
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.machines import MachinesError
from pytest_facechallenge.embedding import pipeline
from pytest_facechallenge.engine import sharing
from pytest_facechallenge.engine.offered_parts import OfferedParts
from pytest_facechallenge.verification import AllToAll, OperatingPoint, Settings, StateError, impostors, parts, verify
from pytest_facechallenge.verification.kept_parts import PartFiles, features_digest
from pytest_facechallenge.verification.offers import tasks_of
from pytest_facechallenge.verification.on_machines import Description, PartTask, described, scan_there
from tests.analyses import accuracy
from tests.analyses.accuracy import world
from tests.analyses.accuracy.test_gather import measure
from tests.analyses.accuracy.test_parametrize import BOOK, rule
from tests.support.in_process import started as started

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


@pytest.mark.parametrize(("selected", "chunks"), [("mr-all", 2), ("mr-all or children", 3)])
def test_machines_do_what_is_selected_only(folder: Path, selected: str, chunks: int, pytester: pytest.Pytester) -> None:
    """The testset of a rule that -k leaves out is embedded neither here nor there."""
    world.write_folders(folder / "others", world.people(4, 3))
    found = pytester.runpytest_inprocess(
        f"--facechallenge-model={folder / 'model.onnx'}",
        f"--facechallenge-rules={RULES}",
        f"--track={BOOK.id}/B",
        f"--facechallenge-testset=mr-all={folder / 'faces'}",
        f"--facechallenge-testset=children={folder / 'others'}",
        f"--facechallenge-cache={folder / 'there'}",
        "--facechallenge-device=cpu",
        "--facechallenge-dask=local:2",
        "-k",
        f"accuracy and ({selected})",
    )
    assert found.ret == 0, found.stdout.str()
    assert len(list((folder / "there").rglob("*.chunk"))) == chunks


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


def test_a_step_offers_parts_of_a_large_verification_in_the_cache(
    folder: Path, started: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = judged(folder, "here")
    monkeypatch.setattr(kept_verification, "KEPT_FROM_PAIRS", 0)
    monkeypatch.setattr(sharing.Sharing, "_share_out", lambda *_: None)
    there = judged(folder, "there", dask="local:2")
    assert untimed(there) == untimed(here)
    kept = {path.name for path in (folder / "there" / "verifications").glob("*/*")}
    assert {"000000.part", "job.json"} <= kept, "what is done is kept, and was offered"
    assert kept.isdisjoint({"offer.json", "features.f4"})
    judged(folder, "here")
    alone = {path.name for path in (folder / "here" / "verifications").glob("*/*")}
    assert "000000.part" in alone
    assert "job.json" not in alone, "without machines nothing is offered"


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


def test_parts_of_a_verification_are_offered_and_taken(tmp_path: Path, machines: Cluster) -> None:
    """The process that offers scans nothing before others have left half of the parts, and no result differs."""
    rng = np.random.default_rng(3)
    identities = rng.integers(0, 900, 5000)
    x = (rng.standard_normal((5000, 16))[identities] + rng.standard_normal((5000, 16))).astype(np.float32)
    points, settings = [OperatingPoint(far="1e-4")], Settings(resamples=10, workers=1, backend="sgemm")
    expected = verify(x, identities, points, settings=settings)
    scanned: list[int] = []

    def late(*arguments: Any, **named: Any) -> Any:
        if not scanned:
            while len(list(tmp_path.glob("*/*.part"))) < 3:
                time.sleep(0.05)
        scanned.append(arguments[4].number)
        return parts.scan(*arguments, **named)

    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_LEAST_PAIRS", 1 << 20)
        patch.setattr(impostors, "scan", late)
        with OfferedParts(machines, tmp_path, said.append):
            found = verify(x, identities, points, settings=settings, state=tmp_path, offered=True)
    assert found == expected
    assert 0 < len(scanned) < 15
    assert 0 in scanned
    assert len(said) == 1
    assert re.fullmatch(r"verification: \d+ parts done by other machines", said[0])
    assert not [path.name for path in tmp_path.glob("*/*") if path.name in ("offer.json", "features.f4")]


@pytest.mark.parametrize("content", ["", "{}", '{"start": "x", "parts": []}', '{"start": 0, "parts": [[1]]}', "[1]"])
def test_what_is_no_offer_gives_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "offer.json").write_text(content, encoding="ascii")
    assert list(tasks_of(tmp_path / "offer.json")) == []


def test_an_offer_of_other_files_is_refused(tmp_path: Path) -> None:
    x = np.eye(64, dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    kept = PartFiles(tmp_path, "job")
    job = Description(features_digest(x), 5, 1, "sgemm")
    with described(kept, mapped, np.arange(64), AllToAll(), job):
        task = PartTask(str(kept.folder), parts.Part(0, 0, 64, 0, 64), -1.0, -1.0, offered=True)
        with pytest.raises(StateError, match="the features of an offer must lie in it"):
            scan_there(task)
