"""Every kind of copy is found, by weights and by behaviour, and no two independent networks are."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
import pytest

from evaluation.duplicates import copies
from pytest_facechallenge.fingerprints.compare import Subject, likenesses, related, shared_layers
from pytest_facechallenge.fingerprints.relation import SAME_BEHAVIOUR, Relation
from tests.support.fingerprints import subject_of
from tests.support.models import network

WIDTH = 64
KINDS = copies.kinds(WIDTH)
#: These compute the same to the last digits.
EXACT = ("other names and order", "another operator set", "BatchNormalization unfolded",
         "channels permuted and rescaled", "both", "embedding rotated")  # fmt: skip
#: Too much noise for a small layer's spectrum, and no change to what the network does.
BY_BEHAVIOUR = ("noise of 5 %",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the models of this module."""
    return tmp_path_factory.mktemp("copies")


@pytest.fixture(scope="module")
def original(folder: Path) -> tuple[onnx.ModelProto, Subject]:
    """A network and its fingerprints."""
    model = network(dim=WIDTH)
    return model, subject_of(model, folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_found(kind: str, original: tuple[onnx.ModelProto, Subject], folder: Path) -> None:
    model, mine = original
    other = subject_of(KINDS[kind](model), folder)
    (pair,) = related([mine, other])
    assert pair.relation is Relation.COPY, pair
    if kind not in BY_BEHAVIOUR:
        assert pair.same_layers == pair.layers == 5
    if kind in EXACT:
        assert pair.likeness == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "of the embedding" not in kind])
def test_behaviour_alone_finds_it(kind: str, original: tuple[onnx.ModelProto, Subject], folder: Path) -> None:
    model, mine = original
    other = subject_of(KINDS[kind](model), folder)
    (pair,) = related([Subject(None, mine.behaviour), Subject(None, other.behaviour)])
    assert pair.relation is Relation.COPY, pair
    assert pair.same_layers == pair.layers == 0


def test_weights_alone_find_it_behind_another_output(original: tuple[onnx.ModelProto, Subject], folder: Path) -> None:
    model, mine = original
    # The embedding is spoilt: only one direction of it is left.
    rng = np.random.Generator(np.random.PCG64(1))
    matrix = np.outer(rng.standard_normal(WIDTH), np.ones(8)).astype(np.float32)
    other = subject_of(copies.projected(copies.permuted(model), matrix), folder)
    assert other.telling is None, "embeddings on one line tell nothing"
    (pair,) = related([mine, other])
    assert pair.likeness is None
    assert pair.relation is Relation.COPY


def test_independent_networks_are_not_accused(folder: Path) -> None:
    subjects = [subject_of(network(dim=WIDTH, seed=seed), folder) for seed in range(6)]
    assert related(subjects) == []
    found = likenesses([each.behaviour for each in subjects])
    shared = shared_layers([each.weights for each in subjects])
    for one, other in combinations(range(len(subjects)), 2):
        assert abs(found[one, other]) < SAME_BEHAVIOUR / 5
        assert shared[one, other] == 0


def test_more_noise_means_less_likeness(original: tuple[onnx.ModelProto, Subject], folder: Path) -> None:
    model, mine = original
    found = [
        likenesses([mine.behaviour, subject_of(copies.noisy(model, share), folder).behaviour])[0, 1]
        for share in (0.01, 0.1, 0.4, 3.0)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.99
    assert found[-1] < SAME_BEHAVIOUR
