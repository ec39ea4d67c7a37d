"""Facts of the step ``repair``: what was mended in a copy of the model, and how its embeddings compare."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts


class Mended(msgspec.Struct, frozen=True, kw_only=True):
    """One repair: its name in the table, why it is right, and what was changed."""

    name: str
    why: str
    what: str


class RepairFacts(StepFacts, frozen=True, kw_only=True):
    """A mended copy.

    Attributes
    ----------
    repairs
        What was changed, in order; empty when nothing was.
    file
        The mended model, relative to the run's private working folder; "" when nothing was changed or it does not load.
    images
        Images whose embeddings were compared.
    before_after
        The largest difference between an image's embedding from the model as it was handed in (alone) and from the
        mended one (alone), over the largest value; -1 where it cannot be compared.
    alone_together
        The same between the mended model on single images and on one batch of them.
    trouble
        Why there is no comparison, or no mended model; "" when there is one.
    """

    step: ClassVar[str] = "repair"

    repairs: tuple[Mended, ...] = ()
    file: str = ""
    images: int = 0
    before_after: float = -1.0
    alone_together: float = -1.0
    trouble: str = ""
