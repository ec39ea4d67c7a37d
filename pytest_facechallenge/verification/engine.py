"""Verification by all-to-all and cross protocols: one streaming pass over impostor pairs, one over genuine pairs."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from pytest_facechallenge.core.freed_memory import give_back
from pytest_facechallenge.verification.backends import AUTO, make_filter
from pytest_facechallenge.verification.by_identity import identity_counts
from pytest_facechallenge.verification.errors import ProtocolError, StateError
from pytest_facechallenge.verification.false_accepts import SampledAccepts
from pytest_facechallenge.verification.genuine import genuine_scores
from pytest_facechallenge.verification.histograms import impostor_histogram
from pytest_facechallenge.verification.impostors import PartRunner, Threads, default_workers, impostor_tail
from pytest_facechallenge.verification.kept_parts import PartFiles, features_digest, job_digest
from pytest_facechallenge.verification.offers import write_offer
from pytest_facechallenge.verification.on_machines import Description, OnMachines, described
from pytest_facechallenge.verification.points import LIMITS, find_boundary, scores_needed, tar_at_far
from pytest_facechallenge.verification.protocol import AllToAll, Protocol, plan_pairs
from pytest_facechallenge.verification.results import ScoredPair, ScoreHistograms, VerificationResult
from pytest_facechallenge.verification.rows import UnitRows
from pytest_facechallenge.verification.tail import EPS, ExtremePairs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_facechallenge.core.machines import Machines
    from pytest_facechallenge.verification.operating_point import OperatingPoint

HISTOGRAM_BINS = 2000
"""Of width 0.001."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a verification is done; nothing here changes a TAR, a threshold or a count.

    Parameters
    ----------
    backend : {"auto", "cuda", "int8", "sgemm", "float64"}
        The filter that chooses candidates; float64 scores decide with each of them.
    device : str
        "cpu" keeps "auto" from taking a GPU; else it does where there is one and the pairs are many (on other machines
        with "cuda" only).
    workers : int or None
        Threads; None for one per usable core, at most 8.
    hardest : int
        Genuine pairs of lowest and impostor pairs of highest score to report.
    histograms : bool
        Whether to count scores in bins, a pass of its own over impostor pairs.
    histogram_pairs : int
        Protocols of more pairs have their impostor scores sampled for the histogram, about as many as this.
    resamples : int
        Of the confidence interval.
    seed : int
        Of everything random: the intervals, the sampled histogram, the guess of a starting cutoff (which has no
        influence on results).
    """

    backend: str = AUTO
    device: str = "auto"
    workers: int | None = None
    hardest: int = 20
    histograms: bool = False
    histogram_pairs: int = 1 << 24
    resamples: int = 4000
    seed: int = 0


def verify(
    embeddings: npt.NDArray[Any],
    identities: npt.NDArray[Any],
    operating_points: Sequence[OperatingPoint],
    *,
    protocol: Protocol | None = None,
    settings: Settings | None = None,
    state: str | os.PathLike[str] | None = None,
    machines: Machines | None = None,
    offered: bool = False,
) -> VerificationResult:
    """Measure the exact TAR at each false accept rate.

    The score of a pair is the float64 dot product of its rows, L2-normalised and stored as float32. The threshold of
    an operating point is the (K + 1)-th largest impostor score, K being the most false accepts that it allows, in exact
    arithmetic; a pair is accepted strictly above it, so ties are rejected and the FAR always holds.

    Memory beyond the embeddings: about a quarter of the size of their float32 values with the int8 backend, some MB per
    worker, and about 10 bytes for each false accept that the largest operating point allows.

    Parameters
    ----------
    embeddings : float32 [N, D]
        An array or a memory map, read in pieces; rows need not be normalised.
    identities : int [N]
        The identity of each row.
    operating_points : sequence of OperatingPoint
        All are served by one pass. May be empty: then only the hardest pairs and the histograms are found.
    protocol : AllToAll or Cross
        What is compared; all rows all-to-all if not given.
    settings : Settings
        How it is done.
    state : path or None
        A folder in which the result of every part of the impostor pairs is kept as soon as it is there. The same call
        after a process was killed goes on from them, and gives the same result; what belongs to other embeddings or
        another protocol in the folder is left alone. About 10 bytes for each false accept that the largest operating
        point allows, and a file for each 256th of the pairs or each 2**30 of them.
    machines : Machines or None
        Where impostor pairs are scored, such as `pytest_facechallenge.cluster.connect` gives; None for threads of this
        process. They must see `state` and the file of the embeddings under the same paths. The result is the same.
    offered : bool
        Whether to offer parts in `state` to whoever sees that folder, see `offers`; they are scanned here all the same
        unless somebody leaves their results there. Features are copied there, and stay until the offer is withdrawn.

    Returns
    -------
    VerificationResult
        With one `TarAtFar` per operating point, in their order. An operating point that the pairs cannot decide is
        marked so (`undecided`), never left out.

    Raises
    ------
    ProtocolError
        When the arrays do not fit together.
    UnusableRowsError
        When compared rows have NaN, infinite or only zero values; it names them.
    BackendUnavailableError
        When a backend is asked for by name that does not work here, such as int8 where its products saturate.
    StateError
        When `state` cannot be written, or is missing where there are machines; what is there stays.
    MachinesError
        When a machine computes otherwise, does not see the files, or none is left.
    """
    if machines is not None and state is None:
        msg = "Other machines leave their results in a folder that all see: 'state' must name one."
        raise StateError(msg)
    protocol = protocol or AllToAll()
    settings = settings or Settings()
    if embeddings.ndim and len(embeddings) != len(identities):
        msg = f"Each embedding needs its identity; found {len(embeddings)} embeddings and {len(identities)} identities."
        raise ProtocolError(msg)
    plan = plan_pairs(identities, protocol)
    unit = UnitRows(embeddings, plan.left.rows if plan.symmetric else np.append(plan.left.rows, plan.right.rows))
    workers = settings.workers or default_workers()
    points = tuple(operating_points)

    impostors = plan.counts.impostor
    keep = max(scores_needed(points, impostors), min(settings.hardest, impostors))
    tail, sample = None, SampledAccepts.none()
    hardest_impostor, backend = ExtremePairs(0, highest=True), "none"
    if keep:
        runner: PartRunner
        with contextlib.ExitStack() as stack:
            kept, offer = None, None
            if state is not None:
                job = Description(
                    features_digest(embeddings), keep, settings.hardest, settings.backend, settings.device
                )
                kept = PartFiles(Path(state).absolute(), job_digest(job.digest, plan, keep, settings.hardest))
                if offered or machines is not None:
                    by_copy = machines is None
                    stack.enter_context(described(kept, embeddings, identities, protocol, job, offered=by_copy))
                offer = partial(write_offer, kept.folder) if offered else None
            if machines is not None and kept is not None:
                machines.check(kept.folder)
                runner = OnMachines(machines, kept)
            else:
                make = partial(make_filter, settings.backend, unit, plan, keep, workers, settings.device)
                spare = partial(make_filter, AUTO, unit, plan, keep, workers, "cpu")
                by_itself = settings.backend == AUTO and settings.device != "cpu"
                runner = Threads(unit, plan, make, workers, offer, spare if by_itself else None)
            done = impostor_tail(unit, plan, runner, keep, hardest=settings.hardest, seed=settings.seed, kept=kept)
        give_back()  # the rows in 8 bits, before what follows takes its own
        tail, sample = done.tail, done.sample.contents(done.tail.last)
        hardest_impostor, backend = done.extreme, ", ".join(sorted(done.backends))
    boundaries = [find_boundary(point, impostors, tail) for point in points]
    genuine = genuine_scores(
        unit,
        plan,
        np.array([limit for boundary in boundaries for limit in boundary.limits]),
        bins=HISTOGRAM_BINS,
        hardest=settings.hardest,
        workers=workers,
    )
    accepted = genuine.accepted.reshape(len(points), LIMITS, plan.identity_count)
    histograms = None
    if settings.histograms:
        counted, scored, sampled = impostor_histogram(
            unit, plan, bins=HISTOGRAM_BINS, max_pairs=settings.histogram_pairs, seed=settings.seed
        )
        histograms = ScoreHistograms(
            genuine=tuple(genuine.histogram.tolist()),
            impostor=tuple(counted.tolist()),
            genuine_pairs=plan.counts.genuine,
            impostor_pairs_scored=scored,
            impostor_pairs=impostors,
            impostor_sampled=sampled,
            seed=settings.seed,
        )
    return VerificationResult(
        protocol="all-to-all" if plan.symmetric else "cross",
        rows=len(plan.left) if plan.symmetric else len(plan.left) + len(plan.right),
        identities=plan.identity_count,
        pairs=plan.counts,
        eps=EPS,
        points=tuple(
            tar_at_far(
                boundary,
                counts,
                genuine.pairs,
                resamples=settings.resamples,
                seed=settings.seed,
                by_identity=identity_counts(identities, plan, boundary, counts, genuine.pairs, sample, keep),
            )
            for boundary, counts in zip(boundaries, accepted, strict=True)
        ),
        hardest_genuine=scored_pairs(genuine.hardest),
        hardest_impostor=scored_pairs(hardest_impostor),
        histograms=histograms,
        backend=backend,
    )


def scored_pairs(extreme: ExtremePairs) -> tuple[ScoredPair, ...]:
    """Turn the kept pairs into facts."""
    return tuple(ScoredPair(left=left, right=right, score=score) for left, right, score in extreme.ranked())
