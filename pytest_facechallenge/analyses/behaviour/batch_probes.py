"""Batches that a graph calls for: of the sizes that it computes with, and of images that resemble each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.behaviour.gather import text_of
from pytest_facechallenge.analyses.behaviour.image_family import Look
from pytest_facechallenge.core.facts.flow import BatchProbe, FlowFacts
from pytest_facechallenge.inference.images import natural

if TYPE_CHECKING:
    from pytest_facechallenge.analyses.context import Context

#: uint8 [N, 112, 112, 3] -> embeddings, float64, N first.
Embed = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float64]]

#: Sizes that are run besides those that the graph names; larger ones than the last are not run.
SIZES, LARGEST = (3, 4, 5, 8, 16), 64
#: Distinct images of a batch of relatives, of each of which there are several versions.
RELATIVES = 4
#: The same where the graph shows no flow, but could not be followed to its end.
SIZES_UNSEEN, RELATIVES_UNSEEN = (3, 16), 2


def run(context: Context, flow: FlowFacts, embed: Embed) -> tuple[BatchProbe, ...]:
    """Embed batches, and each of their images alone."""
    named = sorted({size for each in (*flow.batch, *flow.widths) for size in each.batches if size <= LARGEST})
    shown = bool(flow.batch or flow.widths)
    sizes = sorted({*named, *(SIZES if shown else SIZES_UNSEEN)})
    images = natural(max(sizes), context.options.seed + 4)
    related = _related(images[: RELATIVES if shown else RELATIVES_UNSEEN], context.options.seed)
    context.report(f"running batches of {', '.join(map(str, sizes))} images, and one of images that are alike")
    try:
        alone = [embed(image[None]) for image in images[: max(SIZES)]]
        apart = [embed(image[None]) for image in related]
    except Exception as error:
        return (BatchProbe(about="one image alone", size=1, error=text_of(error)),)
    found = [_compared(f"{size} different images", images[:size], alone, embed) for size in sizes]
    about = "images beside nearly the same, mirrored, moved, brighter and like-coloured ones"
    return (*found, _compared(about, related, apart, embed))


def _related(faces: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint8]:
    """Return images beside versions of them, and beside others of the same mean colour, uint8 [N, 112, 112, 3]."""
    rng = np.random.default_rng(seed)
    found: list[npt.NDArray[Any]] = []
    for at, face in enumerate(faces):
        noise = rng.integers(-2, 3, face.shape)
        other = faces[(at + 1) % len(faces)].astype(np.float64)
        tinted = other - other.mean((0, 1)) + face.mean((0, 1))
        found += [face, np.clip(face + noise, 0, 255), face[:, ::-1], np.roll(face, 2, 1),
                  Look(face=0, light=0.06).of(face[None]), np.clip(tinted, 0, 255)]  # fmt: skip
    return np.stack(found).astype(np.uint8)


def _compared(
    about: str, images: npt.NDArray[np.uint8], alone: list[npt.NDArray[np.float64]], embed: Embed
) -> BatchProbe:
    size = len(images)
    try:
        rows = embed(images)
    except Exception as error:  # the runtime raises its own types
        return BatchProbe(about=about, size=size, error=text_of(error))
    if rows.shape[:1] != (size,):
        return BatchProbe(about=about, size=size, error=f"it gives a result of shape {list(rows.shape)}")
    width = rows.size // size
    changes = []
    for row, own in zip(rows, alone, strict=False):
        if own[0].shape != row.shape or not (np.isfinite(own).all() and np.isfinite(row).all()):
            changes.append(-1.0)
            continue
        changes.append(float(np.abs(row - own[0]).max() / max(float(np.abs(own).max()), 1e-30)))
    worst = int(np.argmax(changes))
    return BatchProbe(about=about, size=size, row=worst, change=changes[worst], width=width)
