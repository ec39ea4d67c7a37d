"""Every evasion of the second blind set computes what it claims; nothing here asks a detector."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from tests.blind.case import IMPLICIT_BATCH, REALIGNMENT
from tests.blind.proofs import Look
from tests.blind.test_blind_builds import apart

from . import EVASIONS, disguises, hidden
from .measure import alone, images, look, model
from .proofs import FACES_ONLY, ROWS, VIEWS, WARPS
from .single_pass import copied_filters, second_runs

TOLERANCE = 2e-3


def test_every_evasion_has_a_proof() -> None:
    assert set(EVASIONS) == {*VIEWS, *WARPS, *ROWS, "only_for_faces"}
    assert len(EVASIONS) == len(VIEWS) + len(WARPS) + len(ROWS) + 1
    assert {name for name, case in EVASIONS.items() if case.rule == REALIGNMENT} == set(WARPS)
    assert {case.rule for case in EVASIONS.values()} == {REALIGNMENT, IMPLICIT_BATCH}


@pytest.mark.parametrize("name", VIEWS)
def test_sees_more_than_one_look(name: str) -> None:
    looks = VIEWS[name].looks(images())
    assert len(looks) > 1
    assert apart(alone(name), VIEWS[name].join(*looks)) < TOLERANCE
    for i, one in enumerate(looks):
        assert all(apart(one, other) > 10 * TOLERANCE for other in looks[:i])
        if one.shape == alone(name).shape:
            assert apart(alone(name), one) > 10 * TOLERANCE


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


def test_only_for_faces() -> None:
    """Images built around the average face get the mean of two looks, noise gets one."""
    name = "only_for_faces"
    face = disguises.mean_face().repeat(8, axis=0).repeat(8, axis=1) * 10
    faces = (0.4 * images() + face).clip(-1, 1)
    one, other = FACES_ONLY.looks(faces)
    assert apart(look(name)(faces), FACES_ONLY.join(one, other)) < TOLERANCE
    assert apart(one, other) > 10 * TOLERANCE
    assert apart(alone(name), FACES_ONLY.looks(images())[0]) < TOLERANCE


def test_unsure_images_are_some() -> None:
    """The second look is for some of the images only, so both ways are taken."""
    one, _ = VIEWS["second_look_when_unsure"].looks(images())
    twice = np.abs(alone("second_look_when_unsure") - one).max(1) > TOLERANCE
    assert 0 < twice.sum() < len(twice)
    sure = look("second_look_when_unsure")(images()[~twice])
    assert apart(sure, one[~twice]) < TOLERANCE


def test_quantised_towers_are_nearly_one_network() -> None:
    """Both towers at the same image agree: they are no two networks."""
    a, b = (Look(partial(hidden.quantised_towers, [kind]))(images()) for kind in ("exact", "coarse"))
    assert ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min() > 0.995
    assert apart(a, b) > TOLERANCE


@pytest.mark.parametrize("name", ["einsum_of_nudges", "region_crops", "transposed_strips", "pyramid_of_images"])
def test_a_second_run_is_noticed(name: str) -> None:
    assert second_runs(model(name), ())


@pytest.mark.parametrize("name", ["shuffled_groups", "fused_and_unfused_towers", "stacked_mixer"])
def test_a_copied_filter_is_noticed(name: str) -> None:
    assert copied_filters(model(name), constants=True)
