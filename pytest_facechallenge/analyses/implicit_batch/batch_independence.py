"""Whether one image of a batch changes what another gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from pytest_facechallenge.analyses.implicit_batch.feed import Feed
from pytest_facechallenge.analyses.implicit_batch.runner import RunError, Runner
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.analyses.implicit_batch.trace import TracedModel
from pytest_facechallenge.core.facts.implicit_batch import BatchComposition, Observation, Unseen
from pytest_facechallenge.core.facts.implicit_batch_kinds import Companions, Gap

Array = npt.NDArray[Any]

#: float32 [N, C, H, W] -> embeddings [N, D] (or any shape with N first).
Run = Callable[[Array], Array]

#: Companions, a batch float32 [N, C, H, W], and (row, number of the image in it) to be compared.
Planned = tuple[Companions, Array, list[tuple[int, int]]]

#: Characters of the runtime's text that are kept.
TEXT = 300


def observe(model: TracedModel, limits: Thresholds) -> list[Observation]:
    """Return what batches do on a way through the conditions that images seldom take.

    The model as it was submitted is run by `of_whole_model`; what a branch does to the rows is not seen so when no
    probe image takes it.
    """
    if not model.branch:
        return []
    tried = _run(model.variant.model, model.feed, model.threads, limits.running.ways_batch, model.branch)
    ran = [entry for entry in tried if not entry.error]
    # A branch for one size of the batch needs no batch of its own: the whole model takes it when it must.
    if ran or model.variant.by_size:
        return list(ran)
    return [Unseen(gap=Gap.BATCH_NOT_RUN, error=tried[0].error, branch=model.branch)]


def of_whole_model(
    feed: Feed, macs: int, threads: int, limits: Thresholds, *, apart: bool = False
) -> list[BatchComposition]:
    """Return what batches do to the submitted model.

    Parameters
    ----------
    macs
        Multiply-adds for one image: they decide how large the largest batch may be.
    threads
        Of the runtime; 0 leaves it the choice.
    apart
        Whether the graph shows that the images of a batch never meet: then no batch is run. That the runtime does what
        the graph says is seen by the step `batch`, which runs batches of four sizes.
    """
    if apart:
        return []
    running = limits.running
    if macs >= running.large:
        largest = running.large_batch
    else:
        largest = running.usual_batch if macs >= running.small else running.small_batch
    return _run(feed.model, feed, threads, largest, "")


def _run(model: onnx.ModelProto, feed: Feed, threads: int, largest: int, branch: str) -> list[BatchComposition]:
    images = feed.images
    try:
        runner = Runner(model, [feed.output], threads, optimised=True)
        extremes = np.concatenate([images.flat(0.0), images.flat(1.0)])

        def run(batch: Array) -> Array:
            return np.asarray(runner.raw(feed(batch))[feed.output])

        diverse = np.concatenate([images.natural(3), images.noise(1)])
        return compositions(run, diverse, extremes, largest, branch)
    except RunError as error:
        return [BatchComposition(companions=Companions.NONE, size=1, error=str(error)[:TEXT], branch=branch)]


def compositions(run: Run, images: Array, extremes: Array, largest: int, branch: str = "") -> list[BatchComposition]:
    """Embed images alone and in batches of different compositions.

    Parameters
    ----------
    run
        Gives the embeddings of a batch.
    images
        At least 4 diverse ones, float32 [N, C, H, W].
    extremes
        At least 2 (black, white…) that differ strongly from those, float32 [N, C, H, W].
    largest
        Size of the largest batch.
    branch
        Noted in the results.

    Returns
    -------
    list of BatchComposition
        One per composition; one that says so where an image alone has no finite embedding.
    """
    alone = [np.asarray(run(images[i : i + 1])) for i in range(len(images))]
    return _compared(run, _plan(images, extremes, largest), alone, branch)


def _compared(run: Run, plan: list[Planned], alone: list[Array], branch: str) -> list[BatchComposition]:
    """Run planned batches, and compare their rows with the embeddings of the images alone."""
    if not all(np.isfinite(embedding).all() for embedding in alone):
        error = "the embedding of one image has numbers that are not finite"
        return [BatchComposition(companions=Companions.NONE, size=1, error=error, branch=branch)]
    results = []
    for companions, batch, expected in plan:
        change, finite, error = _try(run, batch.astype(np.float32), expected, alone)
        results.append(
            BatchComposition(
                companions=companions, size=len(batch), change=change, finite=finite, error=error, branch=branch
            )
        )
    return results


def _plan(images: Array, extremes: Array, largest: int) -> list[Planned]:
    """Return the batches of all compositions."""
    two = np.concatenate([images[1:2], extremes[:1]])
    three = np.concatenate([extremes[1:2], images[1:2], extremes[:1]])
    mixed = np.concatenate([images[3:4], images[1:2], images[0:1], images[2:3]])
    same = np.repeat(images[:1], 5, axis=0)
    crowd = np.concatenate([extremes[:1], extremes[1:2], extremes[:1], images[:1], *([extremes[1:2]] * 4)])
    many = np.resize(images, (largest, *images.shape[1:]))
    return [
        (Companions.BLACK, two, [(0, 1)]),
        (Companions.BLACK_AND_WHITE, three, [(1, 1)]),
        (Companions.REORDERED, mixed, [(0, 3), (1, 1), (2, 0), (3, 2)]),
        (Companions.COPIES, same, [(i, 0) for i in range(5)]),
        (Companions.BLACK_AND_WHITE, crowd, [(3, 0)]),
        (Companions.OTHERS, many, [(largest - 1, (largest - 1) % len(images)), (0, 0)]),
    ]


def _try(run: Run, batch: Array, expected: list[tuple[int, int]], alone: list[Array]) -> tuple[float | None, bool, str]:
    """Return the largest change of an embedding, whether all are finite, and why the batch gave no embeddings."""
    try:
        got = np.asarray(run(batch))
    except RunError as error:
        return None, True, str(error)[:TEXT]
    if got.shape[:1] != (len(batch),):
        return None, True, f"{len(batch)} images give a result of shape {list(got.shape)}"
    width, own = got.shape[1:], alone[0].shape[1:]
    if width != own:
        return None, True, f"each of {len(batch)} images gives {list(width)} values, and {list(own)} alone"
    if not all(np.isfinite(got[row]).all() for row, _ in expected):
        return None, False, ""
    return max(_change(alone[index][0], got[row]) for row, index in expected), True, ""


def _change(alone: Array, together: Array) -> float:
    """Return how far an embedding moved, relative to its length."""
    length = float(np.linalg.norm(alone.astype(np.float64)))
    difference = float(np.linalg.norm(alone.astype(np.float64) - together.astype(np.float64)))
    return difference / (length + 1e-12)
