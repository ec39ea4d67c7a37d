"""Each row of the table of repairs, and the whole through the API."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from pytest_facechallenge import repair
from pytest_facechallenge.analyses.repair.options import RepairOptions
from pytest_facechallenge.core.facts.repair import RepairFacts
from pytest_facechallenge.core.run_options import RunOptions
from tests.support.findings import all_pass, findings
from tests.support.gathering import gather
from tests.support.models import network, save
from tests.support.torch_faces import Face, export, torch

SERVER = RunOptions(threads=1, device="cpu").with_analyses(RepairOptions(opset=13, ir_version=7))


def mended(path: Path, folder: Path) -> tuple[RepairFacts, Path]:
    """Return the facts of the repair and the mended file."""
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    folder.mkdir()
    facts = gather(path, folder, {"repair"}, SERVER).need(RepairFacts)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    return facts, folder / facts.file


def names(facts: RepairFacts) -> list[str]:
    return [each.name for each in facts.repairs]


def test_nothing_to_mend(tmp_path: Path) -> None:
    facts, _ = mended(save(network(), tmp_path / "model.onnx"), tmp_path / "work")
    assert (facts.repairs, facts.file) == ((), "")


def test_a_baked_reshape_is_freed(tmp_path: Path) -> None:
    facts, file = mended(export(Face("baked"), tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["reshapes"]
    assert facts.before_after <= 1e-6
    assert 0 <= facts.alone_together <= 1e-4
    assert all_pass(findings(file, tmp_path / "after"))


def test_a_fixed_batch_becomes_symbolic(tmp_path: Path) -> None:
    facts, file = mended(save(network(batch=1), tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["batch"]
    assert onnx.load(str(file)).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_numbers_are_lowered_where_every_operator_means_the_same(tmp_path: Path) -> None:
    facts, file = mended(save(network(opset=20, ir_version=10), tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["opset", "ir version"]
    assert facts.before_after == 0
    assert all_pass(findings(file, tmp_path / "after"))


def test_an_operator_of_another_meaning_keeps_its_opset(tmp_path: Path) -> None:
    node = helper.make_node("ReduceMean", ["embedding", "axes"], ["mean"], "mean", keepdims=1)
    less = helper.make_node("Sub", ["embedding", "mean"], ["row"], "less")
    model = network(opset=18, ir_version=8, tail=[node, less], output="row", constants={"axes": np.array([1])})
    facts, _ = mended(save(model, tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["ir version"]


def test_initializers_are_no_inputs(tmp_path: Path) -> None:
    path = export(Face(), tmp_path / "model.onnx", keep_initializers_as_inputs=True)
    facts, file = mended(path, tmp_path / "work")
    assert names(facts) == ["inputs"]
    assert [value.name for value in onnx.load(str(file)).graph.input] == ["data"]


@pytest.mark.parametrize("norm", ["first", "last"])
def test_the_embedding_is_chosen_among_outputs(tmp_path: Path, norm: str) -> None:
    facts, file = mended(export(Face(norm=norm), tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["embedding"]
    assert facts.before_after == 0
    assert all_pass(findings(file, tmp_path / "after"))


def test_training_mode_is_set_to_inference(tmp_path: Path) -> None:
    path = export(
        Face().train(), tmp_path / "model.onnx", batch=2, training=torch.onnx.TrainingMode.TRAINING, opset_version=12,
        do_constant_folding=False,
    )  # fmt: skip
    facts, file = mended(path, tmp_path / "work")
    assert names(facts) == ["inference"]
    assert 0 <= facts.alone_together <= 1e-3
    assert all_pass(findings(file, tmp_path / "after"))


def test_imports_that_nothing_uses_go(tmp_path: Path) -> None:
    given = export(Face(), tmp_path / "given.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "model.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        onnxruntime.InferenceSession(str(given), options, providers=["CPUExecutionProvider"])
    facts, file = mended(tmp_path / "model.onnx", tmp_path / "work")
    assert "imports" in names(facts)
    assert all_pass(findings(file, tmp_path / "after"))


def test_today_s_default_export_is_mended_whole(tmp_path: Path) -> None:
    path = export(Face(), tmp_path / "model.onnx", dynamo=True, opset_version=None, input_names=["data"])
    done = repair(path, tmp_path / "mended", "mfr21/A", latency="modelled", device="cpu", threads=1)
    assert done.why_not == ""
    assert done.facts is not None
    assert names(done.facts) == ["side files", "batch", "reshapes", "opset", "ir version"]
    assert done.facts.before_after <= 1e-6
    assert done.report is not None
    (track,) = done.report.submissions[0].tracks
    assert track.verdict.broken == ()
    assert done.archive == tmp_path / "mended" / "submission.zip"
    with pytest.raises(FileExistsError, match=r"model\.onnx"):
        repair(path, tmp_path / "mended", "mfr21/A")


def test_what_cannot_be_mended_says_why(tmp_path: Path) -> None:
    done = repair(save(network(dim=640), tmp_path / "model.onnx"), tmp_path / "out", "mfr21/A", device="cpu")
    assert "nothing that could be mended" in done.why_not
    assert not (tmp_path / "out").exists()
