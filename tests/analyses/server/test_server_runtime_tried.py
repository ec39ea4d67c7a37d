"""Rule server-runtime as tried in interpreters: this one, ones that misbehave, and the real 1.6.0 if there is one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from pytest_facechallenge.analyses.server import compatibility, trial
from pytest_facechallenge.checks.server import server_runtime
from pytest_facechallenge.core.facts.base import Facts, FailureKind, StepFailure
from pytest_facechallenge.core.facts.server import Comparison, ServerFacts
from pytest_facechallenge.core.outcome import Outcome, Status
from tests.analyses.server.face_net import context_of, interpreter, model_of, rule

#: An interpreter with the real onnxruntime 1.6.0, for instance of Python 3.8.
REAL = os.environ.get("FACECHALLENGE_TEST_SERVER_PYTHON", "")


def tried(model: onnx.ModelProto, folder: Path, python: str, version: str, timeout: float = 60.0) -> Outcome:
    context = context_of(model, folder, python=python, timeout=timeout)
    found = trial.gather(context)
    assert msgspec.json.decode(msgspec.json.encode(found), type=ServerFacts) == found
    return server_runtime(Facts.of(compatibility.gather(context), found), rule(version))


def test_the_local_runtime_runs_it_with_its_own_embeddings(tmp_path: Path) -> None:
    outcome = tried(model_of(), tmp_path, sys.executable, onnxruntime.__version__)

    assert outcome.status is Status.PASSED, outcome
    assert "cosine 1.0000000" in outcome.measured
    assert any("CPUExecutionProvider" in note for note in outcome.notes)


def test_what_the_runtime_runs_is_not_refused_for_its_numbers(tmp_path: Path) -> None:
    outcome = tried(model_of(opset=15), tmp_path, sys.executable, onnxruntime.__version__)

    assert outcome.status is Status.PASSED
    assert any("yet onnxruntime" in note for note in outcome.notes)


def test_the_runtimes_own_words_are_reported(tmp_path: Path) -> None:
    model = model_of(
        helper.make_node("NoSuchOperator", ["p"], ["e"], domain="com.microsoft"), domains={"com.microsoft": 1}
    )

    outcome = tried(model, tmp_path, sys.executable, onnxruntime.__version__)

    assert outcome.status is Status.FAILED
    assert "while loading it" in outcome.message
    assert "NoSuchOperator" in outcome.message


def test_a_failure_at_run_time_is_told_from_one_at_load_time(tmp_path: Path) -> None:
    model = model_of()
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 0
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "W"
    # Images are then 16x112: the fully connected layer does not fit them.

    outcome = tried(model, tmp_path, sys.executable, onnxruntime.__version__)

    assert outcome.status is Status.FAILED
    assert "while running one image" in outcome.message


def test_a_fixed_batch_of_one_is_left_to_the_rule_batch(tmp_path: Path) -> None:
    outcome = tried(model_of(batch=1), tmp_path, sys.executable, onnxruntime.__version__)

    assert outcome.status is Status.PASSED
    assert any("Several images at once" in note for note in outcome.notes)


def test_death_by_a_signal_is_a_finding(tmp_path: Path) -> None:
    context = context_of(model_of(), tmp_path, python=interpreter(tmp_path, "kill -SEGV $$"))

    found = trial.gather(context)

    assert found.signal == "SIGSEGV"
    outcome = server_runtime(Facts.of(compatibility.gather(context), found), rule())
    assert outcome.status is Status.FAILED
    assert "killed by SIGSEGV" in outcome.message


def test_a_timeout_is_undecided(tmp_path: Path) -> None:
    outcome = tried(model_of(), tmp_path, interpreter(tmp_path, "exec sleep 60"), "1.6.0", timeout=0.3)

    assert outcome.status is Status.UNDECIDED
    assert "0.3 seconds" in outcome.message


@pytest.mark.parametrize("script", ["exit 3", "echo no such module >&2; exit 1"])
def test_an_interpreter_that_is_none_decides_nothing(script: str, tmp_path: Path) -> None:
    assert tried(model_of(), tmp_path, interpreter(tmp_path, script), "1.6.0").status is Status.UNDECIDED


def test_a_missing_interpreter_does_not_hide_what_reading_found(tmp_path: Path) -> None:
    outcome = tried(model_of(opset=15), tmp_path, str(tmp_path / "none"), "1.6.0")

    assert outcome.status is Status.FAILED
    assert any("could not be started" in note for note in outcome.notes)


def test_another_version_is_not_used_as_evidence(tmp_path: Path) -> None:
    outcome = tried(model_of(opset=15), tmp_path, sys.executable, "1.6.0")

    assert outcome.status is Status.FAILED
    assert any("not used" in note for note in outcome.notes)


def test_a_step_that_died_is_told(tmp_path: Path) -> None:
    failure = StepFailure(step="server", kind=FailureKind.TIMEOUT, message="it took too long")
    facts = Facts.of(compatibility.gather(context_of(model_of(), tmp_path)), failure)

    outcome = server_runtime(facts, rule())

    assert outcome.status is Status.PASSED
    assert "it took too long" in outcome.notes[0]


@pytest.mark.parametrize(
    ("cosine", "difference", "status"),
    [
        (0.99999, 0.01, Status.PASSED),
        (0.999989, 0.01, Status.FAILED),
        (0.99999, 0.0101, Status.FAILED),
        (-1.0, 0.0, Status.FAILED),
    ],
)
def test_limits_of_the_comparison(cosine: float, difference: float, status: Status, tmp_path: Path) -> None:
    compared = Comparison(least_cosine=cosine, max_difference=difference, max_value=1.0)
    found = ServerFacts(ran=True, version="1.6.0", stage="done", compared=compared)
    facts = Facts.of(compatibility.gather(context_of(model_of(), tmp_path)), found)

    assert server_runtime(facts, rule()).status is status


def test_embeddings_that_are_no_numbers_are_never_alike() -> None:
    rows = np.array([[1.0, 2.0], [np.nan, 1.0]])

    found = trial._compare(rows, rows)

    assert found is not None
    assert found.least_cosine == -1.0


@pytest.mark.skipif(not REAL, reason="FACECHALLENGE_TEST_SERVER_PYTHON names no interpreter with onnxruntime 1.6.0")
@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        (model_of(), Status.PASSED, "loads and runs"),
        (model_of(opset=14), Status.FAILED, "while loading"),
        (model_of(ir=8), Status.FAILED, "while loading"),
        (model_of(slope=(5,)), Status.FAILED, "while running one image"),
        (
            model_of(helper.make_node("Gelu", ["p"], ["e"], domain="com.microsoft"), domains={"com.microsoft": 1}),
            Status.PASSED,
            "loads and runs",
        ),
    ],
    ids=["plain", "opset", "ir", "slope", "contrib"],
)
def test_reading_agrees_with_the_real_runtime(
    model: onnx.ModelProto, status: Status, words: str, tmp_path: Path
) -> None:
    read = server_runtime(Facts.of(compatibility.gather(context_of(model, tmp_path))), rule())
    outcome = tried(model, tmp_path, REAL, "1.6.0")

    assert outcome.status is status, outcome
    assert words in outcome.message
    assert read.status is status


def test_a_side_file_outside_the_folder_is_not_opened(tmp_path: Path) -> None:
    model = model_of()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")

    outcome = tried(model, tmp_path, sys.executable, onnxruntime.__version__)

    assert outcome.status is Status.UNDECIDED
    assert "outside the model's folder" in outcome.message
