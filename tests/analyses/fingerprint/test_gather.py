"""What a fingerprint is made of, and what keeps one from being made: said, and no harm done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pytest_facechallenge.analyses.fingerprint import weights
from pytest_facechallenge.analyses.fingerprint.behaviour import NoFingerprintError, described, u_centred
from pytest_facechallenge.analyses.fingerprint.textures import COUNT, textures
from pytest_facechallenge.core.facts.fingerprint import FingerprintFacts, WeightFingerprintFacts
from tests.support.fingerprints import facts_of
from tests.support.models import network


def tail(*nodes: onnx.NodeProto, **constants: object) -> onnx.ModelProto:
    """Return a network whose embedding goes through further nodes."""
    return network(tail=nodes, constants={k: np.asarray(v) for k, v in constants.items()}, output="out")


def node(op: str, *inputs: str, out: str = "out", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, list(inputs), [out], **attributes)


def test_the_images_are_the_same_for_ever() -> None:
    images = textures()
    assert images.shape == (COUNT, 112, 112, 3)
    assert np.array_equal(images, textures())
    # Not the bytes: another FFT may round a value that lies between two numbers.
    assert images[:, 0, 0, 0][:8].astype(int).tolist() == pytest.approx([100, 149, 150, 108, 157, 132, 159, 112], abs=1)


def test_rotation_scale_and_shift_of_the_pixels_origin_change_nothing() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    rows = rng.standard_normal((COUNT, 16)) + 1
    turned = rows @ np.linalg.qr(rng.standard_normal((16, 16)))[0]
    mine, other = described(rows), described(turned * rng.uniform(0.1, 9, (COUNT, 1)))
    assert np.abs(np.frombuffer(mine.products, "<i2") - np.frombuffer(other.products, "<i2").astype(int)).max() <= 1
    assert mine.dimensions == pytest.approx(other.dimensions)
    assert mine.width == 16


def test_rows_of_the_centred_matrix_sum_to_nothing() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    rows = rng.standard_normal((COUNT, 16))
    found = u_centred(rows @ rows.T)
    assert np.abs(found.sum(axis=0)).max() < 1e-9
    assert np.abs(np.diag(found)).max() == 0


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (np.ones((COUNT, 8)), "the same"),
        (np.zeros((COUNT, 8)), "0 in every value"),
        (np.full((COUNT, 8), np.nan), "not finite"),
        (np.full((COUNT, 8), np.inf), "not finite"),
        (np.eye(COUNT), "more alike than others"),
    ],
)
def test_embeddings_that_tell_nothing(rows: np.ndarray[Any, Any], why: str) -> None:
    with pytest.raises(NoFingerprintError, match=why):
        described(rows)


def test_huge_and_tiny_embeddings_are_no_trouble() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    rows = rng.standard_normal((COUNT, 8))
    for scale in (1e300, 1e-300):
        assert described(rows * scale).products == described(rows).products


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (tail(node("Mul", "embedding", "nothing"), nothing=np.float32(0)), "0 in every value"),
        (tail(node("Sqrt", "embedding")), "not finite"),
        (
            tail(node("ReduceMean", "embedding", axes=[0], keepdims=0)),
            r"\[1, values\] are expected .*, found \[64\]",
        ),
        (tail(node("Reshape", "embedding", "shape"), shape=np.array([7, 64])), "does not run on the images"),
    ],
)
def test_a_model_without_a_fingerprint_says_why(model: onnx.ModelProto, why: str, tmp_path: Path) -> None:
    import re

    found = facts_of(model, tmp_path).need(FingerprintFacts)
    assert re.search(why, found.trouble), found
    assert found.products == b""


def test_a_model_that_takes_one_image_at_a_time_has_the_same_fingerprint(tmp_path: Path) -> None:
    baked = tail(node("Reshape", "embedding", "shape"), shape=np.array([1, 64]))
    mine, other = (facts_of(model, tmp_path).need(FingerprintFacts) for model in (network(), baked))
    assert other.trouble == ""
    steps = [np.frombuffer(each.products, "<i2").astype(int) for each in (mine, other)]
    assert np.abs(steps[0] - steps[1]).max() <= 2


def test_layers_that_would_take_too_long_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MOST_LEVELS", 8)
    assert facts_of(network(), tmp_path).need(WeightFingerprintFacts).left_out == 3
    monkeypatch.undo()
    monkeypatch.setattr(weights, "MOST_WORK", 1)
    found = facts_of(network(), tmp_path).need(WeightFingerprintFacts)
    assert (len(found.layers), found.left_out) == (1, 4)


def test_a_fingerprint_survives_the_report(tmp_path: Path) -> None:
    facts = facts_of(network(), tmp_path)
    for kind in (FingerprintFacts, WeightFingerprintFacts):
        found = facts.need(kind)
        assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(found)), kind) == found
        assert msgspec.convert(facts.to_builtins()[kind.step], kind) == found


def described_weights(array: np.ndarray[Any, Any]) -> object:
    return weights._described("layer", array.astype(np.float64))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 8, 8, 9)),
        np.eye(16)[None, :, :, None],
        np.ones((1, 16, 16, 1)),
        np.full((1, 8, 8, 1), 1e-320),
        np.random.default_rng(0).standard_normal((1, 5, 40, 1)),
    ],
)
def test_layers_that_many_networks_share_tell_nothing(array: np.ndarray[Any, Any]) -> None:
    assert described_weights(array) is None


def test_rows_and_channels_of_zeros_are_left_out() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    array = rng.standard_normal((1, 16, 12, 9))
    padded = np.zeros((1, 20, 15, 9))
    padded[:, 2:18, 3:] = array
    assert described_weights(padded) == described_weights(array)


def test_groups_may_change_places() -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    array = rng.standard_normal((4, 8, 6, 9))
    mine, other = (weights._described("layer", each) for each in (array, array[::-1] * 3))
    assert mine is not None
    assert other is not None
    assert np.allclose(np.frombuffer(mine.values, "<f4"), np.frombuffer(other.values, "<f4"), atol=1e-5)


def packed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store the weights of the first convolution as int8 with a scale for each row, unpacked in the graph."""
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == "w2")
    array = numpy_helper.to_array(kernel)
    scale = (np.abs(array).max(axis=(1, 2, 3)) / 127).astype(np.float32)
    whole = np.rint(array / scale[:, None, None, None]).astype(np.int8)
    kept = [tensor for tensor in model.graph.initializer if tensor.name != "w2"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(
        [
            *kept,
            numpy_helper.from_array(whole, "whole"),
            numpy_helper.from_array(scale, "scale"),
            numpy_helper.from_array(np.zeros(len(scale), np.int8), "zero"),
        ]
    )
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["whole", "scale", "zero"], ["w2"], axis=0))
    return model


def test_weights_are_read_through_the_nodes_that_unpack_them(tmp_path: Path) -> None:
    plain = facts_of(network(opset=13, ir_version=8), tmp_path).need(WeightFingerprintFacts)
    found = facts_of(packed(network(opset=13, ir_version=8)), tmp_path).need(WeightFingerprintFacts)
    assert len(found.layers) == len(plain.layers) == 5
    assert found.left_out == 0


def test_weights_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    model = network()
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == "w2")
    array = numpy_helper.to_array(kernel).copy()
    array[0] = np.nan
    kernel.CopyFrom(numpy_helper.from_array(array, "w2"))
    found = facts_of(model, tmp_path).need(WeightFingerprintFacts)
    assert found.left_out == 1
    assert len(found.layers) == 4
