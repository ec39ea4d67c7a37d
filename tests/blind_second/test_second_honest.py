"""Every network of the second blind set can be submitted, and the honest ones look at an image once."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.blind import EVASIONS as FIRST_EVASIONS
from tests.blind import HONEST as FIRST_HONEST
from tests.blind.net import SIDE
from tests.blind.proofs import session
from tests.blind.test_blind_builds import apart

from . import EVASIONS, HONEST
from .measure import ALL, alone, images, look, model
from .proofs import ROWS
from .single_pass import copied_filters, second_runs

FOLDED = "tiles_in_the_batch"
# Weights that one run reads twice: standardised by nodes, complex filters, queries with a residual.
READ_TWICE = {
    "weights_standardised_in_the_graph": ("n0", "n1"),
    "global_filters": ("filter",),
    "latents_that_read": ("latents",),
}


def test_the_set_is_new() -> None:
    assert not EVASIONS.keys() & HONEST.keys()
    assert not ALL.keys() & (FIRST_EVASIONS | FIRST_HONEST).keys()
    assert {case.rule for case in HONEST.values()} == {""}


@pytest.mark.parametrize("name", ALL)
def test_is_a_submission(name: str) -> None:
    made = model(name)
    onnx.checker.check_model(made, full_check=True)
    (data,), (fc,) = made.graph.input, made.graph.output
    shape = data.type.tensor_type.shape.dim
    assert shape[0].dim_param
    assert [axis.dim_value for axis in shape[1:]] == [3, SIDE, SIDE]
    assert 11 <= next(item.version for item in made.opset_import if not item.domain) <= 17
    assert made.ByteSize() < 900_000
    embeddings = alone(name)
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (8, fc.type.tensor_type.shape.dim[1].dim_value)
    assert np.isfinite(embeddings).all()
    for size in (2, 5):
        assert look(name)(images()[:size]).shape == embeddings[:size].shape
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert (unit @ unit.T)[~np.eye(8, dtype=bool)].max() < 0.9999


@pytest.mark.parametrize("name", [name for name in ALL if name not in ROWS])
def test_rows_are_independent(name: str) -> None:
    order = [5, 0, 7, 2, 1, 6]
    assert apart(look(name)(images()[order]), alone(name)[order]) < 1e-4


@pytest.mark.parametrize("name", HONEST)
def test_honest_body_runs_once(name: str) -> None:
    """No weight works twice but those declared tied, no filter is a copy, no convolution gets more rows."""
    made = model(name)
    found = second_runs(made, HONEST[name].tied + READ_TWICE.get(name, ()))
    if name == FOLDED:
        found = [item for item in found if "Conv" not in item and "Reshape" not in item and "Add" not in item]
    assert found == []
    assert bool(HONEST[name].tied) == bool([item for item in second_runs(made, ()) if item.startswith("tied")])
    assert copied_filters(made) == 0


def test_tiles_are_disjoint() -> None:
    """The rows of tiles hold every value of the features before them exactly once."""
    made = onnx.ModelProto()
    made.CopyFrom(model(FOLDED))
    first = next(node for node in made.graph.node if node.op_type == "Reshape")
    tile = next(node for node in made.graph.node if "tile0.w" in node.input)
    made.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in (first.input[0], tile.input[0]))
    before, tiles = session(made).run([first.input[0], tile.input[0]], {"data": images()[:3]})
    assert tiles.shape == (48, 24, 7, 7)
    for image, own in zip(before, tiles.reshape(3, -1), strict=True):
        assert (np.sort(image.reshape(-1)) == np.sort(own)).all()


def test_symmetric_kernels_are_blind_to_mirroring() -> None:
    """The embedding of the mirrored image is the same, without a second look."""
    name = "symmetric_kernels_everywhere"
    assert apart(look(name)(images()[..., ::-1]), alone(name)) < 1e-3
