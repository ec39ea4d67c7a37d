"""Whole runs: pytest-benchmark shows the recorded times, and its absence changes no outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_facechallenge.plugin.benchmark import Playback
from tests.support.models import network, save

ARGUMENTS = (
    "--facechallenge-model=model.onnx",
    "--track=A",
    "--facechallenge-latency=measured",
    "--facechallenge-device=cpu",
)


@pytest.fixture(scope="module")
def calibrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which what one run times is kept for the next."""
    return tmp_path_factory.mktemp("calibrations")


@pytest.fixture
def judged(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, calibrations: Path) -> pytest.Pytester:
    save(network(), pytester.path / "model.onnx")
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--facechallenge-cache={calibrations}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # of the outer run: pytest-benchmark looks for it
    return pytester


def run(judged: pytest.Pytester, *arguments: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    start = judged.runpytest_subprocess if "-n" in arguments else judged.runpytest
    result = start(*ARGUMENTS, "-k=latency", "--facechallenge-json=r.json", *arguments)
    report = json.loads((judged.path / "r.json").read_text(encoding="utf-8"))
    return result, report["submissions"][0]


def outcome(submission: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in submission["tracks"][0]["rules"] if row["rule"] == "latency")
    return found


def test_pytest_benchmark_shows_saves_and_compares_the_recorded_times(judged: pytest.Pytester) -> None:
    result, submission = run(judged, "--benchmark-json=b.json", "--benchmark-save=one", "--benchmark-only")
    result.stdout.fnmatch_lines(["*benchmark 'latency on mfr21/A'*", "test_rule?A-latency?*"])
    saved = json.loads((judged.path / "b.json").read_text(encoding="utf-8"))
    (benchmark,) = saved["benchmarks"]
    samples = submission["facts"]["latency"]["submission"]["samples"]
    assert benchmark["stats"]["data"] == [sample / 1000 for sample in samples]
    assert benchmark["stats"]["rounds"] == 50
    assert benchmark["fullname"].endswith("model.onnx::test_rule[A-latency]")
    assert benchmark["extra_info"]["grade"] == "local"
    machine = saved["machine_info"]["facechallenge"]
    assert machine["provider"] == "CPUExecutionProvider"
    assert {"gpu", "driver", "clock_max_mhz", "runtime_built_for_cuda", "versions"} <= set(machine)
    assert {"clock", "cuda", "cudnn", "driver", "runtime"} <= set(benchmark["extra_info"]["machine"])
    assert any(name.startswith("onnxruntime") for name in machine["versions"])
    compared, _ = run(judged, "--benchmark-compare")
    compared.stdout.fnmatch_lines(["*test_rule?A-latency? (NOW)*"])
    compared.stdout.fnmatch_lines(["*test_rule?A-latency? (0001_one)*"])
    assert "machine_info is different" not in compared.stdout.str() + compared.stderr.str()


# Under xdist pytest-benchmark disables itself, as its option does.
@pytest.mark.parametrize(
    "arguments", [("-p", "no:benchmark"), ("-n", "2"), pytest.param(("--benchmark-disable",), marks=pytest.mark.slow)]
)
def test_without_pytest_benchmark_the_own_samples_are_judged(
    judged: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    result, submission = run(judged, *arguments, "-W", "error")
    assert len(submission["facts"]["latency"]["submission"]["samples"]) == 50
    assert outcome(submission)["status"] == "undecided"
    assert "Not measured" in outcome(submission)["message"]
    result.assert_outcomes(
        skipped=1, deselected=len(submission["tracks"][0]["rules"]) - 1 if "-n" not in arguments else 0
    )


def test_modelled_decides_nothing_and_gives_pytest_benchmark_nothing(judged: pytest.Pytester) -> None:
    result, submission = run(judged, "--facechallenge-latency=modelled", "-W", "error")
    assert outcome(submission)["measured"].startswith("modelled: ")
    result.assert_outcomes(skipped=1, deselected=len(submission["tracks"][0]["rules"]) - 1)
    assert "benchmark: 1 tests" not in result.stdout.str()


def test_the_profile_is_a_table_and_in_the_json(judged: pytest.Pytester) -> None:
    result, submission = run(judged, "--facechallenge-profile")
    result.stdout.fnmatch_lines(["*face challenge profile*", "*by operator*", "*Conv*", "*the slowest nodes*"])
    assert submission["facts"]["latency"]["profile"]


def test_a_device_that_is_not_there_is_refused_at_the_start(judged: pytest.Pytester) -> None:
    result = judged.runpytest(*ARGUMENTS[:3], "--facechallenge-device=NoSuchProvider", "-k=latency", "-W", "error")
    result.stderr.fnmatch_lines(["*there is no device 'NoSuchProvider'*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--facechallenge-latency=guess",), "must be one of auto, measured, scaled, modelled"),
        (("--facechallenge-rounds=10",), "must be a multiple of 50"),
        (("--facechallenge-rounds=60",), "must be a multiple of 50"),
    ],
)
def test_wrong_settings_are_told(judged: pytest.Pytester, arguments: tuple[str, ...], words: str) -> None:
    result = judged.runpytest(*ARGUMENTS, *arguments)
    result.stderr.fnmatch_lines([f"*{words}*"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_the_playback_gives_each_round_its_time_and_no_round_more() -> None:
    timer = Playback()
    timer.load([1.5, 2500.0])
    assert [timer(), timer(), timer(), timer()] == [0.0, 0.0015, 0.0, 2.5]
    timer()
    with pytest.raises(IndexError):
        timer()
