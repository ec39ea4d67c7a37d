"""A filter may let too many pairs through, never too few; and it notices a CPU that cannot multiply."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
import numpy as np
import pytest

from pytest_facechallenge.verification import AllToAll, BackendUnavailableError, Cross, OperatingPoint, Settings, verify
from pytest_facechallenge.verification import backends as backends_module
from pytest_facechallenge.verification.backends import TileFilter, make_filter
from pytest_facechallenge.verification.backends.basis import choose_basis
from pytest_facechallenge.verification.backends.bound_columns import BoundColumns
from pytest_facechallenge.verification.backends.int8 import Int8Filter
from pytest_facechallenge.verification.backends.products import IntegerProduct, integer_product, is_exact
from pytest_facechallenge.verification.backends.sgemm import SgemmFilter
from pytest_facechallenge.verification.backends.tile import Tile
from pytest_facechallenge.verification.parts import tiles, whole
from pytest_facechallenge.verification.protocol import PairPlan, plan_pairs
from pytest_facechallenge.verification.rows import UnitRows, row_dots


def saturating_product() -> IntegerProduct:
    """Multiply as x86 CPUs without VNNI do: two neighbouring products are added in 16 bits that saturate."""

    def product(left: Any, right: Any, out: Any) -> None:
        width = left.shape[1] + left.shape[1] % 2
        a, b = np.zeros((len(left), width), np.int64), np.zeros((width, right.shape[1]), np.int64)
        a[:, : left.shape[1]], b[: len(right)] = left, right
        pairs = np.stack([a[:, k : k + 2] @ b[k : k + 2] for k in range(0, width, 2)])
        out[:] = np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=0) - 128 * b.sum(axis=0)

    return product


def plan_of(x: Any) -> tuple[UnitRows, PairPlan]:
    plan = plan_pairs(np.arange(len(x)), AllToAll())
    return UnitRows(x, plan.left.rows), plan


def candidates(backend: TileFilter, plan: PairPlan, cutoff: float) -> set[tuple[int, int]]:
    worker = backend.worker()
    found = set()
    for tile in tiles(whole(plan), backend.left_block, backend.right_block, symmetric=plan.symmetric):
        left, right = worker.candidates(tile, cutoff)
        assert (tile.left_start <= left).all()
        assert (left < tile.left_stop).all()
        assert (tile.right_start <= right).all()
        assert (right < tile.right_stop).all()
        found |= set(zip(left.tolist(), right.tolist(), strict=True))
    return found


def rows_of_kind(kind: str, rng: np.random.Generator) -> Any:
    x = rng.standard_normal((40, 64))
    if kind == "spikes":  # clipped by the common scale: the error is parallel to the row, and the bound is tight
        x[:6] = 0
        x[:6, 0] = [1, 1, 1, 1, -1, -1]
        x[3, 1] = 0.3
    elif kind == "spikes against flat rows":
        x[:2] = 0
        x[:2, 0] = 1
        x[2:4] = 0.01
        x[2:4, 0] = 1
    elif kind == "narrow":
        x = x[:, :2]
    elif kind == "wide":
        x = rng.standard_normal((40, 1024))
    return x.astype(np.float32)


@pytest.mark.parametrize("kind", ["normal", "spikes", "spikes against flat rows", "narrow", "wide"])
@pytest.mark.parametrize("make", [Int8Filter, pytest.param(SgemmFilter, marks=pytest.mark.slow)])
def test_no_pair_that_reaches_the_cutoff_is_left_out(kind: str, make: Any) -> None:
    unit, plan = plan_of(rows_of_kind(kind, np.random.default_rng(1)))
    backend = make(unit, plan)
    left, right = np.triu_indices(40, 1)
    scores = unit.scores(left, right)
    for cutoff in np.unique(scores)[::-5]:  # a fifth of the scores as the cutoff: that pair is on the very edge
        reaching = {(int(i), int(j)) for i, j in zip(left[scores >= cutoff], right[scores >= cutoff], strict=True)}
        assert reaching <= candidates(backend, plan, float(cutoff))


def low_rank(rng: np.random.Generator, rows: int = 300, width: int = 256, strangers: int = 3) -> Any:
    """Rows of some 30 effective dimensions and a mean, and a few that lie elsewhere: what a basis does not hold."""
    turn = np.linalg.qr(rng.standard_normal((width, width)))[0]
    x = (rng.standard_normal((rows, width)) * np.exp(-np.arange(width) / 30) + 0.1) @ turn
    x[:strangers] = rng.standard_normal((strangers, width))
    return x.astype(np.float32)


def test_rows_without_a_structure_keep_all_their_dimensions() -> None:
    unit, plan = plan_of(np.random.default_rng(3).standard_normal((1200, 512)).astype(np.float32))
    assert Int8Filter(unit, plan, reduce=True).basis is None


@pytest.mark.parametrize("strangers", [0, 3, 30])
def test_dropped_dimensions_leave_no_pair_out(strangers: int) -> None:
    unit, plan = plan_of(low_rank(np.random.default_rng(3), strangers=strangers))
    backend = Int8Filter(unit, plan, reduce=True)
    assert backend.basis is not None
    assert backend.right.width == backend.basis.shape[1] < backend.columns < 200
    left, right = np.triu_indices(300, 1)
    scores = unit.scores(left, right)
    order = np.argsort(scores)[::-1]
    for cutoff in scores[order[[0, 1, 2, 10, 100, 1000, 10000, -1]]]:  # each score as the cutoff: on the very edge
        reaching = {(int(i), int(j)) for i, j in zip(left[scores >= cutoff], right[scores >= cutoff], strict=True)}
        assert reaching <= candidates(backend, plan, float(cutoff))


def test_what_the_basis_does_not_hold_is_in_the_bound() -> None:
    """Two equal rows that no sample saw: nearly all of their score comes from dimensions that are not multiplied."""
    x = low_rank(np.random.default_rng(5), rows=9000, strangers=0)
    x[1] = x[3] = np.random.default_rng(6).standard_normal(256)  # samples take every fourth row, from 0 and from 2 on
    unit, plan = plan_of(x)
    backend = Int8Filter(unit, plan, reduce=True)
    assert backend.basis is not None
    inside = (unit.take(np.array([1])).astype(np.float64) @ backend.basis) ** 2
    assert inside.sum() < 0.6
    assert (1, 3) in candidates(backend, plan, 1 - 1e-6)


def test_the_more_pairs_are_looked_for_the_more_dimensions_are_kept() -> None:
    unit, plan = plan_of(low_rank(np.random.default_rng(3), rows=3000, strangers=0))
    bases = [choose_basis(unit, plan, keep) for keep in (1, 4_000, 40_000)]
    widths = [256 if basis is None else basis.shape[1] for basis in bases]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


@pytest.mark.parametrize("largest", [(4.6, 0.0), (4.6, 90.0), (400.0, 0.0), (30.0, 420.0), (0.0, 0.0)])
def test_columns_of_a_bound_lie_above_it_and_fit_into_seven_bits(largest: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    bounds = BoundColumns.fitting(450.0, *largest)
    error, rest = (np.append(rng.uniform(0, most, 200), most) for most in largest)
    columns = bounds.of(error, rest).astype(np.int64)
    assert columns.shape == (bounds.count, 201)
    assert columns.min(initial=0) >= 0
    left = columns[bounds.exchanged(0)]
    norm = 450.0 + error
    above = np.outer(error, norm) + np.outer(norm, error) + np.outer(rest, rest)
    assert (left.T @ columns >= above).all()
    if 0 < largest[0] < 10:  # and not far above: what is added lets more pairs through
        assert (left.T @ columns - above).max() < 0.15 * above.max()
        assert bounds.count <= 4


def test_one_row_that_is_quantised_badly_costs_columns_and_no_pair() -> None:
    x = np.random.default_rng(0).standard_normal((2000, 512)).astype(np.float32)
    x[5] = x[7] = np.eye(512)[3]  # the sample that sets the scale takes every third row
    unit, plan = plan_of(x)
    backend = Int8Filter(unit, plan)
    assert backend.right.blocks.shape[1] > 512 + 4
    assert (5, 7) in candidates(backend, plan, 1 - 1e-6)
    assert len(candidates(backend, plan, 1 - 1e-6)) <= 2 * 2000  # those and the pairs of a row with itself


def test_rows_that_a_basis_does_not_hold_at_all_cost_some_columns() -> None:
    """Nearly all rows lie where no row of the samples does: the step that fits the samples must not be theirs."""
    x = np.zeros((9000, 256), np.float32)
    rng = np.random.default_rng(0)
    x[:, 128:] = rng.standard_normal((9000, 128))
    x[::2] = 0
    x[3] = x[1]
    x[::2, :128] = rng.standard_normal((4500, 128))  # the samples take every fourth row, from 0 and from 2 on
    unit, plan = plan_of(x)
    backend = Int8Filter(unit, plan, reduce=True)
    assert backend.basis is not None
    assert backend.columns < backend.right.width + 32
    left, right = backend.worker().candidates(Tile(0, 1024, 0, 512), 1 - 1e-6)
    assert (1, 3) in set(zip(left.tolist(), right.tolist(), strict=True))


def test_dropped_dimensions_change_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends_module, "_REDUCED_FROM_PAIRS", 0)
    rng = np.random.default_rng(4)
    people = low_rank(rng, 500)
    x = np.repeat(people, 3, axis=0) + 0.3 * low_rank(rng, 1500).astype(np.float32)
    identities = np.repeat(np.arange(500), 3)
    points = [OperatingPoint(far=far) for far in ("1e-4", "1e-5")]
    for protocol in (AllToAll(), Cross(probe=np.arange(0, 1500, 3), gallery=np.arange(1, 1500, 3))):
        found = [
            verify(x, identities, points, protocol=protocol, settings=Settings(backend=backend))
            for backend in ("int8", "float64")
        ]
        assert msgspec.structs.replace(found[0], backend="") == msgspec.structs.replace(found[1], backend="")


def test_dimensions_are_dropped_where_few_of_many_pairs_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_exact(integer_product()):
        pytest.skip("int8 products saturate on this CPU, so that there is no such filter")
    unit, plan = plan_of(low_rank(np.random.default_rng(3)))
    monkeypatch.setattr(backends_module, "_REDUCED_FROM_PAIRS", 0)
    for keep, reduced in ((90, True), (91, False)):  # of 300 x 300 pairs
        backend = make_filter("int8", unit, plan, keep)
        assert isinstance(backend, Int8Filter)
        assert (backend.basis is not None) is reduced
    monkeypatch.setattr(backends_module, "_REDUCED_FROM_PAIRS", 300 * 300 + 1)
    backend = make_filter("int8", unit, plan, 1)
    assert isinstance(backend, Int8Filter)
    assert backend.basis is None


@pytest.mark.parametrize("make", [Int8Filter, SgemmFilter])
def test_a_filter_filters(make: Any) -> None:
    x = np.random.default_rng(0).standard_normal((1200, 128)).astype(np.float32)
    unit, plan = plan_of(x)
    above = {pair for pair in candidates(make(unit, plan), plan, 0.3) if pair[0] < pair[1]}
    left, right = np.triu_indices(1200, 1)
    reaching = np.count_nonzero(unit.scores(left, right) >= 0.3)
    assert reaching <= len(above) <= 3 * reaching


@pytest.mark.parametrize("make", [Int8Filter, SgemmFilter])
def test_minus_infinity_lets_every_pair_pass(make: Any) -> None:
    unit, plan = plan_of(np.random.default_rng(0).standard_normal((700, 16)).astype(np.float32))
    found = candidates(make(unit, plan), plan, -np.inf)
    assert {pair for pair in found if pair[0] < pair[1]} == set(
        zip(*(side.tolist() for side in np.triu_indices(700, 1)), strict=True)
    )


def test_this_cpu_multiplies_exactly_or_is_found_out() -> None:
    # Not an assertion about the CPU: either the product is exact on many random operands, or the probe says it is not.
    rng = np.random.default_rng(0)
    product = integer_product()
    left = rng.integers(1, 256, (50, 512), dtype=np.uint8)
    right = rng.integers(-127, 128, (512, 70), dtype=np.int8)
    out = np.empty((50, 70), np.int32)
    product(left, right, out)
    exact = np.array_equal(out, (left.astype(np.int64) - 128) @ right.astype(np.int64))
    assert exact or not is_exact(product)


def test_a_saturating_product_is_found_out() -> None:
    assert not is_exact(saturating_product())
    unit, plan = plan_of(np.eye(4, dtype=np.float32))
    with pytest.raises(BackendUnavailableError, match="saturates"):
        Int8Filter(unit, plan, saturating_product)


def test_on_a_saturating_cpu_sgemm_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends_module, "Int8Filter", functools.partial(Int8Filter, make_product=saturating_product))
    monkeypatch.setattr(backends_module, "_INT8_FROM_PAIRS", 0)
    unit, plan = plan_of(np.eye(4, dtype=np.float32))
    assert make_filter("auto", unit, plan).name == "sgemm"
    with pytest.raises(BackendUnavailableError):
        make_filter("int8", unit, plan)
    x = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    points = [OperatingPoint(far="1e-2")]
    result = verify(x, np.arange(50) // 2, points)
    expected = verify(x, np.arange(50) // 2, points, settings=Settings(backend="float64"))
    assert result.backend == "sgemm"
    assert result.points == expected.points


def test_the_choice_of_a_backend_follows_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_exact(integer_product()):
        pytest.skip("int8 products saturate on this CPU, so that auto never takes them")
    unit, plan = plan_of(np.eye(4, dtype=np.float32))
    assert make_filter("auto", unit, plan).name == "sgemm"
    monkeypatch.setattr(backends_module, "_INT8_FROM_PAIRS", 16)
    assert make_filter("auto", unit, plan).name == "int8"


def test_a_deciding_score_depends_on_its_two_rows_only() -> None:
    rng = np.random.default_rng(0)
    for width in (1, 2, 7, 64, 129, 512, 1024):
        x, y = rng.standard_normal((2, 300, width)).astype(np.float32).astype(np.float64)
        scores = row_dots(x, y)
        assert np.array_equal(scores, row_dots(y, x))
        order = rng.permutation(300)
        assert np.array_equal(scores[order], row_dots(x[order], y[order]))
        assert np.array_equal(scores, np.concatenate([row_dots(x[k : k + 1], y[k : k + 1]) for k in range(300)]))


@pytest.mark.parametrize("kind", ["normal", "spikes", "narrow", "wide"])
@pytest.mark.parametrize("scale", [1, 1e-7, 1e7, 1e-30, 1e30])
def test_no_pair_is_dropped_before_its_exact_score(kind: str, scale: float) -> None:
    x = (rows_of_kind(kind, np.random.default_rng(2)) * scale).astype(np.float32)
    unit, _ = plan_of(x)
    left, right = np.triu_indices(40, 1)
    scores = unit.scores(left, right)
    for cutoff in scores[::7]:
        reach = unit.may_reach(left, right, float(cutoff))
        assert reach[scores >= cutoff].all()
        if 1e-9 < scale < 1e9:
            assert not reach[scores < cutoff - 1e-3].any()
