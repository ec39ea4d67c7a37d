"""The cache of embeddings: chunks named by the content they were computed from, checked whenever they are read.

A chunk's name is the hash of all that its numbers depend on: model, decoder, preprocessing, provider, runtime version,
batch, and the bytes of its images in their order. So nothing has to be invalidated, an interrupted run finds what it
had finished, and two testsets with the same images share them. A file that is damaged, cut off, or was put there
under another chunk's name fails its checks and is computed again.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import msgspec
import numpy as np
import numpy.typing as npt

from pytest_facechallenge.embedding.image import Preprocessing, ProblemKind

#: Seconds between two signs of life while another process computes.
WAIT = 2.0
_MAGIC = b"facechallenge-embeddings/1\n"


class RunKey(msgspec.Struct, frozen=True, kw_only=True):
    """What the embedding of a given image depends on."""

    model_sha256: str
    preprocessing: Preprocessing
    decoder: str
    provider: str
    runtime: str
    batch: int

    @property
    def digest(self) -> str:
        """Its SHA-256."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


class ChunkProblem(msgspec.Struct, frozen=True, kw_only=True):
    """An image of a chunk that has no embedding: its place in the chunk, and why."""

    place: int
    kind: ProblemKind
    what: str


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Embeddings of consecutive images: float32 [n, D]; rows of images with a problem are NaN."""

    rows: npt.NDArray[np.float32]
    problems: tuple[ChunkProblem, ...] = ()


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    run: RunKey
    shape: tuple[int, int]
    sha256: str
    problems: tuple[ChunkProblem, ...]


class ChunkStore:
    """A folder of chunks for one `RunKey`.

    Parameters
    ----------
    root
        The cache folder; None keeps nothing.
    run
        What the chunks in it have in common.
    """

    def __init__(self, root: Path | None, run: RunKey) -> None:
        self.run = run
        self.folder = None if root is None else root / "embeddings" / run.digest[:32]
        self.damaged: list[str] = []
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def key(self, digests: list[bytes]) -> str:
        """Return the name of the chunk of the images with these SHA-256 digests, in this order."""
        return hashlib.sha256(self.run.digest.encode() + b"".join(digests)).hexdigest()

    @contextmanager
    def lock(self, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the store, so that of several processes one computes and the others then find its chunks.

        ``waiting`` is called every `WAIT` seconds while another one holds it.
        """
        if self.folder is None:
            yield
            return
        lock = filelock.FileLock(self.folder / "lock")
        while not lock.is_locked:
            try:
                lock.acquire(timeout=WAIT)
            except filelock.Timeout:
                waiting()
        try:
            yield
        finally:
            lock.release()

    def get(self, key: str) -> Chunk | None:
        """Return a chunk, or None when it is not there or not what its name says (``damaged`` then has the reason)."""
        if self.folder is None:
            return None
        path = self.folder / f"{key}.chunk"
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.damaged.append(f"{path.name}: {error}")
            return None
        try:
            return _unpack(raw, key)
        except (ValueError, msgspec.MsgspecError, struct.error) as error:
            self.damaged.append(f"{path.name}: {error}")
            return None

    def put(self, key: str, chunk: Chunk) -> None:
        """Store a chunk; a reader sees all of it or nothing."""
        if self.folder is None:
            return
        payload = np.ascontiguousarray(chunk.rows, dtype="<f4").tobytes()
        header = msgspec.json.encode(
            _Header(
                key=key,
                run=self.run,
                shape=(chunk.rows.shape[0], chunk.rows.shape[1]),
                sha256=hashlib.sha256(payload).hexdigest(),
                problems=chunk.problems,
            )
        )
        temporary = self.folder / f"{key}.{os.getpid()}.tmp"
        temporary.write_bytes(_MAGIC + struct.pack("<I", len(header)) + header + payload)
        temporary.replace(self.folder / f"{key}.chunk")


def _unpack(raw: bytes, key: str) -> Chunk:
    start = len(_MAGIC) + 4
    if not raw.startswith(_MAGIC):
        raise ValueError("it does not start like a chunk of embeddings")
    (length,) = struct.unpack("<I", raw[len(_MAGIC) : start])
    header = msgspec.json.decode(raw[start : start + length], type=_Header)
    payload = raw[start + length :]
    if header.key != key:
        raise ValueError(f"it holds the chunk {header.key}")
    if hashlib.sha256(payload).hexdigest() != header.sha256 or len(payload) != 4 * header.shape[0] * header.shape[1]:
        raise ValueError("its checksum does not fit")
    return Chunk(rows=np.frombuffer(payload, dtype="<f4").reshape(header.shape), problems=header.problems)
