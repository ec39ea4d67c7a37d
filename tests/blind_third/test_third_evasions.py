"""Every evasion of the third blind set computes what it claims; nothing here asks a detector."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
import pytest

from tests.blind.case import IMPLICIT_BATCH, REALIGNMENT
from tests.blind.net import SIDE
from tests.blind.proofs import Look
from tests.blind.test_blind_builds import apart

from . import everyday, furtive, host
from .evasions import EVASIONS
from .measure import alone, images, look, model
from .proofs import ROWS, VIEWS, WARPS

TOLERANCE = 2e-3
# One wide sequence in which both images meet in every layer: no join of two looks.
TOGETHER = "one_sequence_of_both"
ALONE = "turned_when_alone"


def test_every_evasion_has_a_proof() -> None:
    assert set(EVASIONS) == {*VIEWS, *WARPS, *ROWS, TOGETHER}
    assert len(EVASIONS) == len(VIEWS) + len(WARPS) + len(ROWS) + 1
    assert {name for name, case in EVASIONS.items() if case.rule == REALIGNMENT} == set(WARPS)
    assert {case.rule for case in EVASIONS.values()} == {REALIGNMENT, IMPLICIT_BATCH}


@pytest.mark.parametrize("name", EVASIONS)
def test_is_a_submission(name: str) -> None:
    made = model(name)
    onnx.checker.check_model(made, full_check=True)
    assert made.ByteSize() < 700_000
    (data,), (fc,) = made.graph.input, made.graph.output
    assert data.type.tensor_type.shape.dim[0].dim_param
    assert [axis.dim_value for axis in data.type.tensor_type.shape.dim[1:]] == [3, SIDE, SIDE]
    batch = look(name)(images())
    assert batch.shape == alone(name).shape == (8, fc.type.tensor_type.shape.dim[1].dim_value)
    unit = alone(name) / np.linalg.norm(alone(name), axis=1, keepdims=True)
    assert (unit @ unit.T)[~np.eye(8, dtype=bool)].max() < 0.999
    assert np.isfinite(batch).all()
    assert EVASIONS[name].build().SerializeToString() == made.SerializeToString()


@pytest.mark.parametrize("name", [name for name in EVASIONS if name not in {*ROWS, ALONE}])
def test_rows_are_independent(name: str) -> None:
    order = [5, 0, 7, 2, 1, 6]
    assert apart(look(name)(images()[order]), alone(name)[order]) < TOLERANCE / 10


@pytest.mark.parametrize("name", VIEWS)
def test_sees_more_than_one_look(name: str) -> None:
    looks = VIEWS[name].looks(images())
    assert len(looks) > 1
    assert apart(alone(name), VIEWS[name].join(*looks)) < TOLERANCE
    for i, one in enumerate(looks):
        assert all(apart(one, other) > 10 * TOLERANCE for other in looks[:i])
        if one.shape == alone(name).shape:
            assert apart(alone(name), one) > 10 * TOLERANCE


def test_one_sequence_holds_the_flip() -> None:
    """The other half of the sequence is the flip, and the embedding would be another one without it."""
    pair = Look(partial(everyday.one_sequence_of_both, given=True))
    assert apart(alone(TOGETHER), pair(images(), other=host.mirrored(images()))) < TOLERANCE
    assert apart(alone(TOGETHER), pair(images(), other=images())) > 0.1
    assert apart(alone(TOGETHER), pair(host.mirrored(images()), other=host.mirrored(images()))) > 0.1


def test_company_gets_one_look() -> None:
    once, _ = VIEWS[ALONE].looks(images())
    for size in (2, 3, 8):
        assert apart(look(ALONE)(images()[:size]), once[:size]) < TOLERANCE
    assert apart(look(ALONE)(images()), alone(ALONE)) > 0.1


def test_compressed_image() -> None:
    """All but a few coefficients, which lie between two steps, are rounded as the host rounds them."""
    made = Look(partial(furtive.compressed_for_a_retrained_copy, "image"))(images()).reshape(images().shape)
    assert np.mean(np.abs(made - host.compressed(images())) < 1e-4) > 0.999
    assert apart(made, images()) > 0.1


def test_retrained_copy_is_nearly_the_first_tower() -> None:
    """Both towers at the same image agree: they are no two networks."""
    towers = [Look(partial(furtive.compressed_for_a_retrained_copy, name)) for name in ("first", "second")]
    a, b = (tower(images()) for tower in towers)
    assert ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min() > 0.98
    assert apart(a, b) > 10 * TOLERANCE


@pytest.mark.parametrize("name", WARPS)
def test_sees_a_warped_image(name: str) -> None:
    build, warp = WARPS[name]
    plain, warped = Look(build), warp(images())
    assert apart(alone(name), plain(warped)) < TOLERANCE
    assert apart(alone(name), plain(images())) > 0.1
    assert apart(warped, images()) > 0.1


@pytest.mark.parametrize("name", ROWS)
def test_a_row_changes_with_its_company(name: str) -> None:
    for size in (2, 5, 8):
        assert apart(look(name)(images()[:size]), ROWS[name](images()[:size])) < TOLERANCE
    batch = look(name)(images())
    batch, single = (e / np.linalg.norm(e, axis=1, keepdims=True) for e in (batch, alone(name)))
    assert apart(batch, single) > 10 * TOLERANCE
