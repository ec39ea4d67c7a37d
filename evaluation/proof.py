"""What a network computes, said a second time with ordinary networks and numpy, and the comparison of the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec
import numpy as np

from evaluation.builder import Array
from evaluation.case import Case
from evaluation.images import Images, few_faces
from evaluation.runtime import Network

#: How far a proof may be from the network.
TOLERANCE = 2e-3

Compute: TypeAlias = Callable[[Array], Array]
Rivals: TypeAlias = Callable[[Array], Sequence[Array]]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What an evading network computes.

    Attributes
    ----------
    computes
        Images to the embeddings that the network must give; None where only ``others`` can be said.
    others
        Images to the embeddings of honest networks, each of which must be another one. Of images that are run
        together, the embeddings of each by itself are such in any case.
    apart
        By how much at least, as the largest difference of two numbers.
    together
        Whether the images make one batch whose rows influence each other; otherwise each runs by itself.
    images
        The images to compare on.
    sizes
        The sizes of batch to compare, where the rows are run together.
    shown
        A proof of another kind: the network to what is wrong with it. Nothing else is compared then.
    """

    computes: Compute | None
    others: Rivals = lambda images: []
    apart: float = 10 * TOLERANCE
    together: bool = False
    images: Images = few_faces
    sizes: tuple[int, ...] = ()
    shown: Callable[[Network], list[str]] | None = None


#: The proofs by the name of their case.
PROOFS: dict[str, Proof] = {}


def alone(network: Network, images: Array) -> Array:
    """Return the embeddings of images that are each run by themselves."""
    return np.concatenate([network(images[i : i + 1]) for i in range(len(images))])


def distance(a: Array, b: Array) -> float:
    """Return the largest difference of two numbers; where one array is wider, of its first or last columns."""
    if a.shape == b.shape:
        return float(np.abs(a - b).max())
    width = min(a.shape[1], b.shape[1])
    return float(max(np.abs(a[:, :width] - b[:, :width]).max(), np.abs(a[:, -width:] - b[:, -width:]).max()))


def refuted(case: Case) -> list[str]:
    """Return what is wrong with the proof of a case: nothing where it holds."""
    proof = PROOFS[case.name]
    if proof.shown is not None:
        return proof.shown(Network(case.build))
    images = proof.images(raw=case.raw)
    network = Network(case.build)
    wrong = []
    given = network(images) if proof.together else alone(network, images)
    if not np.isfinite(given).all():
        wrong.append("the embeddings are not finite")
    if proof.computes is not None:
        for size in proof.sizes if proof.together else ():
            off = distance(network(images[:size]), proof.computes(images[:size]))
            if off > TOLERANCE:
                wrong.append(f"a batch of {size} differs by {off:.2g} from what the proof computes")
        off = distance(given, proof.computes(images))
        if off > TOLERANCE:
            wrong.append(f"the embeddings differ by {off:.2g} from what the proof computes")
    honest = [*proof.others(images), *([alone(network, images)] if proof.together else [])]
    for i, other in enumerate(honest):
        off = distance(given, other)
        if off < proof.apart:
            wrong.append(f"honest embedding {i} differs by {off:.2g} only")
    return wrong
