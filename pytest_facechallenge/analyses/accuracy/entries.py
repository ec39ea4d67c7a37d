"""From a testset to one embedding an entry: images embedded, mirrored and pooled as the protocol says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.accuracy.kept_verification import NOWHERE, KeptVerification
from pytest_facechallenge.embedding import Embedded, Embedder, ImageProblem, Preprocessing, embed
from pytest_facechallenge.embedding.matrix import new_matrix
from pytest_facechallenge.embedding.pipeline import CHUNK, MOST_SECONDS_AN_IMAGE
from pytest_facechallenge.embedding.pooling import flip_sum, pool
from pytest_facechallenge.embedding.progress import heartbeat
from pytest_facechallenge.embedding.store import LOCK
from pytest_facechallenge.testsets.model import Images, IntArray, Testset
from pytest_facechallenge.verification import Settings


class Latest:
    """The latest plain embeddings of a testset, which its mirror images are added to as well: embedded once."""

    def __init__(self) -> None:
        self._found: tuple[Images, Preprocessing, Embedded] | None = None

    def of(self, images: Images, preprocessing: Preprocessing) -> Embedded | None:
        """Return those of these images and this preprocessing, or None."""
        found = self._found
        return found[2] if found is not None and found[0] is images and found[1] == preprocessing else None

    def keep(self, images: Images, preprocessing: Preprocessing, embedded: Embedded) -> None:
        """Keep these in place of the ones before."""
        self._found = images, preprocessing, embedded

    def forget(self) -> None:
        """Let go of them: they can be gigabytes."""
        self._found = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class How:
    """How images are embedded (by what, with which preprocessing, cached where) and compared."""

    embedder: Embedder
    preprocessing: Preprocessing
    cache: Path | None
    workdir: Path
    report: Callable[[str], None]
    verification: Settings
    allow: Callable[[float], None] = lambda _seconds: None
    kept: KeptVerification = NOWHERE
    lock: str = LOCK
    latest: Latest = dataclasses.field(default_factory=Latest)

    def fed(self, *, raw: bool) -> Preprocessing:
        """Return what is done to pixels; ``raw``: they stay 0..255."""
        return Preprocessing(mean=0.0, std=1.0) if raw else self.preprocessing


@dataclasses.dataclass(frozen=True, kw_only=True)
class EntryEmbeddings:
    """One embedding an entry.

    Attributes
    ----------
    rows : float32 [entries, D]
        Not necessarily normalised; NaN where not usable. Perhaps a memory map.
    usable : bool [entries]
    problems
        The images that could not be used.
    runs
        The embedding runs it took (two with the mirror image).
    """

    rows: npt.NDArray[np.float32]
    usable: npt.NDArray[np.bool_]
    problems: tuple[ImageProblem, ...]
    runs: tuple[Embedded, ...]


@dataclasses.dataclass(frozen=True)
class SomeImages:
    """Some of a testset's images, by their numbers."""

    images: Images
    indices: IntArray

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        """Return the image's own name."""
        return self.images.name(int(self.indices[index]))

    def read(self, index: int) -> bytes:
        """Return the image's bytes."""
        return self.images.read(int(self.indices[index]))


def embed_images(
    how: How, images: Images, label: str, *, flip: bool, bgr: bool = False, raw: bool = False
) -> EntryEmbeddings:
    """Embed images, adding the mirror image's embedding and normalising when ``flip`` is set; ``raw``: 0..255."""
    preprocessing = msgspec.structs.replace(how.fed(raw=raw), colour="BGR" if bgr else "RGB")
    known = how.latest.of(images, preprocessing)
    plain = known or _embed(how, images, preprocessing, f"embedding {label}{' as BGR' if bgr else ''}")
    if not flip:
        if not bgr:
            how.latest.keep(images, preprocessing, plain)
        return EntryEmbeddings(rows=plain.rows, usable=plain.usable, problems=plain.problems, runs=(plain,))
    turned = msgspec.structs.replace(preprocessing, mirror=True)
    mirrored = _embed(how, images, turned, f"embedding {label}, mirrored{' as BGR' if bgr else ''}")
    with heartbeat(how.report, f"adding the mirror images of {label}"):
        rows = plain.rows
        if known is not None:  # somebody may still read it
            rows = new_matrix((len(known.rows), known.rows.shape[1]), how.workdir)
            rows[:] = known.rows
        rows = flip_sum(rows, mirrored.rows)
    # The mirrored matrix can be gigabytes; what is kept of it is how it was made.
    mirrored = dataclasses.replace(mirrored, rows=mirrored.rows[:0].copy())
    return EntryEmbeddings(rows=rows, usable=plain.usable, problems=plain.problems, runs=(plain, mirrored))


def embed_testset(
    how: How, testset: Testset, *, flip: bool, raw: bool, some: SomeImages | None = None
) -> EntryEmbeddings:
    """Embed a testset's images and pool them into entries where it says so.

    Parameters
    ----------
    some
        The images that are embedded, of a testset that is not pooled; the others are none that can be used. None: all.
    """
    if some is not None:
        return _among_all(embed_images(how, some, testset.name, flip=flip, raw=raw), some.indices, len(testset), how)
    images = embed_images(how, testset.images, testset.name, flip=flip, raw=raw)
    if testset.pooling is None:
        return images
    with heartbeat(how.report, f"pooling {testset.name}"):
        rows = pool(images.rows, images.usable, testset.pooling, len(testset), how.workdir)
    usable = np.bincount(testset.pooling.entry[images.usable], minlength=len(testset)) > 0
    return EntryEmbeddings(rows=rows, usable=usable, problems=images.problems, runs=images.runs)


def _among_all(few: EntryEmbeddings, indices: IntArray, count: int, how: How) -> EntryEmbeddings:
    """Return the embeddings of some images as those of the testset, in which no other image can be used."""
    rows = new_matrix((count, few.rows.shape[1]), how.workdir)
    rows[indices] = few.rows
    usable = np.zeros(count, dtype=bool)
    usable[indices] = few.usable
    runs = []
    for run in few.runs:
        digests = np.zeros((count, run.digests.shape[1]), run.digests.dtype)
        digests[indices] = run.digests
        runs.append(dataclasses.replace(run, digests=digests))
    return EntryEmbeddings(rows=rows, usable=usable, problems=few.problems, runs=tuple(runs))


def embed_shard(how: How, testset: Testset, feeds: Iterable[tuple[bool, bool]], shard: tuple[int, int]) -> None:
    """Embed every of-th chunk of a testset's images into the cache, where whoever embeds the whole finds it.

    Parameters
    ----------
    feeds
        Flip and raw of each way in which images are fed.
    shard
        (number, of how many).

    Raises
    ------
    EmbeddingError
        As for `embed`, also where no image of the shard can be used.
    """
    number, count = shard
    mine = np.arange(len(testset.images))
    mine = mine[mine // CHUNK % count == number]
    some = SomeImages(testset.images, mine)
    for flip, raw in feeds if mine.size else ():
        embed_images(how, some, testset.name, flip=flip, raw=raw)


def _embed(how: How, images: Images, preprocessing: Preprocessing, label: str) -> Embedded:
    how.allow(len(images) * MOST_SECONDS_AN_IMAGE)
    return embed(
        how.embedder,
        images,
        preprocessing,
        cache=how.cache,
        workdir=how.workdir,
        report=how.report,
        label=label,
        lock=how.lock,
    )
