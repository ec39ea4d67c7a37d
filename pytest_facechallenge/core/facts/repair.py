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


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How embeddings [K,D] of the same images agree, computed in two ways.

    Attributes
    ----------
    difference
        The largest difference of a value, over the largest value; -1 where it cannot be compared.
    cosine_distance
        The largest 1 - cos of an image's two embeddings; -1 where it cannot be compared.
    trouble
        Why it cannot be compared; "" where it can.
    """

    difference: float = -1.0
    cosine_distance: float = -1.0
    trouble: str = ""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What one runtime says about the mended model.

    Attributes
    ----------
    runtime
        "onnxruntime 1.20.1".
    images
        Images whose embeddings were compared.
    before_after
        The model as it was handed in against the mended one, images one by one.
    alone_together
        The mended model, images one by one against a batch of them.
    """

    runtime: str
    images: int
    before_after: Agreement
    alone_together: Agreement


class RepairFacts(StepFacts, frozen=True, kw_only=True):
    """A mended copy.

    Attributes
    ----------
    repairs
        What was changed, in order; empty when nothing was.
    file
        The mended model, relative to the run's private working folder; "" when nothing was changed or it does not run.
    local
        What the local runtime says; None when there is no mended model.
    server
        The same of the evaluation server's runtime; None where none was given.
    trouble
        Why there is no mended model; "" when there is one or nothing was changed.
    """

    step: ClassVar[str] = "repair"

    repairs: tuple[Mended, ...] = ()
    file: str = ""
    local: Proof | None = None
    server: Proof | None = None
    trouble: str = ""
