"""Every honest network of the third set can be submitted, looks at an image once and at all of it."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.blind import EVASIONS as FIRST_EVASIONS
from tests.blind import HONEST as FIRST_HONEST
from tests.blind.net import SIDE, Array
from tests.blind.proofs import session
from tests.blind.test_blind_builds import apart, images
from tests.blind_second import EVASIONS as SECOND_EVASIONS
from tests.blind_second import HONEST as SECOND_HONEST
from tests.blind_second.single_pass import copied_filters, second_runs

from .honest import HONEST
from .measure import look, model

TILE = 16
BLIND_TO_MIRRORING = "even_and_odd_kernels"
COLOURS = "colours_in_the_batch"
# Its kernels are made of four, each of which stands in every row of the Hamilton product.
QUATERNION = "quaternion_kernels"
# Weights that one run reads twice: kernels put together by nodes.
READ_TWICE = {QUATERNION: ("h0.", "h2.")}


@cache
def alone(name: str) -> Array:
    """Give the embeddings of the eight images, each run by itself."""
    return np.concatenate([look(name)(images()[i : i + 1]) for i in range(8)])


def between(name: str) -> Array:
    """Give each image's usual distance from the others of its kind, smooth ones or noise."""
    e = alone(name).reshape(2, 4, -1)
    distance = np.linalg.norm(e[:, :, None] - e[:, None], axis=3)
    return np.asarray(np.median(np.sort(distance, axis=2)[..., 1:], axis=2).reshape(8))


def exposed(name: str, *tensors: str) -> list[Array]:
    """Run three images and give tensors from inside."""
    made = onnx.ModelProto()
    made.CopyFrom(model(name))
    made.graph.output.extend(helper.make_empty_tensor_value_info(item) for item in tensors)
    return [np.asarray(item) for item in session(made).run(list(tensors), {"data": images()[:3]})]


def test_the_set_is_new() -> None:
    assert len(HONEST) == 24
    assert not HONEST.keys() & (FIRST_EVASIONS | FIRST_HONEST | SECOND_EVASIONS | SECOND_HONEST).keys()
    assert {case.rule for case in HONEST.values()} == {""}


def test_opsets_from_9_to_20() -> None:
    versions = {model(name).opset_import[0].version for name in HONEST}
    assert versions >= {9, 10, 11, 12, 13, 14, 15, 16, 17, 20}


@pytest.mark.parametrize("name", HONEST)
def test_is_a_submission(name: str) -> None:
    made = model(name)
    onnx.checker.check_model(made, full_check=True)
    assert made.SerializeToString(deterministic=True) == HONEST[name].build().SerializeToString(deterministic=True)
    (data,), (fc,) = made.graph.input, made.graph.output
    shape = data.type.tensor_type.shape.dim
    assert shape[0].dim_param
    assert [axis.dim_value for axis in shape[1:]] == [3, SIDE, SIDE]
    assert made.ByteSize() < 900_000
    embeddings = alone(name)
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (8, fc.type.tensor_type.shape.dim[1].dim_value)
    assert np.isfinite(embeddings).all()
    assert apart(look(name)(images()[:1]), embeddings[:1]) == 0
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert (unit @ unit.T)[~np.eye(8, dtype=bool)].max() < 0.9995


@pytest.mark.parametrize("name", HONEST)
def test_rows_are_independent(name: str) -> None:
    for order in ([3, 6], [5, 0, 7, 2, 1]):
        assert apart(look(name)(images()[order]), alone(name)[order]) < 1e-4


@pytest.mark.parametrize("name", HONEST)
def test_all_of_the_image_is_seen(name: str) -> None:
    """Wherever a tile of the image is replaced, the embedding changes."""
    count = SIDE // TILE
    tiled = np.repeat(images()[:1], count * count, axis=0)
    for at, image in enumerate(tiled):
        top, left = TILE * (at // count), TILE * (at % count)
        area = np.s_[:, top : top + TILE, left : left + TILE]
        image[area] = images()[5][area]
    moved = np.linalg.norm(look(name)(tiled) - alone(name)[0], axis=1)
    assert moved.min() > 0.02 * between(name)[0]


@pytest.mark.parametrize("name", HONEST)
def test_a_mirrored_image_is_another(name: str) -> None:
    moved = np.linalg.norm(look(name)(images()[..., ::-1]) - alone(name), axis=1)
    if name == BLIND_TO_MIRRORING:
        assert (moved < 1e-3 * between(name)).all()
    else:
        assert (moved > 0.3 * between(name)).all()


@pytest.mark.parametrize("name", HONEST)
def test_honest_body_runs_once(name: str) -> None:
    """No weight works twice but those declared tied, no filter is a copy, no convolution gets more rows."""
    made = model(name)
    found = second_runs(made, HONEST[name].tied + READ_TWICE.get(name, ()))
    assert len(found) == int(name == COLOURS)
    assert bool(HONEST[name].tied) == bool([item for item in second_runs(made, ()) if item.startswith("tied")])
    assert (copied_filters(made) > 0) == (name == QUATERNION)


def test_colours_are_folded_once() -> None:
    """The convolution gets each colour of each image, in order and nothing else."""
    (first,) = (node for node in model(COLOURS).graph.node if node.op_type == "Conv")
    (planes,) = exposed(COLOURS, first.input[0])
    assert (planes == images()[:3].reshape(9, 1, SIDE, SIDE)).all()


def test_the_film_has_one_frame() -> None:
    name = "film_of_one_frame"
    maps = exposed(name, *[node.output[0] for node in model(name).graph.node if node.op_type == "Conv"])
    assert {item.shape[:1] + item.shape[2:3] for item in maps} == {(3, 1)}


def test_windows_hold_every_feature_once() -> None:
    """Blocks and grids are the features in another order."""
    name = "blocks_and_grids"
    folds = [
        node for node in model(name).graph.node if node.op_type == "Transpose" and len(node.attribute[0].ints) == 6
    ]
    assert len(folds) == 4
    for node in folds:
        before, after = exposed(name, node.input[0], node.output[0])
        for one, other in zip(before, after.reshape(3, -1), strict=True):
            assert (np.sort(one.reshape(-1)) == np.sort(other)).all()


def test_even_and_odd_kernels_are_their_own_mirror_images() -> None:
    """Single passes of self-mirrored kernels need no second look to be blind to mirroring."""
    for item in model(BLIND_TO_MIRRORING).graph.initializer:
        kernel = numpy_helper.to_array(item)
        if kernel.ndim == 4:
            like = np.isclose(kernel, kernel[..., ::-1]).all((2, 3)) | np.isclose(kernel, -kernel[..., ::-1]).all(
                (2, 3)
            )
            assert like.all()


def test_conditions_change_nothing() -> None:
    """A batch of one takes the other branch of the last If, and its row is the same as in company."""
    name = "traced_shapes_and_conditions"
    assert [node.op_type for node in model(name).graph.node].count("If") == 2
    assert apart(look(name)(images()[:4]), alone(name)[:4]) < 1e-4
