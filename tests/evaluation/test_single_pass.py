"""Every honest network of the blind sets sees an image once, and all of it; nothing here asks the product."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from evaluation.builder import Array
from evaluation.cases import get, load, one_of_each_idea
from evaluation.honest import adaptive_kernels
from evaluation.images import SIDE, smooth_and_noise
from evaluation.proof import TOLERANCE, alone, distance
from evaluation.proofs.single_pass import copied_filters, second_runs
from evaluation.runtime import Network, session

TILE = 16
#: Networks that give a mirrored image the same embedding without a second view.
FLIP_INVARIANT = {"even_and_odd_kernels"}
#: Networks that fold parts of an image, disjoint ones, into the batch before a convolution.
FOLDED = {"tiles_in_the_batch", "colours_in_the_batch"}
#: A network whose kernels are made of four, each of which stands in every row of the Hamilton product.
QUATERNION = "quaternion_kernels"
#: Weights that one run reads twice: standardised by nodes, complex filters, queries with a residual, joined kernels.
READ_TWICE = {
    "weights_standardised_in_the_graph": ("n0", "n1"),
    "global_filters": ("filter",),
    "latents_that_read": ("latents",),
    QUATERNION: ("h0.", "h2."),
}
BLIND = [case.name for label in ("blind-1", "blind-2", "blind-3") for case in load(label, kind="passed")]
#: One network of each idea that no set before had; the rest is marked slow.
CHOSEN = {case.name for case in one_of_each_idea("passed")}


def some(names: list[str]) -> list[object]:
    """Mark all but one network of each idea as slow."""
    return [pytest.param(name, marks=() if name in CHOSEN else (pytest.mark.slow,)) for name in names]


@cache
def model(name: str) -> onnx.ModelProto:
    return get(name).build()


@cache
def network(name: str) -> Network:
    return Network(lambda: model(name))


@cache
def embeddings(name: str) -> Array:
    return alone(network(name), smooth_and_noise())


def between(name: str) -> Array:
    """Return each image's usual distance from the others of its kind, smooth ones or noise."""
    e = embeddings(name).reshape(2, 4, -1)
    apart = np.linalg.norm(e[:, :, None] - e[:, None], axis=3)
    return np.asarray(np.median(np.sort(apart, axis=2)[..., 1:], axis=2).reshape(8))


def exposed(name: str, *tensors: str) -> list[Array]:
    """Run three images and return tensors from inside."""
    made = onnx.ModelProto()
    made.CopyFrom(model(name))
    made.graph.output.extend(helper.make_empty_tensor_value_info(item) for item in tensors)
    return [np.asarray(item) for item in session(made).run(list(tensors), {"data": smooth_and_noise()[:3]})]


@pytest.mark.parametrize("name", some(BLIND))
def test_the_body_runs_once(name: str) -> None:
    """No weight works twice but those declared tied, no filter is a copy, no convolution gets more rows than images."""
    made, tied = model(name), get(name).tied
    found = second_runs(made, tied + READ_TWICE.get(name, ()))
    if name in FOLDED:
        found = [item for item in found if item.split("_")[0] not in ("Conv", "Reshape", "Add", "Relu", "Transpose")]
    assert found == []
    if tied:
        assert [item for item in second_runs(made, ()) if item.startswith(tied)]
    if get(name).split != "blind-1":
        assert (copied_filters(made) > 0) == (name == QUATERNION)


@pytest.mark.parametrize("name", some([case.name for case in load("blind-3", kind="passed")]))
def test_all_of_the_image_is_seen(name: str) -> None:
    """Wherever a tile of the image is replaced, the embedding changes."""
    count, images = SIDE // TILE, smooth_and_noise()
    tiled = np.repeat(images[:1], count * count, axis=0)
    for at, image in enumerate(tiled):
        top, left = TILE * (at // count), TILE * (at % count)
        area = np.s_[:, top : top + TILE, left : left + TILE]
        image[area] = images[5][area]
    moved = np.linalg.norm(network(name)(tiled) - embeddings(name)[0], axis=1)
    assert moved.min() > 0.02 * between(name)[0]


@pytest.mark.parametrize("name", some([case.name for case in load("blind-3", kind="passed")]))
def test_a_mirrored_image_is_another(name: str) -> None:
    moved = np.linalg.norm(network(name)(smooth_and_noise()[..., ::-1]) - embeddings(name), axis=1)
    if name in FLIP_INVARIANT:
        assert (moved < 1e-3 * between(name)).all()
    else:
        assert (moved > 0.3 * between(name)).all()


def test_reflection_group_is_one_network() -> None:
    """It is flip-invariant, and no two branches: what the halves read of each other shapes the embedding."""
    name, build, images = (
        "reflection_group_convolutions",
        adaptive_kernels.reflection_group_convolutions,
        smooth_and_noise(),
    )
    assert distance(alone(network(name), images[..., ::-1]), embeddings(name)) < TOLERANCE
    assert distance(Network(lambda: build(0.0))(images), embeddings(name)) > 0.5
    assert distance(Network(lambda: build(0.99))(images), embeddings(name)) > TOLERANCE


def test_symmetric_kernels_need_no_second_view() -> None:
    name = "symmetric_kernels_everywhere"
    assert distance(network(name)(smooth_and_noise()[..., ::-1]), embeddings(name)) < 1e-3


def test_tiles_are_disjoint() -> None:
    """The rows of tiles hold every value of the features before them exactly once."""
    name = "tiles_in_the_batch"
    first = next(node for node in model(name).graph.node if node.op_type == "Reshape")
    tile = next(node for node in model(name).graph.node if "tile0.w" in node.input)
    before, tiles = exposed(name, first.input[0], tile.input[0])
    assert tiles.shape == (48, 24, 7, 7)
    for image, own in zip(before, tiles.reshape(3, -1), strict=True):
        assert (np.sort(image.reshape(-1)) == np.sort(own)).all()


def test_colours_are_folded_once() -> None:
    """The convolution gets each colour of each image, in order and nothing else."""
    (first,) = (node for node in model("colours_in_the_batch").graph.node if node.op_type == "Conv")
    (planes,) = exposed("colours_in_the_batch", first.input[0])
    assert (planes == smooth_and_noise()[:3].reshape(9, 1, SIDE, SIDE)).all()


def test_the_film_has_one_frame() -> None:
    name = "film_of_one_frame"
    maps = exposed(name, *[node.output[0] for node in model(name).graph.node if node.op_type == "Conv"])
    assert {item.shape[:1] + item.shape[2:3] for item in maps} == {(3, 1)}


def test_windows_hold_every_feature_once() -> None:
    """Blocks and grids are the features in another order."""
    name = "blocks_and_grids"
    nodes = [node for node in model(name).graph.node if node.op_type == "Transpose"]
    folds = [node for node in nodes if len(node.attribute[0].ints) == 6]
    assert len(folds) == 4
    for node in folds:
        before, after = exposed(name, node.input[0], node.output[0])
        for one, other in zip(before, after.reshape(3, -1), strict=True):
            assert (np.sort(one.reshape(-1)) == np.sort(other)).all()


def test_even_and_odd_kernels_are_their_own_mirror_images() -> None:
    """Single passes of such kernels need no second view to give a mirrored image the same embedding."""
    for item in model("even_and_odd_kernels").graph.initializer:
        kernel = numpy_helper.to_array(item)
        if kernel.ndim == 4:
            even, odd = (np.isclose(kernel, sign * kernel[..., ::-1]).all((2, 3)) for sign in (1, -1))
            assert (even | odd).all()


def test_conditions_change_nothing() -> None:
    """A batch of one takes the other branch of the last If, and its row is the same as among others."""
    name = "traced_shapes_and_conditions"
    assert [node.op_type for node in model(name).graph.node].count("If") == 2
    assert distance(network(name)(smooth_and_noise()[:4]), embeddings(name)[:4]) < 1e-4
