"""Embedding all images of a testset: read, look up, decode in parallel, run in batches, store."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from pytest_facechallenge.embedding import image
from pytest_facechallenge.embedding.embedder import Embedder, EmbeddingError, Float32Array
from pytest_facechallenge.embedding.image import ImageError, Preprocessing, ProblemKind, decode, fill
from pytest_facechallenge.embedding.matrix import new_matrix
from pytest_facechallenge.embedding.progress import Progress
from pytest_facechallenge.embedding.store import LOCK, Chunk, ChunkProblem, ChunkStore, RunKey
from pytest_facechallenge.inference.input_slots import Slot, Slots
from pytest_facechallenge.testsets.model import Images

#: Images stored as one unit: what an interruption can lose at most.
CHUNK = 512
#: Processor time that no honest network takes for an image: an iResNet-200 (24 thousand million products) on one core
#: that does as many in a few seconds, a twentieth of what today's do.
MOST_SECONDS_AN_IMAGE = 10.0
#: Bytes of an image's hash that are kept to find the same image again.
DIGEST = 16


class ImageProblem(msgspec.Struct, frozen=True, kw_only=True):
    """An image that could not be embedded.

    Attributes
    ----------
    index, name
        Which one.
    kind
        "unreadable", or "size" for another size than 112x112.
    what
        What was found, for a sentence.
    """

    index: int
    name: str
    kind: ProblemKind
    what: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Embedded:
    """Embeddings of a testset's images.

    Attributes
    ----------
    rows : float32 [N, D]
        In the order of the images; NaN for those in ``problems``. A memory map when large.
    usable : bool [N]
        False for the images in ``problems``.
    computed, cached
        Images that went through the model now, and that were found in the cache.
    seconds
        Of the whole, with reading.
    damaged
        Cache files that were there but wrong, and so were computed again.
    cache_notes
        Why the cache was not used, a sentence each.
    digests : uint8 [N, 16]
        The beginning of the SHA-256 of each image's file.
    """

    rows: Float32Array
    usable: npt.NDArray[np.bool_]
    problems: tuple[ImageProblem, ...]
    computed: int
    cached: int
    seconds: float
    damaged: tuple[str, ...] = ()
    cache_notes: tuple[str, ...] = ()
    digests: npt.NDArray[np.uint8] = dataclasses.field(default_factory=lambda: np.empty((0, DIGEST), np.uint8))


@dataclasses.dataclass(frozen=True)
class _Read:
    """What reading a chunk's files gave: the bytes (or the error) and the digest of each."""

    blobs: list[bytes | str]
    digests: list[bytes]


@dataclasses.dataclass(frozen=True)
class _Batch:
    """A decoded batch: the slot that holds the usable images, if any, and their places in the chunk."""

    slot: Slot | None
    places: list[int]
    problems: list[ChunkProblem]


def embed(
    embedder: Embedder,
    images: Images,
    how: Preprocessing,
    *,
    cache: Path | None,
    workdir: Path,
    report: Callable[[str], None] = lambda _line: None,
    label: str = "embedding",
    workers: int = 0,
    lock: str = LOCK,
) -> Embedded:
    """Embed every image.

    Decoding runs in threads ahead of the model. Finished chunks are stored at once, so a run that was interrupted goes
    on where it was, and of several processes that want the same thing one computes it.

    Parameters
    ----------
    cache
        Folder of the cache; None to keep nothing.
    workdir
        A folder for a memory-mapped result.
    workers
        Decoding threads; 0 for one a core, at most 8.
    lock
        What of the cache is held meanwhile: who embeds other chunks of the same testset holds another.

    Raises
    ------
    EmbeddingError
        The model fails or gives something else than one row an image, or no image at all is usable.
    """
    run = RunKey(
        model_sha256=embedder.sha256,
        preprocessing=how,
        decoder=image.DECODER,
        provider=embedder.provider,
        runtime=embedder.runtime,
        batch=embedder.batch,
    )
    store = ChunkStore(cache, run)
    progress = Progress(len(images), label, report)
    workers = workers or min(8, os.cpu_count() or 1)
    collector = _Collector(images, workdir)

    def waiting() -> None:
        report(f"{label}: waiting for another process that embeds with the same model")

    with store.lock(waiting, lock), ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        pipeline = _Pipeline(embedder, images, how, store, pool, depth=2 * workers)
        for start, chunk, cached in pipeline.chunks(progress):
            collector.take(start, chunk, cached=cached)
    return collector.result(progress.seconds, store, pipeline.digests)


class _Pipeline:
    """Chunks of a run, in order; the next chunk is read and the next batches are decoded while the model runs."""

    def __init__(
        self,
        embedder: Embedder,
        images: Images,
        how: Preprocessing,
        store: ChunkStore,
        pool: ThreadPoolExecutor,
        depth: int,
    ) -> None:
        self.embedder, self.images, self.how = embedder, images, how
        self.store, self.pool, self.depth = store, pool, depth
        self.digests = np.zeros((len(images), DIGEST), np.uint8)
        # Those ahead and the one that the model runs on.
        self.slots = embedder.slots(depth + 1)

    def chunks(self, progress: Progress) -> Iterator[tuple[int, Chunk, bool]]:
        """Give (first image, chunk, whether it was cached), embedding what is not stored yet."""
        ahead: deque[tuple[int, str, int, Chunk | None, Future[_Batch] | None, bool]] = deque()
        jobs = self._jobs()
        rows: list[tuple[list[int], Float32Array]] = []
        problems: list[ChunkProblem] = []
        try:
            while True:
                while len(ahead) < self.depth and (job := next(jobs, None)) is not None:
                    ahead.append(job)
                if not ahead:
                    return
                start, key, size, found, future, last = ahead.popleft()
                if found is not None:
                    progress.advance(size, cached=True)
                    yield start, found, True
                    continue
                assert future is not None  # noqa: S101 - by construction: a job has a chunk or a batch
                batch = future.result()
                problems += batch.problems
                if batch.slot is not None:
                    rows.append((batch.places, self.embedder.run(batch.slot, len(batch.places))))
                    self.slots.give_back(batch.slot)
                progress.advance(len(batch.places) + len(batch.problems))
                if last:
                    chunk = _assemble(size, rows, problems)
                    if rows:  # nothing is known about a chunk without one usable image, not even the width
                        self.store.put(key, chunk)
                    yield start, chunk, False
                    rows, problems = [], []
        finally:
            for job in ahead:
                if job[4] is not None:
                    job[4].cancel()

    def _jobs(self) -> Iterator[tuple[int, str, int, Chunk | None, Future[_Batch] | None, bool]]:
        """Give (first image, key, size of the chunk, chunk | None, batch to come | None, last batch of its chunk)."""
        starts = range(0, len(self.images), CHUNK)
        reading = self._read(starts[0]) if starts else []
        for start in starts:
            read = [part.result() for part in reading]
            reading = self._read(start + CHUNK)
            blobs = [blob for part in read for blob in part.blobs]
            digests = [digest for part in read for digest in part.digests]
            self.digests[start : start + len(digests)] = np.frombuffer(b"".join(digests), np.uint8).reshape(
                len(digests), -1
            )[:, :DIGEST]
            key = self.store.key(digests)
            found = self.store.get(key)
            if found is not None and len(found.rows) == len(blobs):
                yield start, key, len(blobs), found, None, True
                continue
            for first in range(0, len(blobs), self.embedder.batch):
                part = blobs[first : first + self.embedder.batch]
                future = self.pool.submit(_decode_batch, part, first, self.how, self.embedder, self.slots)
                yield start, key, len(blobs), None, future, first + self.embedder.batch >= len(blobs)

    def _read(self, start: int) -> list[Future[_Read]]:
        stop = min(start + CHUNK, len(self.images))
        return [
            self.pool.submit(_read_files, self.images, range(at, min(at + 64, stop))) for at in range(start, stop, 64)
        ]


def _read_files(images: Images, indices: range) -> _Read:
    blobs: list[bytes | str] = []
    digests: list[bytes] = []
    for index in indices:
        try:
            blob: bytes | str = images.read(index)
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
            blob = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        blobs.append(blob)
        digests.append(hashlib.sha256(blob if isinstance(blob, bytes) else b"unreadable " + blob.encode()).digest())
    return _Read(blobs, digests)


def _decode_batch(blobs: list[bytes | str], first: int, how: Preprocessing, embedder: Embedder, slots: Slots) -> _Batch:
    slot = slots.take()
    places: list[int] = []
    problems: list[ChunkProblem] = []
    try:
        for place, blob in enumerate(blobs, start=first):
            try:
                if isinstance(blob, str):
                    raise ImageError("unreadable", blob)
                fill(slot.host[len(places)], decode(blob), how)
            except ImageError as error:
                problems.append(ChunkProblem(place=place, kind=error.kind, what=str(error)))
            else:
                places.append(place)
        if places:
            embedder.fill_up(slot, len(places))
    except BaseException:
        slots.give_back(slot)
        raise
    if not places:
        slots.give_back(slot)
    return _Batch(slot if places else None, places, problems)


def _assemble(size: int, parts: list[tuple[list[int], Float32Array]], problems: list[ChunkProblem]) -> Chunk:
    width = parts[0][1].shape[1] if parts else 0
    rows = np.full((size, width), np.nan, dtype=np.float32)
    for places, embeddings in parts:
        rows[places] = embeddings
    return Chunk(rows=rows, problems=tuple(problems))


class _Collector:
    """Puts chunks together into one matrix, in memory or in a file."""

    def __init__(self, images: Images, workdir: Path) -> None:
        self._images, self._workdir = images, workdir
        self._rows: Float32Array | None = None
        self._problems: list[ImageProblem] = []
        self._computed = self._cached = 0

    def take(self, start: int, chunk: Chunk, *, cached: bool) -> None:
        """Add one chunk.

        Raises
        ------
        EmbeddingError
            Its width differs from that of the chunks before.
        """
        size, width = chunk.rows.shape
        if width and self._rows is None:
            self._rows = new_matrix((len(self._images), width), self._workdir)
        if width and self._rows is not None:
            if width != self._rows.shape[1]:
                raise EmbeddingError(f"the embeddings' width changes from {self._rows.shape[1]} to {width}")
            self._rows[start : start + size] = chunk.rows
        if cached:
            self._cached += size
        else:
            self._computed += size
        self._problems += [
            ImageProblem(
                index=start + problem.place,
                name=self._images.name(start + problem.place),
                kind=problem.kind,
                what=problem.what,
            )
            for problem in chunk.problems
        ]

    def result(self, seconds: float, store: ChunkStore, digests: npt.NDArray[np.uint8]) -> Embedded:
        """Return everything.

        Raises
        ------
        EmbeddingError
            No image was usable.
        """
        if self._rows is None:
            first = f"; the first: {self._problems[0].name}: {self._problems[0].what}" if self._problems else ""
            raise EmbeddingError(f"none of the {len(self._images):,} images can be used{first}")
        usable = np.ones(len(self._images), dtype=bool)
        usable[[problem.index for problem in self._problems]] = False
        return Embedded(
            rows=self._rows,
            usable=usable,
            problems=tuple(self._problems),
            computed=self._computed,
            cached=self._cached,
            seconds=seconds,
            damaged=tuple(store.damaged),
            cache_notes=tuple(store.notes),
            digests=digests,
        )
