from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import parser

from pytest_facechallenge.inference.session import Session, open_session

PACKAGE = Path(__file__).parents[2] / "pytest_facechallenge"
#: The one place; and two scripts that run in an interpreter of the evaluation server, without this package.
OPENING = {
    "inference/session.py",
    "analyses/server/server_script.py",
    "analyses/latency/server_timing.py",
}

MODEL = parser.parse_model("""
    <ir_version: 8, opset_import: ["": 17]>
    net (float[N, 3] x) => (float[N, 3] y) { a = Relu(x)  b = Identity(a)  y = Add(b, b) }
""").SerializeToString()


def called(path: Path) -> set[str]:
    """Return the last names of everything that a file calls."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            function = node.func
            found.add(function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", ""))
    return found


def test_one_place_opens_sessions() -> None:
    opening = {
        path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if "InferenceSession" in called(path)
    }
    assert opening == OPENING


def test_options_reach_the_runtime(tmp_path: Path) -> None:
    session = open_session(
        MODEL, threads=1, optimise=False, arena=False, prepacking=False, log_level=4, profile=tmp_path / "run",
        settings={"mlas.enable_gemm_fastmath_arm64_bfloat16": "0"},
    )  # fmt: skip
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.enable_cpu_mem_arena, options.log_severity_level) == (1, False, 4)
    assert options.graph_optimization_level.name == "ORT_DISABLE_ALL"
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.disable_prepacking") == "1"
    assert options.get_session_config_entry("mlas.enable_gemm_fastmath_arm64_bfloat16") == "0"
    assert Path(session.end_profiling()).parent == tmp_path


def test_weights_are_taken_from_memory() -> None:
    import onnx
    import onnxruntime

    model = onnx.load_from_string(MODEL)
    model.graph.node[2].input[1] = "w"
    hollow = model.graph.initializer.add(name="w", data_type=onnx.TensorProto.FLOAT, dims=[3])
    hollow.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "in memory"), ("offset", "0"), ("length", "12")):
        hollow.external_data.append(onnx.StringStringEntryProto(key=key, value=value))
    held = onnxruntime.OrtValue.ortvalue_from_numpy(np.array([1, 2, 3], np.float32))
    session = open_session(model.SerializeToString(), weights={"w": held})
    assert session.run(None, {"x": np.zeros((1, 3), np.float32)})[0].tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("source", ["bytes", "file"])
def test_a_session_says_what_goes_in_and_out(tmp_path: Path, source: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(MODEL)
    session = Session(path if source == "file" else MODEL)
    assert (session.inputs, session.outputs, session.providers) == (("x",), ("y",), ("CPUExecutionProvider",))
    assert session.run(np.array([[1, -1, 2]], np.float32))[0].tolist() == [[2, 0, 4]]


def test_options_of_a_provider_are_those_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_model, providers: given.append(providers))
    open_session(b"", providers=["CUDAExecutionProvider", "CPUExecutionProvider"], provider_options={"use_tf32": "0"})
    open_session(b"")
    assert given == [
        [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"],
        ["CPUExecutionProvider"],
    ]
