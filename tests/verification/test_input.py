"""Operating points, protocols and rows: exact counts, and errors that say what was found."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_facechallenge.verification import (
    AllToAll,
    Cross,
    OperatingPoint,
    OperatingPointError,
    ProtocolError,
    UnusableRowsError,
    verify,
    verify_pairs,
)


@given(
    far=st.fractions(min_value=Fraction(1, 10**9), max_value=1),
    negatives=st.integers(1, 10**13),
    comparison=st.sampled_from(["<", "<="]),
)
@settings(max_examples=300, derandomize=True)
def test_k_is_the_largest_that_fits(far: Fraction, negatives: int, comparison: Any) -> None:
    def fits(k: int) -> bool:
        return Fraction(k, negatives) < far if comparison == "<" else Fraction(k, negatives) <= far

    k = OperatingPoint.of(far, comparison).allowed_false_accepts(negatives)
    assert fits(k)
    assert not fits(k + 1)


@pytest.mark.parametrize(
    ("far", "comparison", "negatives", "k"),
    [
        ("1e-6", "<", 1_000_000, 0),  # one of a million is not less than a millionth
        ("1e-6", "<=", 1_000_000, 1),
        ("1e-6", "<", 1_000_001, 1),
        ("1e-4", "<", 24_735_067_692 // 2, 1_236_753),  # Children
        ("0.07", "<=", 100, 7),  # 0.07 * 100 is 7.000000000000001 in floating point
        ("0.07", "<", 100, 6),
        ("1", "<=", 7, 7),
        ("1", "<", 7, 6),
        ("1e-8", "<", 0, 0),
    ],
)
def test_allowed_false_accepts(far: str, comparison: Any, negatives: int, k: int) -> None:
    assert OperatingPoint(far=far, comparison=comparison).allowed_false_accepts(negatives) == k


@pytest.mark.parametrize("far", ["0.07", "0.29", "0.1", "1e-4", "1e-6", "1e-8"])
def test_a_whole_number_of_allowed_pairs_is_met_exactly(far: str) -> None:
    # The products that floating point gets wrong by one unit in the last place, one way or the other.
    for multiple in range(1, 200):
        k = Fraction(far).numerator * multiple
        negatives = Fraction(far).denominator * multiple
        assert OperatingPoint(far=far, comparison="<=").allowed_false_accepts(negatives) == k
        assert OperatingPoint(far=far, comparison="<").allowed_false_accepts(negatives) == k - 1


@pytest.mark.parametrize("far", ["0", "-1e-3", "1.5", "nan", "inf", "often", "", "1/0", 1e-6])
def test_what_is_no_rate_is_refused(far: Any) -> None:
    with pytest.raises(OperatingPointError, match="FAR must be"):
        OperatingPoint(far=far)


def test_what_is_no_comparison_is_refused() -> None:
    wrong: Any = "=<"
    with pytest.raises(OperatingPointError, match="'=<'"):
        OperatingPoint(far="0.1", comparison=wrong)


def test_points_of_a_rulebook_are_decoded() -> None:
    point = msgspec.json.decode(b'{"far": "1e-4", "comparison": "<="}', type=OperatingPoint)
    assert (point.rate, point.comparison) == (Fraction(1, 10_000), "<=")
    assert OperatingPoint(far="1e-6").impostor_pairs_needed == 1_000_000
    assert OperatingPoint(far="2/3").impostor_pairs_needed == 2
    assert OperatingPoint(far="1e-6").impostor_pairs_for_rule_of_30 == 30_000_000


def test_pair_counts_follow_the_sizes_of_identities() -> None:
    identities = np.repeat([7, 3, 9], [2, 3, 4])
    x = np.eye(9, dtype=np.float32)
    pairs = verify(x, identities, []).pairs
    assert (pairs.genuine, pairs.impostor) == (1 + 3 + 6, 36 - 10)
    assert (pairs.genuine_ordered, pairs.impostor_ordered) == (20, 52)
    cross = verify(x, identities, [], protocol=Cross(probe=np.array([0, 2]), gallery=np.array([1, 3, 4, 8])))
    assert (cross.pairs.genuine, cross.pairs.impostor) == (1 + 2, 8 - 3)
    assert (cross.pairs.genuine_ordered, cross.pairs.impostor_ordered) == (3, 5)
    assert (cross.rows, cross.identities, cross.protocol) == (6, 3, "cross")


def test_masks_name_rows_too() -> None:
    x, identities = np.eye(6, dtype=np.float32), np.array([0, 1, 2, 0, 1, 2])
    mask = np.array([True, True, True, False, False, False])
    by_mask = verify(x, identities, [], protocol=Cross(probe=mask, gallery=~mask))
    assert by_mask == verify(x, identities, [], protocol=Cross(probe=np.arange(3), gallery=np.arange(3, 6)))
    assert verify(x, identities, [], protocol=AllToAll(rows=mask)).rows == 3


def test_rows_without_a_direction_are_named() -> None:
    x = np.ones((50, 3), np.float32)
    x[7, 1] = np.nan
    x[31, 0] = -np.inf
    x[[0, 49]] = 0
    with pytest.raises(UnusableRowsError, match=r"rows 7, 31.*rows 0, 49") as caught:
        verify(x, np.arange(50), [OperatingPoint(far="0.1")])
    assert (caught.value.non_finite, caught.value.zero) == ((7, 31), (0, 49))
    x[:] = 0
    with pytest.raises(UnusableRowsError, match=r"50 with nothing but zeros \(rows 0, 1, .*19, …\)"):
        verify_pairs(x, np.arange(50), np.arange(50), np.ones(50, bool))


def test_rows_outside_the_protocol_may_be_anything() -> None:
    x = np.ones((4, 3), np.float32)
    x[3] = np.nan
    assert verify(x, np.arange(4), [], protocol=AllToAll(rows=np.arange(3))).rows == 3


@pytest.mark.parametrize(
    ("embeddings", "identities", "protocol", "text"),
    [
        (np.ones((4, 2)), np.arange(4), None, "float32 matrix"),
        (np.ones(4, np.float32), np.arange(4), None, "float32 matrix"),
        (np.ones((4, 0), np.float32), np.arange(4), None, "float32 matrix"),
        (np.ones((4, 2), np.float32), np.arange(3), None, "4 embeddings and 3 identities"),
        (np.ones((4, 2), np.float32), np.arange(4.0), None, "must be integers"),
        (np.ones((4, 2), np.float32), np.arange(4), AllToAll(rows=np.array([0, 4])), "0 … 3; found 0 … 4"),
        (np.ones((4, 2), np.float32), np.arange(4), AllToAll(rows=np.array([1, 1])), "named once"),
        (np.ones((4, 2), np.float32), np.arange(4), AllToAll(rows=np.array([0.5])), "a mask"),
        (
            np.ones((4, 2), np.float32),
            np.arange(4),
            Cross(probe=np.array([0, 1]), gallery=np.array([1, 2])),
            "both probe and gallery; 1 are, row 1",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(embeddings: Any, identities: Any, protocol: Any, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        verify(embeddings, identities, [OperatingPoint(far="0.1")], protocol=protocol)
