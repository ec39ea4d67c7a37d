"""Every backend gives what the definition gives, on thousands of small cases and on some of many tiles."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_facechallenge.verification import AllToAll, Cross, OperatingPoint, Settings, VerificationResult, verify
from pytest_facechallenge.verification import impostors as impostors_module

from .oracle import check_point, pair_list, random_case, split_scores, unit_rows

FARS = ("1", "0.5", "1/3", "0.1", "1e-2", "1e-3", "1e-6")
POINTS = [OperatingPoint(far=far, comparison=sign) for far in FARS for sign in ("<", "<=")]
BACKENDS: tuple[str, ...] = ("int8", "sgemm", "cuda-on-cpu", "float64")


def results(x: Any, identities: Any, protocol: Any, *, workers: int = 1, points: Any = POINTS) -> VerificationResult:
    """Verify with every backend, hold that they agree on everything, and give what they agree on."""
    found = [
        verify(x, identities, points, protocol=protocol, settings=Settings(backend=b, workers=workers, resamples=10))
        for b in BACKENDS
    ]
    named = [msgspec.structs.replace(result, backend="") for result in found]
    for backend, other in zip(BACKENDS, named, strict=True):
        assert other == named[-1], f"{backend} differs from float64"
    return named[-1]


def check_case(x: Any, identities: Any, protocol: Any) -> None:
    result = results(x, identities, protocol)
    genuine, impostor = split_scores(x, identities, protocol)
    assert (result.pairs.genuine, result.pairs.impostor) == (len(genuine), len(impostor))
    for point in result.points:
        check_point(point, genuine, impostor)
    assert [pair.score for pair in result.hardest_genuine] == sorted(genuine)[:20]
    assert [pair.score for pair in result.hardest_impostor] == sorted(impostor, reverse=True)[:20]


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 14))])
def test_small_random_cases_equal_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(80):
        check_case(*random_case(rng, int(rng.integers(2, 14)), int(rng.choice([1, 2, 3, 5, 16, 33]))))


@pytest.mark.parametrize(
    "width", [1, 2, 63, 64, 65, 511, 512, *(pytest.param(width, marks=pytest.mark.slow) for width in (128, 1000, 1024))]
)
def test_cases_of_every_width_equal_the_definition(width: int) -> None:
    rng = np.random.default_rng(width)
    for _ in range(6):
        check_case(*random_case(rng, int(rng.integers(10, 40)), width))


@given(
    x=st.integers(1, 6).flatmap(
        lambda width: hnp.arrays(
            np.float32,
            st.tuples(st.integers(2, 10), st.just(width)),
            elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=True),
        )
    ),
    data=st.data(),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_finite_rows_equal_the_definition(x: Any, data: st.DataObject) -> None:
    x[~x.any(axis=1)] = 1
    identities = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(x), max_size=len(x))))
    check_case(x, identities, data.draw(st.sampled_from([AllToAll(), halves(len(x))])))


def halves(rows: int) -> Cross:
    return Cross(probe=np.arange(rows // 2), gallery=np.arange(rows // 2, rows))


def test_scores_without_rounding_equal_rational_arithmetic() -> None:
    # Rows of one or four values ±1 have norm 1 or 2, so scores are exact and fractions decide independently of numpy.
    rng = np.random.default_rng(5)
    x = np.zeros((40, 8), np.float32)
    for row in x:
        row[rng.choice(8, rng.choice([1, 4]), replace=False)] = rng.choice([-1, 1])
    identities = rng.integers(0, 12, 40)
    impostor: list[Fraction] = []
    genuine: list[Fraction] = []
    for i, j in itertools.combinations(range(40), 2):
        dot = sum(int(a) * int(b) for a, b in zip(x[i], x[j], strict=True))
        scale = [2 if np.count_nonzero(x[k]) == 4 else 1 for k in (i, j)]
        (genuine if identities[i] == identities[j] else impostor).append(Fraction(dot, scale[0] * scale[1]))
    for point in results(x, identities, AllToAll()).points:
        check_point(point, [float(s) for s in genuine], [float(s) for s in impostor])


@pytest.mark.parametrize(
    ("seed", "workers"), [(0, 1), (1, 3), *(pytest.param(*more, marks=pytest.mark.slow) for more in ((2, 3), (5, 1)))]
)
def test_many_tiles_equal_the_definition(seed: int, workers: int) -> None:
    # Over a million pairs: the starting cutoff is guessed, tiles are cut off at every edge, several threads work.
    rng = np.random.default_rng(seed)
    rows, width = int(rng.integers(1500, 2200)), int(rng.choice([4, 16, 40]))
    identities = rng.integers(0, rows // 6, rows)
    x = (rng.standard_normal((rows, width))[identities] + rng.standard_normal((rows, width))).astype(np.float32)
    if seed % 3 == 2:
        x = np.round(x)  # ties by the thousand
        x[~x.any(axis=1)] = 1
    protocol: Any = AllToAll() if seed % 2 else Cross(probe=np.arange(0, rows, 2), gallery=np.arange(1, rows, 2))
    points = [OperatingPoint(far=far) for far in ("1e-2", "1e-4", "1e-5", "1e-6")]
    found = results(x, identities, protocol, workers=workers, points=points)

    unit = unit_rows(x)
    left, right = np.array(pair_list(identities, protocol)).T
    scores = np.concatenate(
        [np.einsum("ij,ij->i", unit[left[k : k + 4096]], unit[right[k : k + 4096]]) for k in range(0, len(left), 4096)]
    )
    same = identities[left] == identities[right]
    for point in found.points:
        k = point.allowed_false_accepts
        assert k == -(-Fraction(point.operating_point.far) * int((~same).sum()) // 1) - 1
        threshold = np.sort(scores[~same])[::-1][k]
        assert point.threshold == threshold
        assert point.boundary_ties == np.count_nonzero(scores[~same] == threshold)
        assert point.false_accepts == np.count_nonzero(scores[~same] > threshold)
        assert point.genuine_accepted == np.count_nonzero(scores[same] > threshold)


@pytest.mark.parametrize("guesses", [(2.0, -np.inf), (0.9, 0.5, -np.inf), (-np.inf,)])
def test_a_wrong_starting_cutoff_costs_time_only(guesses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, identities = rng.standard_normal((200, 8)).astype(np.float32), rng.integers(0, 50, 200)
    monkeypatch.setattr(impostors_module, "_starting_cutoffs", lambda *_: iter(guesses))
    genuine, impostor = split_scores(x, identities, AllToAll())
    for point in results(x, identities, AllToAll()).points:
        check_point(point, genuine, impostor)


def test_a_large_tie_is_counted_without_being_kept() -> None:
    # 1.1 million impostor pairs with one and the same score.
    x = np.ones((1500, 4), np.float32)
    result = verify(x, np.arange(1500), [OperatingPoint(far="1e-4")], settings=Settings(backend="sgemm"))
    (point,) = result.points
    assert (point.false_accepts, point.boundary_ties, point.tar) == (0, 1500 * 1499 // 2, None)


def test_memory_maps_and_unnormalised_rows_give_the_same(tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    x, identities = rng.standard_normal((300, 20)).astype(np.float32), rng.integers(0, 60, 300)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    scaled = (x * np.float32(2.0**20)).astype(np.float32)
    assert results(mapped, identities, AllToAll()) == results(x, identities, AllToAll())
    assert results(scaled, identities, AllToAll()) == results(x, identities, AllToAll())


def test_the_layout_in_memory_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    x, identities = rng.standard_normal((90, 24)).astype(np.float32), rng.integers(0, 20, 90)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    # Few values a row whose norm is exactly one, so that rows are read as they are, and any values.
    for rows in (x, np.sign(x) * np.eye(24, dtype=np.float32)[identities]):
        expected = results(np.ascontiguousarray(rows), identities, AllToAll())
        spread = np.zeros((180, 48), np.float32)
        spread[::2, ::2] = rows
        assert results(np.asfortranarray(rows), identities, AllToAll()) == expected
        assert results(spread[::2, ::2], identities, AllToAll()) == expected
        assert results(np.ascontiguousarray(rows[::-1])[::-1], identities, AllToAll()) == expected


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    x, identities = np.round(rng.standard_normal((120, 4)) * 2).astype(np.float32), rng.integers(0, 30, 120)
    x[~x.any(axis=1)] = 1
    order = rng.permutation(120)
    assert results(x, identities, AllToAll()).points == results(x[order], identities[order], AllToAll()).points
