"""The device backend, on the processor's provider: nothing is left out, and a device that rounds is found out."""

from __future__ import annotations

import ctypes
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from pytest_facechallenge.inference import session as session_module
from pytest_facechallenge.inference.device_memory import DeviceArray, Place
from pytest_facechallenge.inference.session import CPU, DeviceError
from pytest_facechallenge.verification import (
    AllToAll,
    BackendUnavailableError,
    Cross,
    OperatingPoint,
    Settings,
    on_machines,
    verify,
)
from pytest_facechallenge.verification import backends as backends_module
from pytest_facechallenge.verification import parts as parts_module
from pytest_facechallenge.verification.backends import device_check as check_module
from pytest_facechallenge.verification.backends import device_session, make_filter
from pytest_facechallenge.verification.backends.device import FLOAT32_INTEGERS, STEPS, DeviceTiles, as_limit, quantise
from pytest_facechallenge.verification.backends.device_check import check_products, patterns
from pytest_facechallenge.verification.backends.tile import GRID, Tile
from pytest_facechallenge.verification.kept_parts import PartFiles, features_digest, job_digest
from pytest_facechallenge.verification.parts import Part
from pytest_facechallenge.verification.protocol import plan_pairs
from pytest_facechallenge.verification.rows import UnitRows

from .test_backends import candidates, plan_of, rows_of_kind


@pytest.mark.parametrize(
    "kind", ["normal", "spikes", "spikes against flat rows", "narrow", pytest.param("wide", marks=pytest.mark.slow)]
)
def test_no_pair_that_reaches_the_cutoff_is_left_out(kind: str) -> None:
    unit, plan = plan_of(rows_of_kind(kind, np.random.default_rng(1)))
    backend = DeviceTiles(unit, plan)
    left, right = np.triu_indices(40, 1)
    scores = unit.scores(left, right)
    for cutoff in np.unique(scores)[::-1]:  # each score as the cutoff: the pair itself is on the very edge
        reaching = {(int(i), int(j)) for i, j in zip(left[scores >= cutoff], right[scores >= cutoff], strict=True)}
        assert reaching <= candidates(backend, plan, float(cutoff))


def test_it_filters() -> None:
    unit, plan = plan_of(np.random.default_rng(0).standard_normal((1200, 128)).astype(np.float32))
    above = {pair for pair in candidates(DeviceTiles(unit, plan), plan, 0.3) if pair[0] < pair[1]}
    left, right = np.triu_indices(1200, 1)
    reaching = np.count_nonzero(unit.scores(left, right) >= 0.3)
    assert reaching <= len(above) <= 1.3 * reaching


@pytest.mark.parametrize("protocol", [AllToAll(), Cross(probe=np.arange(0, 5000, 2), gallery=np.arange(1, 5000, 2))])
def test_tiles_that_are_wider_than_the_grid_cover_every_pair_once(protocol: Any) -> None:
    x = np.random.default_rng(0).standard_normal((5000, 4)).astype(np.float32)
    plan = plan_pairs(np.arange(5000), protocol)
    unit = UnitRows(x)
    backend = DeviceTiles(unit, plan, widest=2 * GRID, workers=2)
    assert backend.right_block == 2 * GRID
    found = candidates(backend, plan, 0.999)
    left, right = np.meshgrid(np.arange(len(plan.left)), np.arange(len(plan.right)), indexing="ij")
    kept = left < right if plan.symmetric else np.ones_like(left, bool)
    left, right = left[kept], right[kept]
    scores = unit.scores(plan.left.rows[left], plan.right.rows[right])
    reaching = set(zip(left[scores >= 0.999].tolist(), right[scores >= 0.999].tolist(), strict=True))
    assert reaching <= found


def test_all_integers_are_within_what_float32_and_tf32_hold() -> None:
    rng = np.random.default_rng(0)
    for width in (1, 3, 512, 4096):
        x = rng.standard_normal((50, width)).astype(np.float32)
        x[:width, :][np.arange(min(50, width)), np.arange(min(50, width))] = 1e6  # as good as one value alone
        x[-1] = 0.5 / STEPS * np.resize([1, -1], width) + 1e-9  # every value half a step away from an integer
        unit = UnitRows(x).take(np.arange(50))
        found = quantise(unit, width + 2).astype(np.int64)
        q, norm, error = found[:, :width], found[:, width], found[:, width + 1]
        left = np.sqrt((q**2).sum(axis=1))
        assert np.abs(found).max() < 2**11
        assert left.max() ** 2 + 2 * norm.max() * error.max() < FLOAT32_INTEGERS / 2
        distance = np.linalg.norm(unit.astype(np.float64) * STEPS - q, axis=1)
        assert (8 * distance <= error).all()
        assert (left <= 8 * norm).all()
        assert (np.linalg.norm(unit.astype(np.float64), axis=1) * STEPS <= 8 * norm).all()


def test_rows_that_are_too_wide_are_refused() -> None:
    unit, plan = plan_of(np.ones((3, 4097), np.float32))
    with pytest.raises(BackendUnavailableError, match="at most 4096 values"):
        DeviceTiles(unit, plan)


def test_limits_stay_within_float32() -> None:
    assert as_limit(-np.inf) < -FLOAT32_INTEGERS
    for cutoff in (-1e9, -1.0, 0.0, 0.3, 1.0, 1e9):
        assert float(np.float32(as_limit(cutoff))) == as_limit(cutoff) <= max(cutoff, -4) * STEPS**2


def rounding_comparer(operands: int, sums: int) -> type[device_session.Comparer]:
    """Return a comparer on a device that keeps this many bits of operands and of sums."""

    def rounded(values: Any, bits: int) -> Any:
        mantissa, exponent = np.frexp(values)
        return np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits)

    def read(place: Place) -> Any:
        size = int(np.prod(place.shape))
        return np.ctypeslib.as_array((ctypes.c_float * size).from_address(place.address)).reshape(place.shape)

    class Rounding(device_session.Comparer):
        def places(self, left: Place, right: Place, limit: float) -> Any:
            a, b = (rounded(read(place).astype(np.float64), operands) for place in (left, right))
            width = a.shape[1]
            used = int(np.flatnonzero(b.any(axis=0))[-1]) + 1
            a[:, [used - 2, used - 1]] = a[:, [used - 1, used - 2]]
            total = np.zeros((len(a), len(b)))
            for column in range(0, width, 8):
                total = rounded(total + a[:, column : column + 8] @ b[:, column : column + 8].T, sums)
            return np.nonzero(total >= limit)

    return Rounding


@pytest.mark.parametrize(
    ("operands", "sums", "exact"),
    [
        (24, 24, True),
        (11, 24, True),
        (10, 24, False),
        (8, 24, False),
        (11, 23, False),
        (11, 22, False),
        (24, 11, False),
    ],
)
def test_a_device_that_rounds_is_found_out(
    operands: int, sums: int, exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_module, "Comparer", rounding_comparer(operands, sums))
    check = partial(check_products.__wrapped__, CPU, GRID, 30)
    if exact:
        check()
        return
    with pytest.raises(BackendUnavailableError, match="would not hold on this device"):
        check()


def test_the_products_that_are_tried_go_to_the_edge_of_what_float32_holds() -> None:
    for width in (3, 30, 514, 4098):
        rows = patterns(width).astype(np.int64)
        products = np.abs(rows) @ np.abs(rows).T  # no partial sum is larger
        assert products.max() < FLOAT32_INTEGERS
        assert products.max() > 0.7 * min(FLOAT32_INTEGERS, width * 2047**2)


def looks_like_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends_module, "_CUDA_FROM_PAIRS", 0)
    monkeypatch.setattr(backends_module, "has_driver", lambda: True)
    monkeypatch.setattr(session_module, "has_driver", lambda: True)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [backends_module.CUDA, CPU])


def test_a_gpu_is_taken_by_itself_unless_the_device_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    looks_like_a_gpu(monkeypatch)
    unit, plan = plan_of(np.eye(4, dtype=np.float32))
    monkeypatch.setattr(
        backends_module, "DeviceTiles", lambda *_args, **how: SimpleNamespace(name=f"tiles on {how['provider']}")
    )
    assert make_filter("auto", unit, plan).name == f"tiles on {backends_module.CUDA}"
    assert make_filter("auto", unit, plan, device="cuda").name == f"tiles on {backends_module.CUDA}"
    assert make_filter("auto", unit, plan, device="cpu").name == "sgemm"
    monkeypatch.setattr(backends_module, "_CUDA_FROM_PAIRS", 17)
    assert make_filter("auto", unit, plan).name == "sgemm"


def test_a_gpu_that_does_not_work_leaves_the_work_to_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    looks_like_a_gpu(monkeypatch)

    def broken(*_args: object, **_how: object) -> None:
        raise BackendUnavailableError("no memory")

    monkeypatch.setattr(backends_module, "DeviceTiles", broken)
    rows, people = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32), np.arange(50) // 2
    points = [OperatingPoint(far="1e-2")]
    assert verify(rows, people, points).backend == "sgemm"
    with pytest.raises(BackendUnavailableError, match="no memory"):
        verify(rows, people, points, settings=Settings(backend="cuda"))


def test_a_provider_that_is_not_there_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_device: str) -> None:
        raise DeviceError("there is no NVIDIA driver on this machine")

    monkeypatch.setattr(backends_module, "look_for", absent)
    unit, plan = plan_of(np.eye(4, dtype=np.float32))
    with pytest.raises(BackendUnavailableError, match="no NVIDIA driver"):
        make_filter("cuda", unit, plan)
    assert any("no NVIDIA driver" in line for line in backends_module.states())


def test_a_device_that_fails_in_the_middle_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, plan = plan_of(np.eye(4, dtype=np.float32))
    worker = DeviceTiles(unit, plan).worker()

    class Broken:
        def run_with_iobinding(self, _binding: object) -> None:
            raise RuntimeError("CUDA failure 2: out of memory")

    monkeypatch.setattr(worker._lane, "_session", Broken())
    with pytest.raises(BackendUnavailableError, match=r"out of memory.*the result is the same"):
        worker.candidates(Tile(0, 4, 0, 4), 0.5)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_processor_goes_on_where_a_device_fails_in_the_middle(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    people = rng.integers(0, 500, 3000)
    x = (rng.standard_normal((500, 16))[people] + rng.standard_normal((3000, 16))).astype(np.float32)
    monkeypatch.setattr(parts_module, "_LEAST_PAIRS", 1 << 20)
    monkeypatch.setattr(parts_module, "_PARTS", 1 << 20)
    looks_like_a_gpu(monkeypatch)
    row = backends_module.Backend(
        "cuda", "", lambda job: DeviceTiles(job.unit, job.plan), lambda job: job.device != "cpu"
    )
    monkeypatch.setattr(backends_module, "BACKENDS", (row, *backends_module.BACKENDS[1:]))
    calls = 0
    plain = device_session.run

    def fails(session: Any, binding: Any) -> None:
        nonlocal calls
        calls += session.get_outputs()[0].name == "places"
        if calls > 2:
            raise BackendUnavailableError("out of memory")
        plain(session, binding)

    for columns in (GRID, 3 * GRID):  # tried before the device fails
        check_products(CPU, columns, 16)
    monkeypatch.setattr(device_session, "run", fails)
    points = [OperatingPoint(far="1e-3"), OperatingPoint(far="1e-5")]
    found = verify(x, people, points, settings=Settings(workers=workers))
    assert found.backend == "cuda-on-cpu, sgemm"
    expected = verify(x, people, points, settings=Settings(backend="float64"))
    assert found.points == expected.points
    assert found.hardest_impostor == expected.hardest_impostor
    with pytest.raises(BackendUnavailableError, match="out of memory"):
        verify(x, people, points, settings=Settings(backend="cuda"))


def test_a_place_beyond_an_array_is_no_place() -> None:
    array = DeviceArray((4, 2), np.float32, CPU)
    assert array.rows(1, 4).shape == (3, 2)
    for start, stop in ((-1, 2), (2, 5), (2, 2)):
        with pytest.raises(IndexError):
            array.rows(start, stop)


@pytest.mark.parametrize(("device", "there"), [("auto", "cpu"), ("cuda", "cuda"), ("cpu", "cpu")])
def test_on_other_machines_a_gpu_is_taken_only_where_it_was_asked_for(
    device: str, there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, people = np.eye(64, dtype=np.float32), np.arange(64)
    taken: list[str] = []

    def make(name: str, unit: Any, plan: Any, keep: int, workers: int, device: str) -> Any:
        taken.append(device)
        return make_filter(name, unit, plan, keep, workers, "cpu")

    monkeypatch.setattr(on_machines, "make_filter", make)
    plan = plan_pairs(people, AllToAll())
    kept = PartFiles(tmp_path, job_digest(features_digest(x), plan, 5, 1))
    with on_machines.described(
        kept, x, people, AllToAll(), on_machines.Description(features_digest(x), 5, 1, "auto", device)
    ):
        on_machines.scan_there(on_machines.PartTask(str(kept.folder), Part(0, 0, 64, 0, 64), -1.0, -1.0))
    on_machines.forget()
    assert taken == [there]
