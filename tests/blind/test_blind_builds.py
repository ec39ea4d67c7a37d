"""Every network of the blind set is what it claims to be; nothing here asks a detector."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import pytest
from onnx import helper
from scipy.ndimage import gaussian_filter

from . import EVASIONS, HONEST, honest_conv
from .case import IMPLICIT_BATCH, REALIGNMENT
from .net import SIDE, Array, single
from .proofs import VIEWS, WARPS, Look, session

ALL = EVASIONS | HONEST
ROWS = ("centred_in_large_batches", "near_duplicates_pooled", "shared_expert_capacity", "statistics_over_folded_rows")
TOLERANCE = 2e-3


@cache
def images() -> Array:
    """Make four smooth images and four of noise, [8, 3, 112, 112] in -1..1."""
    noise = np.random.default_rng(7).uniform(-1, 1, (8, 3, SIDE, SIDE))
    smooth = gaussian_filter(noise[:4], (0, 0, 5, 5))
    noise[:4] = smooth / np.abs(smooth).max((1, 2, 3), keepdims=True)
    return noise.astype(np.float32)


@cache
def model(name: str) -> onnx.ModelProto:
    return ALL[name].build()


@cache
def look(name: str) -> Look:
    return Look(lambda: model(name))


@cache
def alone(name: str) -> Array:
    """Give the embeddings of the eight images, each run by itself."""
    return np.concatenate([look(name)(images()[i : i + 1]) for i in range(8)])


def apart(a: Array, b: Array) -> float:
    return float(np.abs(a - b).max())


def test_every_evasion_has_a_proof() -> None:
    assert set(EVASIONS) == {*VIEWS, *WARPS, *ROWS}
    assert {name for name, case in EVASIONS.items() if case.rule == REALIGNMENT} == set(WARPS)
    assert {case.rule for case in EVASIONS.values()} == {REALIGNMENT, IMPLICIT_BATCH}
    assert {case.rule for case in HONEST.values()} == {""}
    assert not EVASIONS.keys() & HONEST.keys()


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
    assert embeddings.shape == (8, fc.type.tensor_type.shape.dim[1].dim_value)
    for rows in range(1, 9):
        batch = look(name)(images()[:rows])
        assert batch.shape == embeddings[:rows].shape
        assert np.isfinite(batch).all()
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert (unit @ unit.T)[~np.eye(8, dtype=bool)].max() < 0.9999


@pytest.mark.parametrize("name", [name for name in ALL if name not in ROWS])
def test_rows_are_independent(name: str) -> None:
    order = [5, 0, 7, 2, 1, 6]
    assert apart(look(name)(images()[order]), alone(name)[order]) < 1e-4


@pytest.mark.parametrize("name", VIEWS)
def test_sees_more_than_one_look(name: str) -> None:
    embeddings = alone(name)
    assert apart(embeddings, VIEWS[name].combined(images())) < TOLERANCE
    # The last columns, because concatenated embeddings begin with the ordinary look.
    once = VIEWS[name].once(images())
    assert np.abs(embeddings[:, -once.shape[1] :] - once)[:4].max(1).min() > 10 * TOLERANCE


def test_only_when_smooth_leaves_noise_alone() -> None:
    once = VIEWS["only_when_smooth"].once(images())
    assert apart(alone("only_when_smooth")[4:], once[4:]) < 1e-4


@pytest.mark.parametrize("name", WARPS)
def test_sees_a_warped_image(name: str) -> None:
    seed, opset, warp = WARPS[name]
    plain = Look(lambda: single(seed, opset))
    warped = warp(images())
    assert apart(alone(name), plain(warped)) < TOLERANCE
    assert apart(alone(name), plain(images())) > 0.1
    assert apart(warped, images()) > 0.1


def test_centred_in_large_batches() -> None:
    name = "centred_in_large_batches"
    assert apart(look(name)(images()[:4]), alone(name)[:4]) < 1e-4
    assert apart(look(name)(images()), alone(name) - alone(name).mean(0)) < 1e-4
    assert np.abs(alone(name).mean(0)).max() > 0.1


def test_near_duplicates_pooled() -> None:
    name = "near_duplicates_pooled"
    assert apart(look(name)(images()), alone(name)) < 1e-4
    twin = images()[:1, :, :, ::-1] * 0.1 + images()[:1]
    batch = look(name)(np.concatenate([images()[:3], twin]))
    assert apart(batch[1:3], alone(name)[1:3]) < 1e-4
    assert apart(batch[0], alone(name)[0]) > 1e-2
    own = look(name)(twin)[0]
    share = np.linalg.lstsq((own - alone(name)[0])[:, None], batch[0] - alone(name)[0], rcond=None)[0][0]
    assert 0.1 < share < 0.9
    assert apart(batch[0], (1 - share) * alone(name)[0] + share * own) < 1e-4


@pytest.mark.parametrize("name", ["shared_expert_capacity", "statistics_over_folded_rows"])
def test_a_row_changes_with_its_company(name: str) -> None:
    batch = look(name)(images())
    assert apart(batch, alone(name)) > 1e-2
    assert apart(look(name)(images()[:2])[0], alone(name)[0]) > 1e-2


def readers(graph: onnx.GraphProto) -> list[str]:
    """List what nodes read, once for every reader, subgraphs included."""
    names: list[str] = []
    for node in graph.node:
        names += node.input
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                names += readers(attribute.g)
    return names


def second_runs(made: onnx.ModelProto, tied: tuple[str, ...]) -> list[str]:
    """List weights that work twice although not declared tied, and convolutions that get other rows than images."""
    graph = made.graph
    read = readers(graph)
    large = {item.name for item in graph.initializer if len(item.dims) > 1 and np.prod(item.dims) >= 64}
    found = sorted(name for name in large if read.count(name) > 1 and not any(name.startswith(item) for item in tied))
    inputs = {node.input[0] for node in graph.node if node.op_type == "Conv"} - {"data"} - large
    exposed = onnx.ModelProto()
    exposed.CopyFrom(made)
    exposed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in sorted(inputs))
    results = session(exposed).run(["fc", *sorted(inputs)], {"data": images()[:3]})[1:]
    return found + [name for name, result in zip(sorted(inputs), results, strict=True) if len(result) != 3]


@pytest.mark.parametrize("name", HONEST)
def test_honest_body_runs_once(name: str) -> None:
    first = [node.op_type for node in model(name).graph.node if "data" in node.input]
    assert first in (["Conv"], ["SpaceToDepth"])
    assert second_runs(model(name), HONEST[name].tied) == []
    assert bool(HONEST[name].tied) == bool(second_runs(model(name), ()))


@pytest.mark.parametrize("name", ["dense_orthogonal_mirror", "tinted_stem", "zoomed_stem", "crop_taps", "even_and_odd"])
def test_a_second_run_is_noticed(name: str) -> None:
    assert second_runs(model(name), ())


def test_reflection_group_is_one_network() -> None:
    """It is flip-invariant, and no two towers: what the halves read of each other shapes the embedding."""
    name = "reflection_group_convolutions"
    assert apart(look(name)(images()[..., ::-1]), alone(name)) < TOLERANCE
    unmixed = Look(lambda: honest_conv.reflection_group_convolutions(0.0))
    assert apart(unmixed(images()), alone(name)) > 0.5
    assert apart(Look(lambda: honest_conv.reflection_group_convolutions(0.99))(images()), alone(name)) > TOLERANCE
