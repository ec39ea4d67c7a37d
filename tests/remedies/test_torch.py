"""Files by torch's two exporters: one finding, whose call mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from pytest_facechallenge.core.producer import Producer
from pytest_facechallenge.onnx_graph.producer import producer_of
from tests.support.findings import all_pass, broken, explained, findings, run_words
from tests.support.models import pack
from tests.support.torch_faces import Face, export, torch


def test_a_batch_baked_into_a_reshape(tmp_path: Path) -> None:
    face = Face("baked")
    path = export(face, tmp_path / "model.onnx", output_names=["embedding"])
    found = findings(path, tmp_path / "before")
    assert broken(found) == {"batch"}
    assert explained(found) == {"helper-verdict": "batch"}
    assert "batch of 2 does not run" in found["batch"].message
    assert "'/Reshape' makes [1,-1]" in found["batch"].message
    assert "64 values" in found["embedding-dim"].message
    assert "write x.flatten(1)" in found["batch"].remedy
    face.flat = "flatten"
    words = run_words(found["batch"].remedy, tmp_path, model=face)
    assert "input_names=['data'], output_names=['embedding'], dynamic_axes={'data': {0: 'N'}}" in words
    assert all_pass(findings(path, tmp_path / "after"))


def test_a_size_that_only_the_tracing_fixed_needs_the_call_alone(tmp_path: Path) -> None:
    face = Face("view")
    path = export(face, tmp_path / "model.onnx", dynamic_axes=None)
    found = findings(path, tmp_path / "before")
    assert broken(found) == {"batch"}
    run_words(found["batch"].remedy, tmp_path, model=face)
    assert all_pass(findings(path, tmp_path / "after"))


def test_the_default_export_of_today(tmp_path: Path) -> None:
    face = Face()
    path = export(face, tmp_path / "model.onnx", dynamo=True, opset_version=None, input_names=["data"])
    assert producer_of(onnx.load(str(path), load_external_data=False)) is Producer.TORCH_DYNAMO
    found = findings(path, tmp_path / "before")
    assert broken(found) == {"server-runtime"}
    assert set(explained(found)) == {"package", "batch", "helper-verdict"}
    assert set(explained(found).values()) == {"server-runtime"}
    assert found["server-runtime"].remedy.count("torch.onnx.export") == 1
    run_words(found["server-runtime"].remedy, tmp_path, model=face)
    (tmp_path / "model.onnx.data").unlink()
    assert producer_of(onnx.load(str(path))) is Producer.TORCH_SCRIPT
    assert all_pass(findings(path, tmp_path / "after"))


def test_weights_in_a_side_file_come_into_the_model_and_are_packed(tmp_path: Path) -> None:
    path = export(Face(), tmp_path / "model.onnx", dynamo=True, opset_version=None, input_names=["data"])
    (tmp_path / "submission.zip").write_bytes(pack(tmp_path / "both.zip", {
        "model.onnx": path.read_bytes(), "model.onnx.data": (tmp_path / "model.onnx.data").read_bytes()
    }).read_bytes())  # fmt: skip
    outcome = findings(tmp_path / "submission.zip", tmp_path / "before")["package"]
    run_words(outcome.remedy, tmp_path)
    (tmp_path / "model.onnx.data").unlink()
    assert "package" not in broken(findings(path, tmp_path / "after"))
    assert "package" not in broken(findings(tmp_path / "submission.zip", tmp_path / "packed"))


def test_exported_while_training(tmp_path: Path) -> None:
    face = Face().train()
    path = export(
        face, tmp_path / "model.onnx", batch=2, training=torch.onnx.TrainingMode.TRAINING, opset_version=12,
        do_constant_folding=False,
    )  # fmt: skip
    found = findings(path, tmp_path / "before")
    assert broken(found) == {"batch"}
    assert "is in training mode" in found["batch"].message
    fresh = Face()
    run_words(found["batch"].remedy, tmp_path, model=fresh)
    assert all_pass(findings(path, tmp_path / "after"))


def test_channels_last(tmp_path: Path) -> None:
    face = Face(channels_last=True)
    path = export(face, tmp_path / "model.onnx")
    found = findings(path, tmp_path / "before")
    assert broken(found) == {"input"}
    assert set(explained(found).values()) == {"input"}
    assert "NHWC" in found["input"].remedy
    face.channels_last = False
    run_words(found["input"].remedy, tmp_path, model=face)
    assert all_pass(findings(path, tmp_path / "after"))


@pytest.mark.parametrize("norm", ["first", "last"])
def test_two_outputs(tmp_path: Path, norm: str) -> None:
    names = {"first": ["norm", "feature"], "last": ["feature", "norm"]}[norm]
    path = export(Face(norm=norm), tmp_path / "model.onnx", output_names=names)
    found = findings(path, tmp_path / "before")
    assert broken(found) == {"output"}
    assert "'norm' is [N,1], the norm" in found["output"].message
    run_words(found["output"].remedy, tmp_path)
    assert all_pass(findings(tmp_path / "embedding.onnx", tmp_path / "after"))


def test_the_norm_alone(tmp_path: Path) -> None:
    path = export(Face(norm="alone"), tmp_path / "model.onnx")
    found = findings(path, tmp_path / "before")
    assert broken(found) == {"output"}
    assert "is the norm of the embedding" in found["output"].message
    assert explained(found)["cosine-similarity"] == "output"


def test_a_name_from_the_file_is_no_command(tmp_path: Path) -> None:
    path = export(Face(norm="last"), tmp_path / "model.onnx", output_names=["$(reboot)", "norm"])
    remedy: Any = findings(path, tmp_path / "before")["output"].remedy
    assert "$(" not in remedy
