"""Stored reference times: kept, found again, refused when they are another machine's."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from pytest_facechallenge.analyses.latency.__main__ import main
from pytest_facechallenge.analyses.latency.calibration import (
    Calibration,
    CalibrationError,
    default_folder,
    path_for,
    read,
    show,
    usable,
    write,
)
from pytest_facechallenge.core.facts.latency import ReferencePoint

from .nets import CPU


def made(**changes: object) -> Calibration:
    points = tuple(
        ReferencePoint(name=f"iresnet{n}", ms=ms, spread=0.01, rounds=50) for n, ms in ((34, 66.0), (18, 40.0))
    )
    return msgspec.structs.replace(Calibration.of(CPU, points, 0.1), **changes)


def test_what_is_written_is_read_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "new" / "c.json"
    write(path, made())
    found = usable(path, CPU)
    assert [point.name for point in found.points] == ["iresnet18", "iresnet34"]
    assert found.nearest(45.0).name == "iresnet18"
    assert "iresnet34" in show(found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"processor": "CPU Z"}, "processor CPU X"),
        ({"runtime": "onnxruntime 1.40.0"}, "runtime onnxruntime 1.31.0 (here onnxruntime 1.40.0)"),
        ({"gpu": "Tesla T4"}, "GPU none (here Tesla T4)"),
        ({"threads": 4}, "threads"),
    ],
)
def test_a_foreign_calibration_is_refused_with_what_differs(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    here = msgspec.structs.replace(CPU, **change)
    write(tmp_path / "c.json", made())
    with pytest.raises(CalibrationError) as refused:
        usable(tmp_path / "c.json", here)
    assert words in str(refused.value)
    assert path_for(tmp_path, here, 0.1) != path_for(tmp_path, CPU, 0.1)


def test_the_clock_of_the_moment_does_not_make_another_machine(tmp_path: Path) -> None:
    assert path_for(tmp_path, msgspec.structs.replace(CPU, clock=1380), 0.1) == path_for(tmp_path, CPU, 0.2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is no calibration"),
        (b'{"schema": "x"}', "is no calibration"),
        (msgspec.json.encode(made(schema="facechallenge-calibration/9")), "has the schema"),
        (msgspec.json.encode(made(points=())), "positive, growing"),
        (msgspec.json.encode(made(made="yesterday")), "does not say when"),
        (msgspec.json.encode(made(made="2026-01-01T00:00:00")), "no time zone"),
        (msgspec.json.encode(made(points=tuple(reversed(made().points)))), "positive, growing"),
    ],
    ids=["cut", "other", "newer", "empty", "undated", "zoneless", "reversed"],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(CalibrationError, match=words):
        read(tmp_path / "c.json")


def test_a_calibration_of_the_future_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "c.json", made(made="2999-01-01T00:00:00+00:00"))
    with pytest.raises(CalibrationError, match="made on 2999"):
        usable(tmp_path / "c.json", CPU)


def test_as_busy_means_a_quarter_of_the_processors_more_or_less() -> None:
    assert made(busy=0.5).as_busy(0.75)
    assert made(busy=0.5).as_busy(0.25)
    assert not made(busy=0.5).as_busy(0.76)
    assert not made(busy=0.3).as_busy(0.04)


def test_a_folder_that_cannot_be_made_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CalibrationError, match="cannot be written"):
        write(tmp_path / "file" / "c.json", made())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
def test_the_cache_folder_follows_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert default_folder() == Path("/c/pytest-facechallenge")
    monkeypatch.setenv("XDG_CACHE_HOME", "no/absolute/path")  # to be ignored, the standard says
    assert default_folder() == Path.home() / ".cache" / "pytest-facechallenge"


def test_the_command_shows_what_is_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(tmp_path)]) == 0
    assert "no calibration is stored" in capsys.readouterr().out
    write(path_for(tmp_path, CPU, 0.1), made())
    assert main(["show", str(tmp_path)]) == 0
    assert "40.000 ms" in capsys.readouterr().out
    (tmp_path / "calibration-0.json").write_text("{")
    assert main(["show", str(tmp_path)]) == 1
    assert "is no calibration" in capsys.readouterr().err
