"""A step says beforehand how much processor time its work honestly takes: the sandbox's limit follows from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_facechallenge.analyses.accuracy import gather as gathering
from pytest_facechallenge.analyses.accuracy.request import (
    AccuracyOptions,
    AccuracyRequest,
    Point,
    SetRequest,
    TestsetRequest,
)
from pytest_facechallenge.analyses.feature_file import gather as features
from pytest_facechallenge.analyses.feature_file.request import FeatureFileOptions
from pytest_facechallenge.embedding.pipeline import MOST_SECONDS_AN_IMAGE
from pytest_facechallenge.testsets.feature_format import write_features
from pytest_facechallenge.verification.cost import most_processor_seconds
from tests.analyses.accuracy import world

POINTS = (Point("1e-2", "<"),)


def test_images_and_pairs_are_announced_before_their_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = world.write_folders(tmp_path / "faces", world.people(6, 2))
    model = world.model(tmp_path / "model.onnx")
    wanted = SetRequest(name="faces", official=False, protocol="all-to-all", points=POINTS)
    request = AccuracyRequest(testsets=(TestsetRequest(name="faces", path=str(faces), sets=(wanted,)),))
    context = world.context(model, tmp_path / "work", AccuracyOptions(request=request))
    announced: list[float] = []
    monkeypatch.setattr(context, "allow", announced.append)
    width = gathering.gather(context).testsets[0].embedding
    assert width is not None
    assert 12 * MOST_SECONDS_AN_IMAGE in announced
    assert most_processor_seconds(12, width.width) in announced


def test_rows_of_a_feature_file_are_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    write_features(tmp_path / "features.bin", rows)
    (tmp_path / "labels.txt").write_text("\n".join(f"person{number // 2}" for number in range(30)))
    options = FeatureFileOptions(
        path=str(tmp_path / "features.bin"), labels=str(tmp_path / "labels.txt"), points=POINTS
    )
    context = world.context(tmp_path / "none.onnx", tmp_path / "work", options)
    announced: list[float] = []
    monkeypatch.setattr(context, "allow", announced.append)
    assert features.gather(context).score is not None
    assert announced == [most_processor_seconds(30, 8)]
