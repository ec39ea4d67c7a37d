"""Whether one image of a batch changes what another gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.analyses.implicit_batch.runner import RunError

Array = npt.NDArray[Any]
Run = Callable[[Array], Array]


@dataclass(frozen=True)
class Company:
    """What one kind of company did to the embeddings.

    Attributes
    ----------
    words
        The company, for a reader.
    change
        Largest change of an embedding relative to its length; -1 when the model does not run that way.
    """

    words: str
    change: float
    error: str = ""


def company(run: Run, images: Array, extremes: Array, largest: int = 32) -> list[Company]:
    """Embed images alone and in company.

    Parameters
    ----------
    run
        float32 [N, C, H, W] -> [N, D] (or any shape with N first).
    images
        At least 4 diverse ones.
    extremes
        At least 2 (black, white…) that differ strongly from those.
    largest
        Size of the largest batch.

    Returns
    -------
    list of Company
        One per batch size and one per kind of company; one that says so where an image alone has no finite embedding.
    """
    alone = [np.asarray(run(images[i : i + 1])) for i in range(len(images))]
    if not all(np.isfinite(embedding).all() for embedding in alone):
        return [Company("one image alone", -1.0, "the embedding of one image has numbers that are not finite")]
    two = np.concatenate([images[1:2], extremes[:1]])
    three = np.concatenate([extremes[1:2], images[1:2], extremes[:1]])
    mixed = np.concatenate([images[3:4], images[1:2], images[0:1], images[2:3]])
    same = np.repeat(images[:1], 5, axis=0)
    crowd = np.concatenate([extremes[:1], extremes[1:2], extremes[:1], images[:1], *([extremes[1:2]] * 4)])
    plan = [
        ("a batch of 2 with a black image", two, [(0, 1)]),
        ("a batch of 3 with a black and a white image", three, [(1, 1)]),
        ("a batch of 4 in another order", mixed, [(0, 3), (1, 1), (2, 0), (3, 2)]),
        ("a batch of 5 copies of itself", same, [(i, 0) for i in range(5)]),
        ("a batch of 8 with black and white images", crowd, [(3, 0)]),
        (
            f"a batch of {largest}",
            np.resize(images, (largest, *images.shape[1:])),
            [(largest - 1, (largest - 1) % len(images)), (0, 0)],
        ),
    ]
    results = []
    for words, batch, expected in plan:
        try:
            got = np.asarray(run(batch.astype(np.float32)))
        except RunError as error:
            results.append(Company(words, -1.0, str(error)[:300]))
            continue
        if got.shape[:1] != (len(batch),):
            problem = f"{len(batch)} images give a result of shape {list(got.shape)}"
            results.append(Company(words, -1.0, problem))
            continue
        changes = [_change(alone[index][0], got[row]) for row, index in expected]
        results.append(Company(words, max(changes)))
    return results


def _change(alone: Array, together: Array) -> float:
    if not np.isfinite(together).all():
        return float("inf")
    length = float(np.linalg.norm(alone.astype(np.float64)))
    difference = float(np.linalg.norm(alone.astype(np.float64) - together.astype(np.float64)))
    return difference / (length + 1e-12)
