"""Facts of the step ``server``: what happened when the server's runtime itself ran the model."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts

Stage = Literal["start", "load", "run", "batch", "done"]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Embeddings of the same images from two runtimes.

    Attributes
    ----------
    least_cosine
        The smallest cosine similarity between the two embeddings of an image.
    max_difference, max_value
        The largest absolute difference of two values, and the largest absolute value.
    """

    least_cosine: float
    max_difference: float
    max_value: float


class ServerFacts(StepFacts, frozen=True, kw_only=True):
    """What happened.

    Attributes
    ----------
    ran
        Whether there was an interpreter to run; all else is empty when there was none.
    version, providers, python
        Of the runtime in that interpreter; empty when it did not get so far as to say.
    stage
        Where it ended: "start" (the interpreter, its imports), "load", "run" (single images), "batch" (all of them at
        once), "done".
    error
        Its own words; for a death by signal or a time-out, a sentence that says so.
    signal
        Name of the signal that killed it, or "".
    timeout_seconds
        The time-out that it went over, or None.
    images, shape
        Images that were run one by one, and the shape of their embeddings together.
    local_version, local_stage, local_error
        The same for the runtime in this interpreter; empty when the other gave no embeddings to compare with.
    row_difference
        Between embeddings of images alone and of the same images in one batch, both in that runtime: the largest
        absolute difference over the largest absolute value; -1 where one of them is missing.
    compared
        Its embeddings beside those of this interpreter's runtime; None when one of them has none.
    """

    step: ClassVar[str] = "server"

    ran: bool
    version: str = ""
    python: str = ""
    providers: tuple[str, ...] = ()
    stage: Stage = "start"
    error: str = ""
    signal: str = ""
    timeout_seconds: float | None = None
    images: int = 0
    shape: tuple[int, ...] = ()
    local_version: str = ""
    local_stage: Stage = "start"
    local_error: str = ""
    compared: Comparison | None = None
    row_difference: float = -1.0
