"""Parts of the pairs add up to the whole, survive in files, and a process that is killed loses what it was at only."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
from pytest_facechallenge.verification.protocol import plan_pairs
from pytest_facechallenge.verification.rows import UnitRows
from pytest_facechallenge.verification.tail import EPS, ImpostorTail, TailContents

ROWS = 3000
_NONE = np.empty(0, np.int64)
POINTS = [OperatingPoint(far=far) for far in ("1e-3", "1e-5")]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut 3,000 rows into six parts."""
    monkeypatch.setattr(parts_module, "_LEAST_PAIRS", 1 << 20)


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the parts that were scanned since the test began."""
    found: list[int] = []

    def scan(*arguments: Any, **settings: Any) -> Any:
        found.append(arguments[4].number)
        return parts_module.scan(*arguments, **settings)

    monkeypatch.setattr(impostors_module, "scan", scan)
    return found


def people(*, ties: bool = False) -> tuple[Any, Any]:
    rng = np.random.default_rng(7)
    identities = rng.integers(0, ROWS // 6, ROWS)
    x = rng.standard_normal((ROWS, 16))[identities] + rng.standard_normal((ROWS, 16))
    if ties:  # few values: scores tie by the thousand, in every part
        x = np.clip(np.round(x[:, :5]), -1, 1)
        x[~x.any(axis=1), 0] = 1
    return x.astype(np.float32), identities


def verified(x: Any, identities: Any, state: Path | None = None, **changes: Any) -> VerificationResult:
    settings = Settings(resamples=10, **{"workers": 2, **changes})
    return verify(x, identities, POINTS, settings=settings, state=state)


def kept(state: Path) -> list[Path]:
    return sorted(state.glob("*/*.part"))


@pytest.mark.parametrize("protocol", [AllToAll(), Cross(probe=np.arange(1500), gallery=np.arange(1500, ROWS))])
def test_parts_hold_every_pair_once(protocol: Any) -> None:
    plan = plan_pairs(people()[1], protocol)
    seen = np.zeros((len(plan.left), len(plan.right)), np.int8)
    parts = parts_module.cut(plan)
    assert len(parts) > 3
    for part in parts:
        for tile in parts_module.tiles(part, 256, 512, symmetric=plan.symmetric):
            seen[tile.left_start : tile.left_stop, tile.right_start : tile.right_stop] += 1
    assert (seen[np.triu_indices(len(seen), 1)] == 1).all() if plan.symmetric else (seen == 1).all()


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("backend", ["int8", "sgemm"])
def test_a_second_call_takes_everything_from_the_state(
    backend: str, ties: bool, tmp_path: Path, scanned: list[int]
) -> None:
    x, identities = people(ties=ties)
    expected = verified(x, identities, backend=backend)
    assert expected.points[0].boundary_ties > 1000 or not ties
    assert verified(x, identities, tmp_path, backend=backend) == expected
    scanned.clear()
    assert verified(x, identities, tmp_path, backend=backend) == expected
    assert scanned == []


def test_any_half_of_the_state_gives_the_same(tmp_path: Path, scanned: list[int]) -> None:
    x, identities = people(ties=True)
    expected = verified(x, identities, tmp_path)
    for half in (0, 1):
        for path in kept(tmp_path)[half::2]:
            path.unlink()
        scanned.clear()
        assert verified(x, identities, tmp_path) == expected
        assert sorted(set(scanned)) == list(range(6))[half::2]


@pytest.mark.parametrize("seed", range(40))
def test_tails_merge_in_any_order_to_the_tail_of_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # Few values, some within 1e-12 of another: many ties at the last kept score, in every part.
    scores = rng.integers(0, 6, 400) / 8 + rng.integers(-1, 2, 400) * 3e-13
    keep = int(rng.integers(1, 120))
    whole = ImpostorTail(keep)
    whole.add(scores)
    merged = ImpostorTail(keep)
    for part in np.array_split(rng.permutation(scores), rng.integers(1, 9)):
        found = ImpostorTail(keep)
        for piece in np.array_split(part, 3):
            found.add(piece)
        merged.merge(found.contents())
    assert merged.largest().tolist() == whole.largest().tolist() == sorted(scores, reverse=True)[:keep]
    last = float(whole.largest()[-1])
    for low, high in ((last, last), (last - EPS, last + EPS), (last - EPS, 9.0)):
        assert merged.count(low, high) == whole.count(low, high) == ((scores >= low) & (scores <= high)).sum()


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
from pytest_facechallenge.verification import OperatingPoint, Settings, kept_parts, parts, verify

parts._LEAST_PAIRS = 1 << 20
put, done = kept_parts.PartFiles.put, []
def then_wait(self, part, result):
    put(self, part, result)
    done.append(part)
    if len(done) == 2:
        print("two are kept", flush=True)
        time.sleep(60)
kept_parts.PartFiles.put = then_wait
folder = Path(sys.argv[1])
x, identities = np.load(folder / "x.npy", mmap_mode="r"), np.load(folder / "identities.npy")
points = [OperatingPoint(far=far) for far in ("1e-3", "1e-5")]
verify(x, identities, points, settings=Settings(resamples=10, workers=1), state=folder / "state")
"""


def test_a_killed_process_is_gone_on_from(tmp_path: Path, scanned: list[int]) -> None:
    x, identities = people()
    expected = verified(x, identities)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "identities.npy", identities)
    with subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"two are kept\n"
        process.kill()
    assert len(kept(tmp_path / "state")) == 2
    scanned.clear()
    assert verified(np.load(tmp_path / "x.npy", mmap_mode="r"), identities, tmp_path / "state") == expected
    assert sorted(scanned) == [2, 3, 4, 5]


def test_what_is_damaged_or_in_anothers_place_is_scanned_again(tmp_path: Path, scanned: list[int]) -> None:
    x, identities = people()
    expected = verified(x, identities, tmp_path)
    files = kept(tmp_path)
    files[0].write_bytes(files[0].read_bytes()[:-1])
    files[1].write_bytes(b"")
    changed = bytearray(files[2].read_bytes())
    changed[-1] ^= 1
    files[2].write_bytes(changed)
    files[3].write_bytes(files[4].read_bytes())
    scanned.clear()
    assert verified(x, identities, tmp_path) == expected
    assert sorted(scanned) == [0, 1, 2, 3]


def test_the_state_of_other_embeddings_or_identities_is_not_used(
    tmp_path: Path, scanned: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, _ = people()
    monkeypatch.setattr(impostors_module, "_starting_cutoffs", lambda *_: iter((-np.inf,)))
    # As many rows in the same order, as many pairs of each kind: people of two and four images, and of four and two.
    identities, others = (np.repeat(np.arange(ROWS // 3), np.tile(sizes, ROWS // 6)) for sizes in ([2, 4], [4, 2]))
    verified(x, identities, tmp_path)
    changed = x.copy()
    changed[5, 5] += 1
    for case in ((changed, identities), (x, others)):
        scanned.clear()
        assert verified(*case, tmp_path) == verified(*case)
        assert sorted(scanned) == sorted([*range(6), *range(6)])


def test_what_was_found_under_too_high_a_guess_is_found_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scanned: list[int]
) -> None:
    x, identities = people()
    expected = verified(x, identities)
    monkeypatch.setattr(impostors_module, "_starting_cutoffs", lambda *_: iter((0.99, -np.inf)))
    scanned.clear()
    assert verified(x, identities, tmp_path) == expected
    assert len(scanned) == 12
    (job,) = (path.name for path in tmp_path.iterdir())
    # Of the first pass something is left, as when a process was killed in the second: it is not taken for it.
    left = PartFiles.get(PartFiles(tmp_path, job), part := parts_module.cut(plan_pairs(identities, AllToAll()))[3])
    assert left is not None
    few = np.sort(left.tail.top)[-1:]
    PartFiles(tmp_path, job).put(part, dataclasses.replace(left, start=0.99, tail=TailContents(few, few[:0], _NONE)))
    scanned.clear()
    assert verified(x, identities, tmp_path) == expected
    assert scanned == [3]


@pytest.mark.parametrize("content", ["", "[]", "[0.5]", '["x"]', "{}"])
def test_guesses_are_made_once_and_again_where_they_are_damaged(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scanned: list[int]
) -> None:
    x, identities = people()
    guesses = list(impostors_module._starting_cutoffs(UnitRows(x), plan_pairs(identities, AllToAll()), 4490, 0))
    assert len(guesses) > 1
    expected = verified(x, identities, tmp_path)
    monkeypatch.setattr(impostors_module, "_starting_cutoffs", lambda *_: iter([guess - 1e-9 for guess in guesses]))
    scanned.clear()
    assert verified(x, identities, tmp_path) == expected
    assert scanned == []
    next(tmp_path.glob("*/guesses.json")).write_text(content)
    assert verified(x, identities, tmp_path) == expected


def test_a_state_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    x, identities = people()
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"cannot be kept in .*file"):
        verified(x, identities, tmp_path / "file")


def test_a_memory_map_is_not_copied(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.float32, shape=(12_000, 1024))
    for start in range(0, len(rows), 4000):
        rows[start : start + 4000] = rng.standard_normal((4000, 1024), dtype=np.float32)
    identities = np.arange(len(rows)) // 4
    tracemalloc.start()
    try:
        verify(rows, identities, [OperatingPoint(far="1e-7")], settings=Settings(backend="int8"), state=tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Rows in 8 bits are a quarter; what does not grow with the rows is some MB.
    assert peak < 0.25 * rows.nbytes + (20 << 20)
