"""Testsets, labels, feature files and calibrations: regular files only, read as they are or not at all."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pytest_facechallenge.analyses.accuracy.request import Point
from pytest_facechallenge.analyses.feature_file import gather as feature_module
from pytest_facechallenge.analyses.feature_file.request import FeatureFileOptions
from pytest_facechallenge.analyses.latency.calibration import CalibrationError, read
from pytest_facechallenge.core.facts.feature_file import FeatureFileFacts
from pytest_facechallenge.testsets import reader
from pytest_facechallenge.testsets.labels import LabelsError, read_labels
from pytest_facechallenge.testsets.model import ImageFiles, Testset, TestsetError
from pytest_facechallenge.testsets.reader import read_testset
from tests.analyses.accuracy import world
from tests.security.places import feature_file

posix = pytest.mark.skipif(os.name != "posix", reason="pipes")


@posix
@pytest.mark.parametrize("name", ["pairs.txt", "set.bin", "set.csv", "filelist.txt", "set"])
def test_a_pipe_as_testset(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(TestsetError, match="pipe"):
        read_testset(tmp_path / name)


@posix
@pytest.mark.parametrize("name", ["filelist.txt", "manifest.csv", "pairs.txt"])
def test_a_pipe_inside_of_a_testset(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(TestsetError):
        read_testset(tmp_path)


@posix
def test_a_device_as_testset() -> None:
    with pytest.raises(TestsetError, match="a device"):
        read_testset(Path("/dev/zero"))


@posix
def test_a_pipe_or_a_device_as_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").symlink_to("/dev/zero")
    images = ImageFiles(tmp_path, ["a.jpg", "b.jpg"])
    for index, kind in enumerate(("a pipe", "a device")):
        with pytest.raises(OSError, match=kind):
            images.read(index)


@posix
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_a_pipe_or_a_device_as_labels(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "labels.txt")
    with pytest.raises(LabelsError, match="a regular file is expected"):
        read_labels(tmp_path / "labels.txt")


def test_a_testset_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("path,identity\na.jpg,1\n")
    real = reader._READERS["manifest"]

    def slow(target: Path, name: str) -> Testset:
        found = real(target, name)
        path.write_text("path,identity\na.jpg,1\nb.jpg,2\n")
        return found

    monkeypatch.setitem(reader._READERS, "manifest", slow)
    with pytest.raises(TestsetError, match="was written while it was read"):
        read_testset(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [("pairs.txt", ""), ("pairs.txt", "\n\n"), ("manifest.csv", "path,identity\n" + "x" * 200_000 + ",1\n")],
)
def test_lists_that_are_none(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(TestsetError):
        read_testset(tmp_path / name)


def look(folder: Path, path: Path, labels: str = "") -> FeatureFileFacts:
    request = FeatureFileOptions(path=str(path), labels=labels, points=(Point("1e-2", "<"),))
    return feature_module.gather(world.context(folder / "none.onnx", folder / "work", request))


def test_features_that_are_not_finite(tmp_path: Path) -> None:
    rows = np.ones((4, 8), np.float32)
    rows[0, 0], rows[1, 0], rows[2] = np.nan, -np.inf, 0
    rows[3] = np.finfo(np.float32).max
    labels = tmp_path / "labels.txt"
    labels.write_text("a\na\nb\nb\n")
    found = look(tmp_path, feature_file(tmp_path / "f.bin", rows), str(labels))
    assert (found.non_finite_rows, found.zero_rows, found.first_bad_rows) == (2, 1, (0, 1, 2))
    assert found.norms is not None
    assert np.isfinite(found.norms.largest)
    assert found.score is not None
    assert found.score.error


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ((2**31 - 1, 2**31 - 1, -4, 5), "at most 65,536"),
        ((2**31 - 1, 8, 32, 5), "2,147,483,647 rows"),
        ((-1, -1, -4, 5), "above 0"),
        ((1, 2**31 - 1, 4, 5), "at most 65,536"),
        ((0, 0, 0, 0), "above 0"),
    ],
)
def test_headers_that_announce_anything(tmp_path: Path, header: tuple[int, int, int, int], said: str) -> None:
    path = feature_file(tmp_path / "f.bin", np.ones((3, 8), np.float32), header)
    found = look(tmp_path, path)
    assert said in " ".join((found.error, *found.header_problems))
    assert found.rows <= 3


def test_a_wide_sparse_file_needs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "f.bin"
    path.write_bytes(struct.pack("<4i", 4_000, 65_536, 4 * 65_536, 5))
    with path.open("r+b") as file:
        file.truncate(16 + 40 * 65_536 * 4)
    assert feature_module._BLOCK_BYTES // (8 * 65_536) < 100
    assert look(tmp_path, path).zero_rows == 40


def test_features_that_change_while_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = feature_file(tmp_path / "f.bin", np.ones((3, 8), np.float32))
    real = feature_module.look_over

    def slow(facts: FeatureFileFacts, rows: npt.NDArray[np.float32]) -> FeatureFileFacts:
        found = real(facts, rows)
        feature_file(path, np.ones((5, 8), np.float32))
        return found

    monkeypatch.setattr(feature_module, "look_over", slow)
    assert "while it was read" in look(tmp_path, path).error


@posix
def test_a_pipe_as_feature_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f.bin")
    assert "a pipe" in look(tmp_path, tmp_path / "f.bin").error


@posix
@pytest.mark.parametrize("kind", ["pipe", "deep", "large", "device"])
def test_calibrations_of_every_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "c.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_bytes(b"[" * (500_000 if kind == "deep" else 2_000_000))
    with pytest.raises(CalibrationError):
        read(path)
