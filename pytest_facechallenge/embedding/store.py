"""The cache of embeddings: chunks named by the content they were computed from, checked whenever they are read.

A chunk's name is the hash of all that its numbers depend on: model, decoder, preprocessing, provider, runtime version,
batch, and the bytes of its images in their order. So nothing has to be invalidated, an interrupted run finds what it
had finished, and two testsets with the same images share them. A file that is damaged, cut off, or was put there
under another chunk's name fails its checks and is computed again. A cache that cannot be used costs time and no result:
what it would have held is computed, and `ChunkStore.notes` says so.
"""

from __future__ import annotations

import contextlib
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

from pytest_facechallenge.core.files import read_regular
from pytest_facechallenge.embedding.image import Preprocessing, ProblemKind

#: Seconds between two signs of life while another process computes.
WAIT = 2.0
#: Bytes of the largest chunk that is read: 512 rows of 65,536 values, and as much again.
MAX_BYTES = 256 << 20
#: What a process holds that embeds a whole testset.
LOCK = "lock"
_MAGIC = b"facechallenge-embeddings/2\n"
_DIGEST = hashlib.sha256().digest_size


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
    problems: tuple[ChunkProblem, ...]


class ChunkStore:
    """A folder of chunks for one `RunKey`.

    Parameters
    ----------
    root
        The cache folder; None keeps nothing.
    run
        What the chunks in it have in common.

    Attributes
    ----------
    damaged
        Chunks that were there but wrong, a sentence each; they are computed again.
    notes
        Why the cache was not used, a sentence each; empty when it was.
    """

    def __init__(self, root: Path | None, run: RunKey) -> None:
        self.run = run
        self.folder = None if root is None else root / "embeddings" / run.digest[:32]
        self.damaged: list[str] = []
        self.notes: list[str] = []
        self._writes = True
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                self._without(error)

    def _without(self, error: OSError) -> None:
        """Go on without the cache."""
        self.notes.append(f"the cache cannot be used, so everything was computed: {error}")
        self.folder = None

    def key(self, digests: list[bytes]) -> str:
        """Return the name of the chunk of the images with these SHA-256 digests, in this order."""
        return hashlib.sha256(self.run.digest.encode() + b"".join(digests)).hexdigest()

    @contextmanager
    def lock(self, waiting: Callable[[], None] = lambda: None, name: str = LOCK) -> Iterator[None]:
        """Hold the store, so that of several processes one computes and the others then find its chunks.

        ``name`` is what is held: those who compute different chunks hold different ones.
        ``waiting`` is called every `WAIT` seconds while another one holds it.
        """
        if self.folder is None:
            yield
            return
        lock = filelock.FileLock(self.folder / name)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=WAIT)
            except filelock.Timeout:
                waiting()
            except (OSError, NotImplementedError) as error:
                # What is there can still be read, and is checked when it is; nothing can be added.
                self._read_only(error)
                break
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
            raw = read_regular(path, MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.damaged.append(f"{path.name}: {error}")
            return None
        try:
            return _unpack(raw, key, self.run)
        except (ValueError, msgspec.MsgspecError, struct.error) as error:
            self.damaged.append(f"{path.name}: {error}")
            return None

    def put(self, key: str, chunk: Chunk) -> None:
        """Store a chunk; a reader sees all of it or nothing. Nothing is raised when it cannot be stored."""
        if self.folder is None or not self._writes:
            return
        payload = np.ascontiguousarray(chunk.rows, dtype="<f4").tobytes()
        header = msgspec.json.encode(
            _Header(
                key=key,
                run=self.run,
                shape=(chunk.rows.shape[0], chunk.rows.shape[1]),
                problems=chunk.problems,
            )
        )
        temporary = self.folder / f"{key}.{os.getpid()}.tmp"
        content = struct.pack("<I", len(header)) + header + payload
        try:
            temporary.write_bytes(_MAGIC + hashlib.sha256(_MAGIC + content).digest() + content)
            temporary.replace(self.folder / f"{key}.chunk")
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            self._read_only(error)

    def _read_only(self, error: Exception) -> None:
        """Go on with what the cache holds, adding nothing."""
        if self._writes:
            self.notes.append(f"the cache cannot be written, so what was computed now is not kept: {error}")
        self._writes = False


def _unpack(raw: bytes, key: str, run: RunKey) -> Chunk:
    if not raw.startswith(_MAGIC):
        raise ValueError("it does not start like a chunk of embeddings")
    start = len(_MAGIC) + _DIGEST
    content = memoryview(raw)[start:]
    checked = hashlib.sha256(_MAGIC)
    checked.update(content)
    if checked.digest() != raw[len(_MAGIC) : start]:
        raise ValueError("its checksum does not fit")
    (length,) = struct.unpack_from("<I", content)
    header = msgspec.json.decode(content[4 : 4 + length], type=_Header)
    payload = content[4 + length :]
    if header.key != key:
        raise ValueError(f"it holds the chunk {header.key}")
    if header.run != run:
        raise ValueError("it was computed in another way")
    if min(header.shape) < 0 or len(payload) != 4 * header.shape[0] * header.shape[1]:
        raise ValueError(f"it holds {len(payload):,} bytes of embeddings for the shape {header.shape}")
    return Chunk(rows=np.frombuffer(payload, dtype="<f4").reshape(header.shape), problems=header.problems)
