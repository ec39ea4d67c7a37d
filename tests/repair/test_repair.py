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

from pytest_facechallenge.analyses.repair import READ_IF_THERE
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
    facts = gather(path, folder, {"repair", *READ_IF_THERE}, SERVER).need(RepairFacts)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    return facts, folder / facts.file


def before_after(facts: RepairFacts) -> float:
    assert facts.local is not None
    assert facts.local.before_after.trouble == ""
    return facts.local.before_after.difference


def alone_together(facts: RepairFacts) -> float:
    assert facts.local is not None
    assert facts.local.alone_together.trouble == ""
    return facts.local.alone_together.difference


def names(facts: RepairFacts) -> list[str]:
    return [each.name for each in facts.repairs]


def test_nothing_to_mend(tmp_path: Path) -> None:
    facts, _ = mended(save(network(), tmp_path / "model.onnx"), tmp_path / "work")
    assert (facts.repairs, facts.file) == ((), "")


def test_a_baked_reshape_is_freed(tmp_path: Path) -> None:
    facts, file = mended(export(Face("baked"), tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["reshapes"]
    assert before_after(facts) <= 1e-6
    assert 0 <= alone_together(facts) <= 1e-4
    assert all_pass(findings(file, tmp_path / "after"))


def test_a_fixed_batch_becomes_symbolic(tmp_path: Path) -> None:
    facts, file = mended(save(network(batch=1), tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["batch"]
    assert onnx.load(str(file)).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_numbers_are_lowered_where_every_operator_means_the_same(tmp_path: Path) -> None:
    facts, file = mended(save(network(opset=20, ir_version=10), tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["opset", "ir version"]
    assert before_after(facts) == 0
    assert all_pass(findings(file, tmp_path / "after"))


@pytest.mark.parametrize("node", [
    helper.make_node("LayerNormalization", ["embedding", "ones"], ["row"], "norm"),
    helper.make_node("ReduceMean", ["embedding", "moving"], ["row"], "mean", keepdims=1),
    helper.make_node("Pad", ["embedding", "pads"], ["row"], "pad", mode="wrap"),
    helper.make_node("Gelu", ["embedding"], ["row"], "gelu"),
], ids=["LayerNormalization", "ReduceMean", "Pad", "Gelu"])  # fmt: skip
def test_an_operator_of_another_meaning_keeps_its_opset(tmp_path: Path, node: onnx.NodeProto) -> None:
    constants = {"ones": np.ones(64, np.float32), "axes": np.array([1]), "pads": np.array([0, 1, 0, 1])}
    moved = helper.make_node("Identity", ["axes"], ["moving"], "moving")  # axes that a node computes
    model = network(opset=20, ir_version=8, tail=[moved, node], output="row", constants=constants,
                    declared_output=["N", "D"])  # fmt: skip
    facts, _ = mended(save(model, tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["ir version"]


def test_the_axes_of_a_reduction_become_an_attribute_again(tmp_path: Path) -> None:
    node = helper.make_node("ReduceMean", ["embedding", "axes"], ["mean"], "mean", keepdims=1)
    less = helper.make_node("Sub", ["embedding", "mean"], ["row"], "less")
    model = network(opset=18, ir_version=7, tail=[node, less], output="row", constants={"axes": np.array([1])})
    facts, file = mended(save(model, tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["opset"]
    assert before_after(facts) <= 1e-6
    (mean,) = [each for each in onnx.load(str(file)).graph.node if each.op_type == "ReduceMean"]
    assert list(mean.input) == ["embedding"]
    assert all_pass(findings(file, tmp_path / "after"))


def test_a_network_that_begins_with_a_transpose_takes_channels_first(tmp_path: Path) -> None:
    model = network(shape=(112, 112, 3))
    model.graph.node[0].input[0] = "first"
    model.graph.node.insert(0, helper.make_node("Transpose", ["input"], ["first"], "turn", perm=[0, 3, 1, 2]))
    facts, file = mended(save(model, tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["layout"]
    assert before_after(facts) == 0
    assert "'turn' behind it is gone" in facts.repairs[0].what
    assert all_pass(findings(file, tmp_path / "after"))


def test_an_image_that_something_else_reads_keeps_its_layout(tmp_path: Path) -> None:
    mean = helper.make_node("GlobalAveragePool", ["input"], ["mean"], "mean")
    model = network(shape=(112, 112, 3), tail=[mean])
    model.graph.node[0].input[0] = "first"
    model.graph.node.insert(0, helper.make_node("Transpose", ["input"], ["first"], "turn", perm=[0, 3, 1, 2]))
    facts, _ = mended(save(model, tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == []


def normalising(first: str, second: str) -> onnx.ModelProto:
    """Return a network that takes pixels of 0..255 and normalises them in two nodes of these names."""
    model = network(constants={name: np.array(127.5, np.float32) for name in ("mean", "std")})
    model.graph.node[0].input[0] = "normalised"
    model.graph.node.insert(0, helper.make_node("Div", ["less", "std"], ["normalised"], second))
    model.graph.node.insert(0, helper.make_node("Sub", ["input", "mean"], ["less"], first))
    return model


def test_normalising_nodes_get_names_that_the_organisers_checker_reads(tmp_path: Path) -> None:
    facts, file = mended(save(normalising("/Sub", "/Div"), tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["names"]
    assert before_after(facts) == 0
    found = findings(file, tmp_path / "after")
    assert all_pass(found)
    assert "feed pixels of 0..255" in found["preprocessing"].message


def test_names_that_mislead_the_organisers_checker_go(tmp_path: Path) -> None:
    model = network()
    model.graph.node[1].name, model.graph.node[3].name = "Sub_relu", "Mul_relu"
    path = save(model, tmp_path / "model.onnx")
    assert not all_pass(findings(path, tmp_path / "before"))
    facts, file = mended(path, tmp_path / "work")
    assert names(facts) == ["names"]
    assert "'Sub_relu' is now 'node_Sub_relu'" in facts.repairs[0].what
    assert all_pass(findings(file, tmp_path / "after"))


@pytest.mark.parametrize(("first", "second"), [("Sub_0", "Div_1"), ("_minusscalar0", "_mulscalar0")])
def test_names_that_are_read_stay(tmp_path: Path, first: str, second: str) -> None:
    facts, _ = mended(save(normalising(first, second), tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == []


def test_slopes_of_old_files_get_the_channels_axis(tmp_path: Path) -> None:
    model = network(constants={"slope": np.full(8, 0.25, np.float32)})
    model.graph.node[1].CopyFrom(helper.make_node("PRelu", ["c0", "slope"], ["r0"], "prelu"))
    facts, file = mended(save(model, tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["slopes"]
    assert all_pass(findings(file, tmp_path / "after"))


def test_initializers_are_no_inputs(tmp_path: Path) -> None:
    path = export(Face(), tmp_path / "model.onnx", keep_initializers_as_inputs=True)
    facts, file = mended(path, tmp_path / "work")
    assert names(facts) == ["inputs"]
    assert [value.name for value in onnx.load(str(file)).graph.input] == ["data"]


@pytest.mark.parametrize("norm", ["first", "last"])
def test_the_embedding_is_chosen_among_outputs(tmp_path: Path, norm: str) -> None:
    facts, file = mended(export(Face(norm=norm), tmp_path / "model.onnx"), tmp_path / "work")
    assert names(facts) == ["embedding"]
    assert before_after(facts) == 0
    assert all_pass(findings(file, tmp_path / "after"))


def test_training_mode_is_set_to_inference(tmp_path: Path) -> None:
    path = export(
        Face().train(), tmp_path / "model.onnx", batch=2, training=torch.onnx.TrainingMode.TRAINING, opset_version=12,
        do_constant_folding=False,
    )  # fmt: skip
    facts, file = mended(path, tmp_path / "work")
    assert names(facts) == ["inference"]
    assert 0 <= alone_together(facts) <= 1e-3
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
