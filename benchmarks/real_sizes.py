"""The challenges' sets in their real sizes, with synthetic embeddings: one command each, made, verified, measured.

    python -m benchmarks.real_sizes mask          6,964 masked x 13,928 non-masked images, FAR < 1e-4
    python -m benchmarks.real_sizes children      157,280 images, FAR < 1e-4
    python -m benchmarks.real_sizes mr-all        1,624,305 images, FAR < 1e-6
    python -m benchmarks.real_sizes templates     IJB-C 1:1: 469,375 images, 23,124 templates, 15,658,489 listed pairs
    python -m benchmarks.real_sizes videos        LFR19: 203,848 videos of 8 frames, FAR <= 1e-4
    python -m benchmarks.real_sizes images        LFR19: 1,862,120 images, FAR <= 1e-8
    python -m benchmarks.real_sizes images --share 0.02                     a fiftieth of the images of any of them
    python -m benchmarks.real_sizes mr-all --backend cuda                   by a GPU; "cuda-on-cpu" without one

Embeddings are unit rows of 512 values around a centre for each identity (`large_verification.make`), in a file that is
mapped; of LFR19 and IJB-C's media only the sizes are published, so the numbers of identities and media are this
benchmark's. Memory is what the process holds beyond mapped files, as a share of the embeddings that are compared.
`benchmarks.large_verification` kills such a run on the way, and has it done by other machines.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.large_verification import FEATURES, IDENTITIES, PeakMemory, make
from pytest_facechallenge.core.freed_memory import give_back
from pytest_facechallenge.embedding.pooling import pool
from pytest_facechallenge.testsets.model import Pooling
from pytest_facechallenge.verification import (
    AllToAll,
    Cross,
    OperatingPoint,
    Settings,
    VerificationResult,
    verify,
    verify_pairs,
)

WIDTH = 512
TEMPLATES, GENUINE, IMPOSTOR = 23_124, 19_557, 15_638_932
FRAMES = 8

IntArray = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class RealSet:
    """A set: its images, its identities, its operating points, and what is done with them."""

    images: int
    identities: int
    points: tuple[OperatingPoint, ...]
    work: Callable[[Job], tuple[VerificationResult, int]]


@dataclasses.dataclass(frozen=True)
class Job:
    """What a set's work is given; it returns the result, and the bytes of the embeddings that were compared."""

    rows: Any
    identities: IntArray
    points: tuple[OperatingPoint, ...]
    settings: Settings
    folder: Path
    share: float


def all_to_all(job: Job) -> tuple[VerificationResult, int]:
    """Compare all images with each other, with the state kept in the folder."""
    found = verify(
        job.rows,
        job.identities,
        job.points,
        protocol=AllToAll(),
        settings=job.settings,
        state=job.folder / "state",
    )
    return found, job.rows.nbytes


def masked(job: Job) -> tuple[VerificationResult, int]:
    """Compare a third of the images, one of each identity at least, with the other two."""
    first = np.flatnonzero(np.diff(job.identities, prepend=-1))
    gallery = np.setdiff1d(np.arange(len(job.identities)), first)
    protocol = Cross(probe=first, gallery=gallery)
    return verify(job.rows, job.identities, job.points, protocol=protocol, settings=job.settings), job.rows.nbytes


def videos(job: Job) -> tuple[VerificationResult, int]:
    """Pool each `FRAMES` images to a video, and compare all videos."""
    entries = len(job.rows) // FRAMES
    entry = np.minimum(np.arange(len(job.rows)) // FRAMES, entries - 1)
    pooled = pool(
        job.rows, np.ones(len(job.rows), bool), Pooling(kind="video", entry=entry, medium=entry), entries, job.folder
    )
    people = job.identities[::FRAMES][:entries]
    return verify(pooled, people, job.points, settings=job.settings), pooled.nbytes


def templates(job: Job) -> tuple[VerificationResult, int]:
    """Pool images to templates by their media, and compare as many listed pairs of templates as IJB-C lists."""
    rng = np.random.default_rng(0)
    entries = int(TEMPLATES * job.share)
    entry = np.arange(len(job.rows)) * entries // len(job.rows)
    medium = np.arange(len(job.rows)) // 3
    pooled = pool(
        job.rows,
        np.ones(len(job.rows), bool),
        Pooling(kind="template", entry=entry, medium=medium),
        entries,
        job.folder,
    )
    people = job.identities[np.searchsorted(entry, np.arange(entries))]
    # Genuine pairs are neighbours, since images lie in the order of their identities; others are drawn.
    near = np.concatenate([np.stack([np.arange(entries - k), np.arange(k, entries)]) for k in range(1, 12)], axis=1)
    near = near[:, people[near[0]] == people[near[1]]]
    near = near[:, rng.permutation(near.shape[1])[: int(GENUINE * job.share)]]
    far = rng.integers(0, entries, (2, int(IMPOSTOR * job.share * 1.01)))
    far = far[:, people[far[0]] != people[far[1]]][:, : int(IMPOSTOR * job.share)]
    same = np.arange(near.shape[1] + far.shape[1]) < near.shape[1]
    left, right = np.concatenate([near, far], axis=1)
    found = verify_pairs(pooled, left, right, same, job.points, identities=people, settings=job.settings)
    return found.verification, pooled.nbytes


def points(*fars: str, comparison: Any = "<") -> tuple[OperatingPoint, ...]:
    """Return operating points."""
    return tuple(OperatingPoint(far=far, comparison=comparison) for far in fars)


SETS = {
    "mask": RealSet(6_964 + 13_928, 6_964, points("1e-4"), masked),
    "children": RealSet(157_280, 14_344, points("1e-4"), all_to_all),
    "mr-all": RealSet(1_624_305, 242_143, points("1e-6"), all_to_all),
    "templates": RealSet(469_375, 3_531, points("1e-5", "1e-4", comparison="<="), templates),
    "videos": RealSet(203_848 * FRAMES, 10_000, points("1e-4", comparison="<="), videos),
    "images": RealSet(1_862_120, 150_000, points("1e-8", comparison="<="), all_to_all),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--share", type=float, default=1.0, help="of the images, and of listed pairs")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--folder", type=Path, help="where to make the embeddings (a temporary folder)")
    options = parser.parse_args()
    chosen = SETS[options.set]
    images, people = int(chosen.images * options.share), max(2, int(chosen.identities * options.share))
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="features-") as name:
        folder = Path(name)
        begun = time.perf_counter()
        make(folder, images, people, WIDTH)
        rows, identities = np.load(folder / FEATURES, mmap_mode="r"), np.load(folder / IDENTITIES)
        print(f"{options.set}: {images:,} images of {people:,} identities, made in {time.perf_counter() - begun:.0f} s")
        settings = Settings(backend=options.backend)
        # A small one first: what the libraries hold once they are loaded is no memory of the features.
        verify(np.array(rows[:12_000]), identities[:12_000], chosen.points)
        give_back()
        begun, cpu = time.perf_counter(), time.process_time()
        with PeakMemory() as memory:
            found, size = chosen.work(Job(rows, identities, chosen.points, settings, folder, options.share))
        report(found, time.perf_counter() - begun, time.process_time() - cpu, memory.most - memory.before, size)


def report(found: VerificationResult, seconds: float, cpu: float, extra: int, size: int) -> None:
    """Print what was found and what it took."""
    pairs = found.pairs.genuine + found.pairs.impostor
    print(f"{found.protocol}: {found.rows:,} rows, {found.pairs.genuine:,} genuine, {found.pairs.impostor:,} impostor")
    print(f"{seconds:.1f} s ({found.backend}), {cpu:.1f} s of processor time, {pairs / seconds:.3g} pairs a second")
    print(f"memory beyond mapped files: {extra / 2**20:.0f} MB, {extra / size:.3f} of the {size >> 20} MB compared")
    for point in found.points:
        where = f"FAR {point.operating_point.comparison} {point.operating_point.far}"
        undecided = f" ({point.undecided})" if point.undecided else ""
        print(f"{where}: TAR {point.tar}, threshold {point.threshold}, K {point.allowed_false_accepts:,}{undecided}")


if __name__ == "__main__":
    main()
