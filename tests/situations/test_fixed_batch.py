"""The plainest export there is: torch's exporter, no dynamic axes. The server repairs it, and so does every step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge import VerdictWord, judge
from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.behaviour import LoadFacts
from pytest_facechallenge.core.facts.interface import InterfaceFacts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.embedding import Embedder
from tests.support.gathering import gather
from tests.support.models import network, save
from tests.support.torch_faces import Face, export


def test_it_is_compliant(tmp_path: Path, untimed: dict[str, Any]) -> None:
    model = export(Face(), tmp_path / "model.onnx", dynamic_axes=None)
    report = judge(model, "untimed/A", **untimed)
    (track,) = report.submissions[0].tracks
    assert track.verdict.open == ()
    assert track.verdict.broken == ()
    assert track.verdict.word is VerdictWord.COMPLIANT


def embedded(embedder: Embedder, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    slot = embedder.slots(1).take()
    slot.host[: len(images)] = images
    embedder.fill_up(slot, len(images))
    return embedder.run(slot, len(images))


def test_every_step_is_given_the_same_file(tmp_path: Path) -> None:
    path = save(network(batch=1), tmp_path / "model.onnx")
    facts = gather(path, tmp_path / "work", {"load"})
    assert facts.need(LoadFacts).repaired
    context = Context(path, tmp_path / "work", facts, RunOptions(threads=1, device="cpu"))
    assert context.runnable_path.name == "batch_made_symbolic.onnx"
    images = np.random.default_rng(0).standard_normal((5, 3, 112, 112)).astype(np.float32)
    embedder = Embedder(context.runnable_path, device="cpu", threads=1)
    assert embedder.fixed_batch == 0
    whole = embedded(embedder, images)
    alone = np.concatenate([embedded(Embedder(path, device="cpu", threads=1), images[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(whole, alone, rtol=1e-4, atol=1e-5)


def test_before_it_is_loaded_the_declared_shape_decides(tmp_path: Path) -> None:
    path = save(network(batch=4), tmp_path / "model.onnx")
    facts = gather(path, tmp_path / "work", {"interface"})
    assert facts.need(InterfaceFacts).fixed_batch() == 4
    without = Facts.of(facts.need(InterfaceFacts), facts.need(PackageFacts))
    context = Context(path, tmp_path / "work", without, RunOptions(threads=1, device="cpu"))
    assert context.runnable_path != context.model_path
