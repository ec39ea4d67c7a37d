"""Numbers packed into texts come back; what is no packed numbers is refused, however large it claims to be."""

from __future__ import annotations

import base64
import zlib

import numpy as np
import pytest

from pytest_facechallenge.core.packed import PackedError, pack, unpack
from pytest_facechallenge.core.text import MOST, clean_all


@pytest.mark.parametrize(
    "numbers",
    [[], [0], [255, 256], [65535, 1], [65536], [1 << 32, 0, 7], [(1 << 63) - 1]],
)
def test_numbers_come_back(numbers: list[int]) -> None:
    given = np.array(numbers, np.int64)
    packed = pack(given)
    assert unpack(packed, len(numbers)).tolist() == numbers
    assert unpack(packed, len(numbers)).dtype == np.int64


def test_many_numbers_are_texts_that_cleaning_leaves_alone() -> None:
    given = np.random.default_rng(0).integers(0, 1 << 40, 5000)
    packed = pack(given)
    assert len(packed) > 2
    assert max(map(len, packed)) <= MOST
    assert tuple(clean_all(packed)) == packed
    assert np.array_equal(unpack(packed, 5000), given)


def test_counts_of_people_are_short() -> None:
    people = np.random.default_rng(0).poisson(0.2, 100_000)
    assert sum(map(len, pack(people))) < 40_000


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        ((), "begin with how they are stored"),
        (("u3x1", "AA=="), "begin with how they are stored"),
        (("u1x1", "!"), "cannot be read"),
        (("u1x1", "AAAA"), "cannot be read"),
        (("u1x9",), "at most 8 numbers are expected; found 9"),
        (("u1x2", base64.b64encode(zlib.compress(b"a")).decode()), "2 bytes of numbers are expected; found 1"),
        (("u8x1", base64.b64encode(zlib.compress(b"\xff" * 8)).decode()), "too large"),
    ],
)
def test_what_is_no_numbers_is_refused(packed: tuple[str, ...], said: str) -> None:
    with pytest.raises(PackedError, match=said):
        unpack(packed, 8)


def test_no_more_is_unpacked_than_is_expected() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    with pytest.raises(PackedError, match="4 bytes of numbers are expected; found 5 or more"):
        unpack(("u4x1", *(bomb[at : at + MOST] for at in range(0, len(bomb), MOST))), 8)


def test_numbers_below_0_are_refused() -> None:
    with pytest.raises(PackedError, match="found -1"):
        pack(np.array([-1]))
