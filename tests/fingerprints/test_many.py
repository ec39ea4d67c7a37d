"""Hundreds of fingerprints at once, damaged ones, and the lines between the answers."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from pytest_facechallenge.core.facts.fingerprint import FingerprintFacts, LayerSpectrum, WeightFingerprintFacts
from pytest_facechallenge.fingerprints.compare import Subject, likenesses, related, shared_layers
from pytest_facechallenge.fingerprints.relation import Relation, how, relation
from tests.support.fingerprints import made_up


def test_planted_copies_are_found_among_hundreds() -> None:
    subjects = [made_up(seed) for seed in range(230)]
    planted = [(3 * number, 230 + number) for number in range(20)]
    subjects += [subjects[original] for original, _ in planted]
    found = related(subjects)
    assert sorted((pair.one, pair.other) for pair in found) == planted
    assert {pair.relation for pair in found} == {Relation.COPY}


def test_layers_are_counted_without_regard_to_order_and_once() -> None:
    one = made_up(1).weights
    other = made_up(2).weights
    assert one is not None
    assert other is not None
    mixed = WeightFingerprintFacts(layers=(*other.layers[:2], *reversed(one.layers[1:3]), one.layers[1]))
    assert shared_layers([one, mixed, other]).tolist() == [[6, 2, 0], [2, 4, 2], [0, 2, 6]]


def test_layers_of_other_shapes_are_never_the_same() -> None:
    one = made_up(1).weights
    assert one is not None
    wider = tuple(msgspec.structs.replace(layer, shape=(24, 128, 9)) for layer in one.layers)
    assert shared_layers([one, WeightFingerprintFacts(layers=wider)])[0, 1] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_spectra_that_are_no_numbers_match_nothing(value: float) -> None:
    layer = LayerSpectrum("x", (24, 64, 9), 24, np.full(24, value, "<f4").tobytes())
    odd = WeightFingerprintFacts(layers=(layer,) * 4)
    assert shared_layers([odd, odd, made_up(1).weights]).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 6]]


def test_fingerprints_of_other_images_are_not_compared() -> None:
    mine = made_up(1).behaviour
    assert mine is not None
    later = msgspec.structs.replace(mine, images="noise-96/2")
    shorter = msgspec.structs.replace(mine, products=mine.products[:-2])
    found = likenesses([mine, later, shorter, None, mine])
    assert np.isnan(found[0, 1:4]).all()
    assert found[0, 4] == pytest.approx(1)


@pytest.mark.parametrize(
    "layer",
    [
        LayerSpectrum("x", (24, 64, 9), 24, b""),
        LayerSpectrum("x", (24, 64, 9), 24, b"abc"),
        LayerSpectrum("x", (24, 64, 9), 0, bytes(96)),
        LayerSpectrum("x", (-1, 0, 0), -5, bytes(96)),
        LayerSpectrum("x", (24, 64, 9), 24, bytes(96)),
        LayerSpectrum("x", (24, 64, 9), 24, np.arange(24.0, dtype="<f4").tobytes()),
    ],
)
def test_facts_that_no_analysis_gives_match_no_network(layer: LayerSpectrum) -> None:
    mine = made_up(1)
    odd = Subject(WeightFingerprintFacts(layers=(layer,) * 5), None)
    assert mine.behaviour is not None
    cut = Subject(None, msgspec.structs.replace(mine.behaviour, products=mine.behaviour.products[:-1]))
    assert related([odd, odd, mine, cut, cut]) == []


def test_products_of_zeros_are_like_nothing() -> None:
    mine = made_up(1).behaviour
    assert mine is not None
    empty = Subject(None, msgspec.structs.replace(mine, products=bytes(len(mine.products))))
    assert related([empty, empty, Subject(None, mine)]) == []


def test_embeddings_in_few_directions_accuse_nobody() -> None:
    mine = made_up(1).behaviour
    assert mine is not None
    flat = Subject(None, msgspec.structs.replace(mine, dimensions=3.9))
    assert related([flat, flat]) == []


@pytest.mark.parametrize(
    ("likeness", "same", "layers", "expected"),
    [
        (0.75, 0, 40, Relation.COPY),
        (0.7499, 0, 40, Relation.UNDECIDED),
        (0.6, 0, 40, Relation.UNDECIDED),
        (0.5999, 0, 40, Relation.INDEPENDENT),
        (None, 20, 40, Relation.COPY),
        (None, 19, 40, Relation.UNDECIDED),
        (0.1, 4, 40, Relation.UNDECIDED),
        (0.1, 3, 40, Relation.INDEPENDENT),
        (0.1, 2, 3, Relation.INDEPENDENT),
        (0.1, 3, 3, Relation.COPY),
        (None, 0, 0, Relation.INDEPENDENT),
    ],
)
def test_the_lines(likeness: float | None, same: int, layers: int, expected: Relation) -> None:
    assert relation(likeness, same, layers) is expected
    assert bool(how(likeness, same, layers)) is (expected is not Relation.INDEPENDENT)


def test_a_struct_says_what_it_is() -> None:
    assert FingerprintFacts.step == "fingerprint"
    assert WeightFingerprintFacts.step == "weight_fingerprint"
