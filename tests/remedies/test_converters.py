"""Files by converters, quantisers and onnxruntime itself."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from pytest_facechallenge.core.producer import Producer
from pytest_facechallenge.onnx_graph.producer import producer_of
from tests.support.findings import all_pass, broken, explained, findings, run_words
from tests.support.models import network, save
from tests.support.torch_faces import Face, export, quietly


def test_converted_to_float16(tmp_path: Path) -> None:
    float16 = pytest.importorskip("onnxconverter_common.float16")
    face = Face()
    model = onnx.load(str(export(face, tmp_path / "float32.onnx")))
    path = save(quietly(float16.convert_float_to_float16, model), tmp_path / "model.onnx")
    found = findings(path, tmp_path / "before")
    assert broken(found) == {"no-float16"}
    assert set(explained(found).values()) == {"no-float16"}
    assert {"input", "batch", "cosine-similarity", "deterministic", "helper-verdict"} <= set(explained(found))
    run_words(found["no-float16"].remedy, tmp_path, model=face)
    assert all_pass(findings(path, tmp_path / "after"))


def test_quantised_dynamically(tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    given = export(Face(), tmp_path / "given.onnx", opset_version=13)
    path = tmp_path / "model.onnx"
    quietly(quantize_dynamic, str(given), str(path), op_types_to_quantize=["MatMul", "Gemm"])
    assert producer_of(onnx.load(str(path))) is Producer.QUANTISER
    found = findings(path, tmp_path / "before", probed=True)
    assert broken(found) == {"no-float16"}
    assert {explained(found)[rule] for rule in ("batch", "helper-verdict", "no-implicit-batch")} == {"no-float16"}
    assert "hand in the float32 model that you gave it" in found["no-float16"].remedy
    assert not any("Constant node" in outcome.remedy for outcome in found.values())
    assert all_pass(findings(given, tmp_path / "after"))


@pytest.mark.parametrize("level", ["BASIC", "ALL"])
def test_saved_by_onnxruntime(tmp_path: Path, level: str) -> None:
    given = export(Face(), tmp_path / "given.onnx")
    path = tmp_path / "model.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    options.optimized_model_filepath = str(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        onnxruntime.InferenceSession(str(given), options, providers=["CPUExecutionProvider"])
    assert producer_of(onnx.load(str(path))) is Producer.ONNXRUNTIME_OPTIMISED
    found = findings(path, tmp_path / "before")
    assert broken(found) == {"server-runtime"}
    remedy = found["server-runtime"].remedy
    if "com.microsoft.nchwc" in {node.domain for node in onnx.load(str(path)).graph.node}:
        assert "hand in the file that you gave it" in remedy
        assert set(explained(found)) >= {"helper-verdict"}
        assert {found[rule].status for rule in ("preprocessing", "rgb-order")} == {"passed"}, (
            "they are seen by running it"
        )
        assert all_pass(findings(given, tmp_path / "after"))
    else:
        run_words(remedy, tmp_path)
        assert all_pass(findings(path, tmp_path / "after"))


def test_only_the_numbers_are_too_new(tmp_path: Path) -> None:
    path = save(network(ir_version=10), tmp_path / "model.onnx")
    found = findings(path, tmp_path / "before")
    assert broken(found) == {"server-runtime"}
    run_words(found["server-runtime"].remedy, tmp_path)
    assert all_pass(findings(path, tmp_path / "after"))


def test_only_the_number_of_the_opset_is_too_new(tmp_path: Path) -> None:
    model = network(opset=17, ir_version=7)
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type = "Sigmoid"
    path = save(model, tmp_path / "model.onnx")
    found = findings(path, tmp_path / "before")
    assert broken(found) == {"server-runtime"}
    assert "onnx.save" in run_words(found["server-runtime"].remedy, tmp_path)
    assert all_pass(findings(path, tmp_path / "after"))


def mxnet_like() -> onnx.ModelProto:
    """Return what mxnet's exporter writes: slopes of shape [C], parameters by their names, no producer."""
    constants = {f"bn0{end}": np.ones(1, np.float32) for end in ("_gamma", "_beta", "_moving_mean", "_moving_var")}
    model = network(constants={**constants, "relu0_gamma": np.full(8, 0.25, np.float32)})
    model.graph.node[1].CopyFrom(helper.make_node("PRelu", ["c0", "relu0_gamma"], ["r0"], "relu0"))
    return model


def test_slopes_of_mxnet(tmp_path: Path) -> None:
    assert producer_of(mxnet_like()) is Producer.MXNET
    found = findings(save(mxnet_like(), tmp_path / "model.onnx"), tmp_path / "before")
    assert "server-runtime" in broken(found)
    run_words(found["server-runtime"].remedy, tmp_path)
    assert all_pass(findings(tmp_path / "mended" / "model.onnx", tmp_path / "after"))


@pytest.mark.parametrize("name", ["PaddlePaddle", "tf2onnx", "onnx.quantize", ""])
def test_what_is_not_run_here_is_a_sentence(tmp_path: Path, name: str) -> None:
    """No command of a converter that these tests do not have: no option, no call."""
    model = network(opset=20, ir_version=10)
    model.producer_name = name
    model.graph.node[0].op_type = "Conv"
    remedy = findings(save(model, tmp_path / "model.onnx"), tmp_path / "before")["server-runtime"].remedy
    said = remedy.partition("facechallenge repair")[0]
    assert "--" not in said
    assert "(" not in said.replace("(optimized_model_filepath)", "")


def tf2onnx_like() -> onnx.ModelProto:
    """Return what tf2onnx writes of a Keras model: NHWC input, a Transpose in front, its name in the head."""
    model = network(shape=(112, 112, 3))
    model.graph.node[0].input[0] = "first"
    transpose = helper.make_node("Transpose", ["input"], ["first"], "transpose", perm=[0, 3, 1, 2])
    model.graph.node.insert(0, transpose)
    model.producer_name, model.producer_version = "tf2onnx", "1.16.1 15c810"
    return model


def test_channels_last_from_tf2onnx(tmp_path: Path) -> None:
    assert producer_of(tf2onnx_like()) is Producer.TF2ONNX
    found = findings(save(tf2onnx_like(), tmp_path / "model.onnx"), tmp_path / "before")
    assert broken(found) == {"input"}
    assert set(explained(found).values()) == {"input"}
    assert "--" not in found["input"].remedy.partition("facechallenge")[0]  # its options are not run here: a sentence
    run_words(found["input"].remedy, tmp_path)
    assert all_pass(findings(tmp_path / "mended" / "model.onnx", tmp_path / "after"))


@pytest.mark.parametrize(
    ("name", "producer"),
    [("PaddlePaddle", Producer.PADDLE), ("", Producer.UNKNOWN), ("pytorch", Producer.TORCH_SCRIPT)],
)
def test_producers_by_the_head_of_the_file(name: str, producer: Producer) -> None:
    model = network()
    model.producer_name = name
    assert producer_of(model) is producer


def test_mxnet_writes_no_name_but_its_parameters_have_theirs() -> None:
    constants = {f"bn0{end}": np.ones(1, np.float32) for end in ("_gamma", "_beta", "_moving_mean", "_moving_var")}
    assert producer_of(network(constants=constants)) is Producer.MXNET
