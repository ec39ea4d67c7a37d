"""Parts of a verification on two processes give what one process gives, to the last digit, whoever dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pytest_facechallenge.cluster.connection import Cluster
from pytest_facechallenge.verification import (
    AllToAll,
    Cross,
    OperatingPoint,
    Settings,
    StateError,
    VerificationResult,
    verify,
)
from pytest_facechallenge.verification import impostors as impostors_module
from pytest_facechallenge.verification import parts as parts_module
from pytest_facechallenge.verification.kept_parts import PartFiles

ROWS = 5000
POINTS = [OperatingPoint(far=far) for far in ("1e-3", "1e-5")]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut 5,000 rows into 15 parts."""
    monkeypatch.setattr(parts_module, "_LEAST_PAIRS", 1 << 20)


@pytest.fixture
def people(tmp_path: Path) -> tuple[Any, Any]:
    """A memory map of features, and identities."""
    rng = np.random.default_rng(7)
    identities = rng.integers(0, ROWS // 6, ROWS)
    x = rng.standard_normal((ROWS, 24))[identities] + rng.standard_normal((ROWS, 24))
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    return np.load(tmp_path / "x.npy", mmap_mode="r"), identities


def verified(x: Any, identities: Any, **more: Any) -> VerificationResult:
    settings = Settings(resamples=10, workers=1, histograms=True, backend="sgemm")
    return verify(x, identities, POINTS, settings=settings, **more)


@pytest.mark.parametrize(
    "protocol", [AllToAll(rows=np.arange(3000)), Cross(probe=np.arange(1200), gallery=np.arange(1200, ROWS))]
)
def test_machines_give_the_same(
    protocol: Any, people: tuple[Any, Any], machines: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = verified(*people, protocol=protocol)
    monkeypatch.setattr(impostors_module, "scan", None)  # nothing is scanned here
    assert verified(*people, protocol=protocol, state=tmp_path / "state", machines=machines) == expected
    in_memory = np.array(people[0])[::-1][::-1]
    assert verified(in_memory, people[1], protocol=protocol, state=tmp_path / "other", machines=machines) == expected
    assert not list(tmp_path.glob("*/*/features*"))


def test_a_worker_killed_in_the_middle_changes_nothing(
    people: tuple[Any, Any], machines: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = verified(*people)
    get = PartFiles.get
    killed: list[int] = []

    def kill_one(self: PartFiles, part: Any) -> Any:
        found = get(self, part)
        if found is not None and not killed:
            (pid, *_) = machines._client.run(os.getpid).values()
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        return found

    monkeypatch.setattr(PartFiles, "get", kill_one)
    assert verified(*people, state=tmp_path / "state", machines=machines) == expected
    assert killed


@pytest.mark.slow
def test_what_one_machine_has_done_another_goes_on_from(
    people: tuple[Any, Any], machines: Cluster, tmp_path: Path
) -> None:
    expected = verified(*people, state=tmp_path)
    for path in sorted(tmp_path.glob("*/*.part"))[::2]:
        path.unlink()
    assert verified(*people, state=tmp_path, machines=machines) == expected


def test_features_that_another_machine_sees_otherwise_are_refused(
    people: tuple[Any, Any], machines: Cluster, tmp_path: Path
) -> None:
    changed = np.load(tmp_path / "x.npy", mmap_mode="c")  # changed in memory, and not in the file
    changed[0, 0] += 1
    with pytest.raises(StateError, match=r"x\.npy holds other features on .* than where the verification was started"):
        verified(changed, people[1], state=tmp_path / "state", machines=machines)


def test_machines_need_a_folder(people: tuple[Any, Any], machines: Cluster) -> None:
    with pytest.raises(StateError, match="'state' must name one"):
        verified(*people, machines=machines)


@pytest.mark.slow
def test_the_backend_makes_no_difference_there(people: tuple[Any, Any], machines: Cluster, tmp_path: Path) -> None:
    expected = verified(*people)
    settings = Settings(resamples=10, workers=1, histograms=True, backend="int8")
    found = verify(*people, POINTS, settings=settings, state=tmp_path, machines=machines)
    assert found.backend == "int8"
    assert msgspec.structs.replace(found, backend="sgemm") == expected
