"""The models themselves: valid, runnable, sane in their numbers, the same for the same seed."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from pytest_facechallenge.refnets import build, iresnet, mobilefacenet, options, vit
from pytest_facechallenge.refnets.network import INPUT_NAME, OUTPUT_NAME

from .oracle import bare

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = ("iresnet18", "y2", "vargfacenet", "mobilefacenet-small", "vit-tiny")
NORMALISING = ("y2", "vargfacenet", "r100fc")


@lru_cache
def session(name: str, *, fold_batchnorm: bool = True) -> onnxruntime.InferenceSession:
    chosen = {"fold_batchnorm": False} if not fold_batchnorm else {}
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 2
    model = build(name, **chosen).SerializeToString()
    return onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def images(name: str) -> NDArray[np.float32]:
    """Three images, one of noise, one coarse and one nearly flat, in the input convention of the network."""
    draw = np.random.Generator(np.random.PCG64(7))
    noise = draw.integers(0, 256, (3, 112, 112))
    coarse = np.kron(draw.integers(0, 256, (3, 14, 14)), np.ones((8, 8)))
    flat = 200 + draw.integers(0, 8, (3, 112, 112))
    pixels = np.stack([noise, coarse, flat]).astype(np.float32)
    return pixels if name in NORMALISING else (pixels - np.float32(127.5)) / np.float32(127.5)


def embed(session: onnxruntime.InferenceSession, data: NDArray[np.float32]) -> NDArray[np.float32]:
    (embeddings,) = session.run(None, {INPUT_NAME: data})
    return np.asarray(embeddings)


@pytest.mark.parametrize("name", SMALL)
def test_checker_accepts(name: str) -> None:
    onnx.checker.check_model(build(name), full_check=True)


@pytest.mark.parametrize("name", [name for name in SMALL if "fold_batchnorm" in options(name)])
def test_checker_accepts_training_graph(name: str) -> None:
    onnx.checker.check_model(build(name, fold_batchnorm=False), full_check=True)


@pytest.mark.parametrize("name", SMALL)
def test_embeddings_are_sane_and_tell_images_apart(name: str) -> None:
    embeddings = embed(session(name), images(name))
    assert np.isfinite(embeddings).all()
    assert 0.3 < embeddings.std() < 3
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert (unit @ unit.T)[np.triu_indices(3, 1)].max() < 0.99


@pytest.mark.parametrize("name", SMALL)
def test_batch_gives_what_single_images_give(name: str) -> None:
    data = images(name)
    singly = np.concatenate([embed(session(name), data[i : i + 1]) for i in range(len(data))])
    np.testing.assert_allclose(embed(session(name), data), singly, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in SMALL if "fold_batchnorm" in options(name)])
def test_folded_and_training_graph_are_one_function(name: str) -> None:
    data = images(name)[:2]
    folded, training = embed(session(name), data), embed(session(name, fold_batchnorm=False), data)
    np.testing.assert_allclose(folded, training, atol=2e-3)


def test_folding_leaves_no_batchnorm_behind_a_convolution() -> None:
    def followers(model: onnx.ModelProto) -> set[str]:
        makers = {output: node.op_type for node in model.graph.node for output in node.output}
        return {makers[node.input[0]] for node in model.graph.node if node.op_type == "BatchNormalization"}

    assert "Conv" in followers(bare("iresnet18", fold_batchnorm=False).model)
    assert followers(bare("iresnet18").model) == {"PRelu", "Add", "Gemm"}


def test_training_graph_has_no_convolution_with_a_bias() -> None:
    model = bare("iresnet18", fold_batchnorm=False).model
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert {len(node.input) for node in convolutions} == {2}


@pytest.mark.parametrize("name", SMALL)
def test_server_runtime_of_2021_can_load(name: str) -> None:
    """The limits of onnxruntime 1.6: opset 13, IR 7; and its PRelu fails when run on a slope that is not [C, 1, 1]."""
    model = bare(name).model
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 11)]
    assert model.ir_version == 6
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    slopes = [weights[node.input[1]] for node in model.graph.node if node.op_type == "PRelu"]
    assert all(len(slope) == 3 and slope[1:] == [1, 1] for slope in slopes)


@pytest.mark.parametrize(("batch", "expected"), [("N", "N"), ("batch", "batch"), (4, 4)])
def test_interface(batch: int | str, expected: int | str) -> None:
    graph = build("mobilefacenet-small", batch=batch, embedding=96).graph
    assert [value.name for value in graph.input] == [INPUT_NAME]
    assert [value.name for value in graph.output] == [OUTPUT_NAME]
    shapes = [
        [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    ]
    assert shapes == [[expected, 3, 112, 112], [expected, 96]]


@pytest.mark.parametrize(("name", "normalises"), [("vargfacenet", True), ("y2", True), ("iresnet18", False)])
def test_normalising_networks_show_it_to_the_server(name: str, normalises: bool) -> None:
    """The MFR21 server looks for a node named Sub… and one named Mul… among the first eight."""
    first = [node.name for node in bare(name).model.graph.node[:8]]
    assert any(node.startswith("Sub") for node in first) is normalises
    assert any(node.startswith("Mul") for node in first) is normalises


def test_seed_decides_the_weights() -> None:
    one, same, other = (mobilefacenet(0.25, seed=seed).SerializeToString(deterministic=True) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_no_two_layers_share_their_weights() -> None:
    model = build("mobilefacenet-small")
    arrays = [numpy_helper.to_array(tensor).ravel() for tensor in model.graph.initializer]
    assert len({array[:8].tobytes() for array in arrays}) == len(arrays)


@pytest.mark.parametrize(("depth", "nodes"), [(1, 61), (4, 196)])
def test_transformer_grows_by_45_nodes_a_block(depth: int, nodes: int) -> None:
    assert len(vit(depth, 16, 2, 56).graph.node) == nodes


def test_deep_transformer_has_about_2000_nodes() -> None:
    assert len(bare("vit-deep").model.graph.node) == 1996


def test_vargfacenet_with_gates_has_two_convolutions_more_per_unit() -> None:
    plain, gated = (build("vargfacenet", squeeze_excitation=gates).graph.node for gates in (False, True))
    operators = [sum(node.op_type == "Conv" for node in nodes) for nodes in (plain, gated)]
    # The head's unit and stages of 3, 7 and 4 units whose first has branches.
    assert operators[1] - operators[0] == 2 * (1 + 2 + 6 + 3)


def test_wider_mobilefacenet_is_larger() -> None:
    sizes = [mobilefacenet(width).ByteSize() for width in (0.1, 0.5, 1.0)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_unknown_network_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'r50'; there are iresnet18, .*vit-deep"):
        build("r50")


def test_option_that_a_network_lacks_names_its_options() -> None:
    with pytest.raises(TypeError, match=r"vit-tiny does not take fold_batchnorm; its options are .*seed, batch"):
        build("vit-tiny", fold_batchnorm=False)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"batch": 0}, "batch must be at least 1 or the name of a dynamic axis such as 'N', got 0"),
        ({"batch": ""}, "batch must be at least 1 or the name of a dynamic axis such as 'N', got ''"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"embedding": 0}, "the embedding must have at least 1 value, got 0"),
    ],
)
@pytest.mark.parametrize("name", ["mobilefacenet-small", "y2", "vit-tiny"])
def test_option_out_of_range(name: str, chosen: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, **chosen)


def test_depth_width_and_heads_out_of_range() -> None:
    with pytest.raises(ValueError, match="18, 34, 50, 100, 200; got 101"):
        iresnet(101)
    with pytest.raises(ValueError, match="width must be above 0, got -1"):
        mobilefacenet(-1)
    with pytest.raises(ValueError, match="heads must divide dim, got dim=10, heads=4"):
        vit(1, 10, 4)
    with pytest.raises(ValueError, match=r"patch between 1 and 112; got .*patch=113"):
        vit(patch=113)


def test_weights_that_repeat_are_as_sane_and_no_two_filters_are_the_same() -> None:
    model = build("iresnet18", drawn=65_521, fold_batchnorm=False)
    drawn = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    kernel = drawn["stage3_unit2_conv1_weight"]
    assert len(np.unique(kernel)) <= 65_521 < kernel.size
    assert len(np.unique(kernel.reshape(len(kernel), -1), axis=0)) == len(kernel)
    run = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert 0.3 < np.sqrt(np.mean(embed(run, images("iresnet18")) ** 2)) < 3
    assert [each.op_type for each in model.graph.node] == [
        each.op_type for each in build("iresnet18", fold_batchnorm=False).graph.node
    ]
