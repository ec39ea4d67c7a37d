"""The cache of embeddings: nothing damaged is believed, and one that cannot be used costs no result."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pytest_facechallenge.embedding import Preprocessing
from pytest_facechallenge.embedding.store import Chunk, ChunkProblem, ChunkStore, RunKey

RUN = RunKey(model_sha256="m", preprocessing=Preprocessing(), decoder="d", provider="p", runtime="r", batch=4)
KEY = "k" * 64
CHUNK = Chunk(
    rows=np.arange(12, dtype=np.float32).reshape(3, 4),
    problems=(ChunkProblem(place=1, kind="size", what="another size"),),
)


def stored(root: Path) -> Path:
    store = ChunkStore(root, RUN)
    store.put(KEY, CHUNK)
    assert store.get(KEY) is not None
    (path,) = root.rglob("*.chunk")
    return path


def test_no_flipped_bit_is_believed(tmp_path: Path) -> None:
    path = stored(tmp_path)
    good = path.read_bytes()
    store = ChunkStore(tmp_path, RUN)
    for place in range(len(good)):
        damaged = bytearray(good)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert store.get(KEY) is None, f"byte {place} of {len(good)}"
    assert len(store.damaged) == len(good)


def test_nothing_cut_off_or_added_is_believed(tmp_path: Path) -> None:
    path = stored(tmp_path)
    good = path.read_bytes()
    store = ChunkStore(tmp_path, RUN)
    for content in (*(good[:length] for length in range(len(good))), good + b"\0"):
        path.write_bytes(content)
        assert store.get(KEY) is None


def test_a_chunk_of_another_run_is_not_believed(tmp_path: Path) -> None:
    path = stored(tmp_path)
    other = ChunkStore(tmp_path, RunKey(**{**{n: getattr(RUN, n) for n in RUN.__struct_fields__}, "batch": 8}))
    assert other.folder is not None
    (other.folder / path.name).write_bytes(path.read_bytes())
    assert other.get(KEY) is None


def used(store: ChunkStore) -> Chunk | None:
    """Do what a run does with a cache."""
    with store.lock():
        store.put(KEY, CHUNK)
        return store.get(KEY)


def test_a_file_in_the_cache_s_place(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    store = ChunkStore(tmp_path / "cache", RUN)
    assert used(store) is None
    assert "cannot be used" in store.notes[0]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(30, "Read-only file system")])
def test_a_read_only_cache_is_read(tmp_path: Path, error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    store = ChunkStore(tmp_path, RUN)
    assert used(store) is not None
    assert len(store.notes) == 1
    assert "cannot be written" in store.notes[0]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    store = ChunkStore(tmp_path, RUN)
    store.put(KEY, CHUNK)
    assert used(store) is None
    assert len(store.notes) == 1
    assert "No space left" in store.notes[0]
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".chunk")]


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_pipe_in_an_entry_s_place(tmp_path: Path) -> None:
    path = stored(tmp_path)
    path.unlink()
    os.mkfifo(path)
    store = ChunkStore(tmp_path, RUN)
    assert store.get(KEY) is None
    assert "a pipe" in store.damaged[0]
