"""What was done to the running network to see whether two parts of it are two looks at one face, and what came of it.

Each kind of intervention is a struct: its fields are what was measured, ``question`` and ``how`` are the words in which
`explain` and the documents tell of it. They hold no verdict; the check has the numbers from which one counts.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Exchanged(msgspec.Struct, frozen=True, kw_only=True, tag="exchanged"):
    """Each of two parts was fed another image's data, while the rest went on with the image's own.

    Attributes
    ----------
    pairs
        Of images between which data were exchanged.
    alone
        For each part: share of the multiply-adds behind the two whose results it moves and the other does not, 0..1.
    stages
        Layers one behind the other, with something that is no linear map between each two, in which a good share of
        the results follow the one part alone; of the part that has fewer.
    pure
        Of the first layer behind the two: share of the results that follow a part and follow one alone, 0..1.
    moved
        For each part: how far the embedding went towards the other image's, the least, the median and the most over
        the pairs. 0: it stayed; 1: it became the other image's.
    apart
        1 - cosine of what the two parts give at their ends when both are fed what the first gets: 0 where they are
        one function. -1 where they cannot be fed the same.
    """

    question: ClassVar[str] = "Do two parts work apart, and does the embedding need both?"
    how: ClassVar[str] = (
        "One part is fed what it gets for another image, the other part goes on with the image's own; then the other "
        "way round. Layers whose results follow one part and not the other work for that part alone. Confirmed when "
        "both parts have several such layers, one behind the other, and each moves the embedding a part of the way "
        "to the other image's; or, where a gate keeps one of them from the embedding of most images, when both parts, "
        "fed the same, give the same at their ends."
    )

    pairs: int
    alone: tuple[float, float]
    stages: int
    pure: float
    moved: tuple[tuple[float, float, float], tuple[float, float, float]]
    apart: float = -1.0


class Decoupled(msgspec.Struct, frozen=True, kw_only=True, tag="decoupled"):
    """The weights between two groups of channels were set to zero, and each group was then fed another image alone.

    Attributes
    ----------
    layers
        In which weights were set to zero.
    kept
        Cosine of the embeddings with and without these weights, each less the mean over the images: the median over
        the images. Embeddings of two unrelated networks have about 0.
    exchanged
        Of the network without these weights.
    """

    question: ClassVar[str] = "Are two networks in one, with weights between them that do nothing?"
    how: ClassVar[str] = (
        "The weights between two groups of channels are set to zero, in every layer that falls into such groups, and "
        "the same images are embedded again. Confirmed when the embeddings lie to each other as before and the two "
        "groups then are two parts in the sense of the intervention above."
    )

    layers: int
    kept: float
    exchanged: Exchanged


Intervention = Exchanged | Decoupled

#: Every kind, in the order in which they are told.
INTERVENTIONS: tuple[type[Exchanged | Decoupled], ...] = (Exchanged, Decoupled)
