"""The script for the server's interpreter, run with this one; and what it says of the programs beside it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_facechallenge.analyses.latency import server, server_timing
from pytest_facechallenge.analyses.latency.server_timing import dotted_cudnn, parse_nvidia
from pytest_facechallenge.refnets.registry import save


@pytest.fixture
def request_(tmp_path: Path) -> dict[str, Any]:
    save("vit-tiny", tmp_path / "model.onnx")
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((4, 3, 112, 112), np.float32))
    images, model = str(tmp_path / "images.npy"), str(tmp_path / "model.onnx")
    return {"model": model, "images": images, "device": "cpu", "threads": 1, "rounds": 12, "warmup": 3}


def test_the_script_times_a_model_in_another_interpreter(tmp_path: Path, request_: dict[str, Any]) -> None:
    facts = server.run(sys.executable, request_, tmp_path)
    assert facts.problem == ""
    assert facts.python == ".".join(map(str, sys.version_info[:3]))
    assert facts.submission is not None
    assert facts.machine is not None
    assert len(facts.submission.samples) == 12
    assert min(facts.submission.samples) > 0
    assert facts.submission.warmup_runs == 3
    assert facts.machine.provider == "CPUExecutionProvider"
    assert facts.machine.runtime.startswith("onnxruntime")
    assert 0 <= facts.row_difference < 1e-3


def test_a_device_that_is_not_there_is_a_problem_and_no_time(tmp_path: Path, request_: dict[str, Any]) -> None:
    facts = server.run(sys.executable, request_ | {"device": "NoSuchProvider"}, tmp_path)
    assert "has no NoSuchProvider" in facts.problem
    assert facts.submission is None


def test_a_model_that_does_not_load_is_a_problem_in_the_runtimes_words(
    tmp_path: Path, request_: dict[str, Any]
) -> None:
    Path(request_["model"]).write_bytes(b"no model")
    assert "protobuf" in server.run(sys.executable, request_, tmp_path).problem.lower()


def test_what_is_no_interpreter_is_a_problem(tmp_path: Path, request_: dict[str, Any]) -> None:
    assert "could not be used" in server.run(str(tmp_path / "none"), request_, tmp_path).problem
    assert "gave no result" in server.run("/bin/false", request_, tmp_path).problem


def test_the_script_is_python_3_6() -> None:
    source = Path(server_timing.__file__).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 6))
    assert "from __future__ import annotations" not in source
    assert "capture_output" not in source


def test_nodes_on_the_cpu_are_read_from_the_profile() -> None:
    def kernel(name: str, provider: str) -> dict[str, Any]:
        return {
            "name": f"{name}_kernel_time",
            "args": {"op_name": "NonZero", "provider": f"{provider}ExecutionProvider"},
        }

    events = [{"name": "session"}, kernel("where", "CPU"), kernel("conv", "CUDA"), kernel("where", "CPU")]
    assert server_timing.nodes_on_cpu(events) == ["where (NonZero)"]


def test_rows_of_the_timed_runs_are_compared_with_a_batch() -> None:
    class Session:
        """Gives every image its own number, and the last one of a batch another."""

        def get_inputs(self) -> list[Any]:
            return [self]

        get_outputs = get_inputs
        name = "x"

        def run(self, _outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            numbers = feed["x"].reshape(len(feed["x"]), -1)[:, :2].copy()
            numbers[-1] += 1.0 if len(numbers) > 1 else 0.0
            return [numbers]

    images = np.ones((3, 3, 2, 2), np.float32)
    samples, rows, warm = server_timing._series(Session(), images, 2, 4)
    assert (len(samples), len(rows), len(warm)) == (4, 3, 2)
    assert server_timing._difference(Session(), images, rows) == 0.5
    assert server_timing._difference(Session(), images, [*rows[:2], None]) == -1.0


def test_nvidia_smi_is_read() -> None:
    line = "Tesla V100-SXM2-16GB, 440.33.01, 1380, 1530\nTesla V100-SXM2-16GB, 440.33.01, 135, 1530\n"
    assert parse_nvidia(line) == {
        "gpu": "Tesla V100-SXM2-16GB",
        "driver": "440.33.01",
        "clock": 1380,
        "clock_max": 1530,
    }
    assert parse_nvidia("") == {"gpu": "", "driver": "", "clock": 0, "clock_max": 0}
    assert parse_nvidia("NVIDIA-SMI has failed because it couldn't communicate")["gpu"] == ""
    assert parse_nvidia("Tesla K80, 440.33.01, [N/A], 875")["clock"] == 0


def test_cudnn_numbers() -> None:
    assert [dotted_cudnn(number) for number in (8005, 7605, 90100)] == ["8.0.5", "7.6.5", "9.1.0"]
