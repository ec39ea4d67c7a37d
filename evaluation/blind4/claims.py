"""What an evading network claims to compute, and the numbers that show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeAlias

import numpy as np

from evaluation.blind4.export import exported, network
from evaluation.blind4.layers import Body
from evaluation.builder import Array
from evaluation.images import faces
from evaluation.proof import alone
from evaluation.runtime import Network

#: A running network to what is wrong with the claim about it.
Claim: TypeAlias = Callable[[Network], list[str]]
Compute: TypeAlias = Callable[[Array], Array]


@cache
def plain(body: Body, seed: str, trained: int = 0, opset: int = 12) -> Network:
    """Return the ordinary network by itself, exported and run."""
    return Network(lambda: exported(network(body, seed, trained), f"plain {seed}", opset))


def mirror(x: Array) -> Array:
    return x[..., ::-1]


def apart(a: Array, b: Array) -> float:
    """Return the largest of 1 - cosine over the rows."""
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return float(1 - cosines.min())


def computes(
    formula: Compute, *rivals: Compute, near: float = 1e-4, images: Callable[[], Array] = lambda: faces(4, 5)
) -> Claim:
    """Claim that embeddings are those of a formula, and not those of any rival, each image run by itself.

    Parameters
    ----------
    formula, rivals
        Images [N, 3, 112, 112] to embeddings [N, D].
    near
        The largest 1 - cosine to the formula; to a rival it is at least ten times that.
    images
        The images it is shown on.
    """

    def wrong(network: Network) -> list[str]:
        x = images()
        given = alone(network, x)
        found = [] if np.isfinite(given).all() else ["the embeddings are not finite"]
        off = apart(given, formula(x))
        if not off <= near:
            found.append(f"1 - cosine to the formula is {off:.2g}")
        for i, rival in enumerate(rivals):
            off = apart(given, rival(x))
            if not off >= max(10 * near, 1e-3):
                found.append(f"1 - cosine to rival {i} is {off:.2g} only")
        return found

    return wrong


def together(formula: Compute, images: Callable[[], Array], *, near: float = 1e-4, free: Sequence[int] = ()) -> Claim:
    """Claim that the rows of a batch are those of a formula of the rows by themselves, and differ from these.

    ``formula`` takes the embeddings of the images by themselves; batches of the sizes in ``free`` are not mixed.
    """

    def wrong(network: Network) -> list[str]:
        x = images()
        single, batch = alone(network, x), network(x)
        found = []
        if not apart(batch, single) > 1e-3:
            found.append(f"the batch changes embeddings by {apart(batch, single):.2g} only")
        if not apart(batch, formula(x)) <= near:
            found.append(f"1 - cosine to the formula is {apart(batch, formula(x)):.2g}")
        mixed = [size for size in free if not apart(network(x[:size]), single[:size]) < 1e-4]
        return [*found, *(f"a batch of {size} is mixed as well" for size in mixed)]

    return wrong
