"""The blind sets from the fifth on: what their networks have to be, shown by running them; nothing asks the product."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from evaluation.blind4.chains import patch_chain
from evaluation.blind4.claims import apart, computes, mirror, plain
from evaluation.builder import Array
from evaluation.cases import FOLDERS, get, load
from evaluation.images import faces
from evaluation.proof import PROOFS, alone
from evaluation.proofs.single_pass import readers
from evaluation.runtime import Network

LABELS = [label for label in FOLDERS if label != "blind-4"]
HONEST = [case.name for label in LABELS for case in load(label, kind="passed")]
#: One in a hundred in the default run; the rest is marked slow.
SOME = [pytest.param(name, marks=() if i % 100 == 0 else (pytest.mark.slow,)) for i, name in enumerate(HONEST)]
CHANCE = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
#: Wide types that hold sizes and places, of which a network has few.
WIDE = {TensorProto.INT64, TensorProto.BOOL, TensorProto.DOUBLE, TensorProto.INT32}


@cache
def model(name: str) -> onnx.ModelProto:
    return get(name).build()


@pytest.mark.parametrize("label", LABELS)
def test_a_set_is_as_large_as_it_has_to_be(label: str) -> None:
    evading = {case.name for case in load(label, kind="failed")}
    assert len(evading) >= 60
    assert len(load(label, kind="passed")) >= 100
    assert evading <= PROOFS.keys()


@pytest.mark.parametrize("name", SOME)
def test_an_honest_network_is_honest(name: str) -> None:
    """Weights in float32, no chance, each image by itself, and an embedding that a flip test would not give."""
    made = model(name)
    assert len(made.graph.node) >= 8
    for item in made.graph.initializer:
        assert item.data_type == TensorProto.FLOAT or (item.data_type in WIDE and np.prod(item.dims) <= 2500), item.name
    assert not {node.op_type for node in made.graph.node} & CHANCE
    source = made.graph.input[0].name
    assert readers(made.graph).count(source) >= 1
    (sink,) = made.graph.output
    raw = get(name).raw
    network, x = Network(lambda: made), faces(4, 5, raw=raw)
    single = alone(network, x)
    width = sink.type.tensor_type.shape.dim[1]
    assert single.shape == (4, width.dim_value or single.shape[1])
    assert single.shape[1] <= 512
    assert np.isfinite(single).all()
    others = np.concatenate([x[:2], faces(3, 77, raw=raw)])
    assert apart(network(others)[:2], single[:2]) < 1e-5, "other images in the batch change the embedding"
    assert apart(network(x), network(x)) < 1e-6
    assert apart(alone(network, np.ascontiguousarray(mirror(x))), single) > 1e-3, "the mirror image is embedded alike"


@pytest.mark.parametrize("name", ["two_groups_of_which_one_is_mirrored", "loop_that_moves_the_image"])
def test_a_claim_is_refuted_by_the_network_that_looks_once(name: str) -> None:
    shown = PROOFS[name].shown
    assert shown is not None
    assert shown(plain(patch_chain, "folded patches", 14))


def test_a_claim_needs_the_second_look_to_matter() -> None:
    """A formula that a rival gives as well shows nothing."""
    network = Network(lambda: model("written_plain"))

    def embedding(x: Array) -> Array:
        return alone(network, x)

    assert computes(embedding, embedding)(network)
