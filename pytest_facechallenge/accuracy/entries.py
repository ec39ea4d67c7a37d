"""From a testset to one embedding an entry: pictures embedded, mirrored and pooled as the protocol says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from pytest_facechallenge.embedding import Embedded, Engine, PictureProblem, Preprocessing, embed
from pytest_facechallenge.embedding.pooling import flip_sum, pool
from pytest_facechallenge.embedding.progress import heartbeat
from pytest_facechallenge.testset.model import IntArray, Pictures, Testset
from pytest_facechallenge.verification import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class How:
    """How pictures are embedded (by what, with which preprocessing, cached where) and compared."""

    engine: Engine
    preprocessing: Preprocessing
    cache: Path | None
    workdir: Path
    report: Callable[[str], None]
    verification: Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class EntryEmbeddings:
    """One embedding an entry.

    Attributes
    ----------
    rows : float32 [entries, D]
        Not necessarily normalised; NaN where not usable. Perhaps a memory map.
    usable : bool [entries]
    problems
        The pictures that could not be used.
    runs
        The embedding runs it took (two with the mirror image).
    """

    rows: npt.NDArray[np.float32]
    usable: npt.NDArray[np.bool_]
    problems: tuple[PictureProblem, ...]
    runs: tuple[Embedded, ...]


@dataclasses.dataclass(frozen=True)
class SomePictures:
    """Some of a testset's pictures, by their numbers."""

    pictures: Pictures
    indices: IntArray

    def __len__(self) -> int:
        return len(self.indices)

    def name(self, index: int) -> str:
        """Return the picture's own name."""
        return self.pictures.name(int(self.indices[index]))

    def read(self, index: int) -> bytes:
        """Return the picture's bytes."""
        return self.pictures.read(int(self.indices[index]))


def embed_pictures(
    how: How, pictures: Pictures, label: str, *, flip: bool, bgr: bool = False, raw: bool = False
) -> EntryEmbeddings:
    """Embed pictures, adding the mirror image's embedding and normalising when ``flip`` is set; ``raw``: 0..255."""
    preprocessing = Preprocessing(mean=0.0, std=1.0) if raw else how.preprocessing
    preprocessing = msgspec.structs.replace(preprocessing, colour="BGR" if bgr else "RGB")
    plain = _embed(how, pictures, preprocessing, f"embedding {label}{' as BGR' if bgr else ''}")
    if not flip:
        return EntryEmbeddings(rows=plain.rows, usable=plain.usable, problems=plain.problems, runs=(plain,))
    turned = msgspec.structs.replace(preprocessing, mirror=True)
    mirrored = _embed(how, pictures, turned, f"embedding {label}, mirrored{' as BGR' if bgr else ''}")
    with heartbeat(how.report, f"adding the mirror images of {label}"):
        rows = flip_sum(plain.rows, mirrored.rows)
    # The mirrored matrix can be gigabytes; what is kept of it is how it was made.
    mirrored = dataclasses.replace(mirrored, rows=mirrored.rows[:0].copy())
    return EntryEmbeddings(rows=rows, usable=plain.usable, problems=plain.problems, runs=(plain, mirrored))


def embed_testset(how: How, testset: Testset, *, flip: bool, raw: bool) -> EntryEmbeddings:
    """Embed a testset's pictures and pool them into entries where it says so."""
    pictures = embed_pictures(how, testset.pictures, testset.name, flip=flip, raw=raw)
    if testset.pooling is None:
        return pictures
    with heartbeat(how.report, f"pooling {testset.name}"):
        rows = pool(pictures.rows, pictures.usable, testset.pooling, len(testset), how.workdir)
    usable = np.bincount(testset.pooling.entry[pictures.usable], minlength=len(testset)) > 0
    return EntryEmbeddings(rows=rows, usable=usable, problems=pictures.problems, runs=pictures.runs)


def _embed(how: How, pictures: Pictures, preprocessing: Preprocessing, label: str) -> Embedded:
    return embed(
        how.engine,
        pictures,
        preprocessing,
        cache=how.cache,
        workdir=how.workdir,
        report=how.report,
        label=label,
    )
