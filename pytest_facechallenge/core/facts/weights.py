"""Facts of the step ``weights``: how the numbers that the network computes with are stored."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from pytest_facechallenge.core.facts.base import StepFacts

StorageKind = Literal["integers", "codebook", "packed", "text", "expanded", "formula"]


class Stock(msgspec.Struct, frozen=True, kw_only=True):
    """All stored tensors of one element type: how many, their elements, and the bytes these take."""

    dtype: str
    tensors: int
    elements: int
    bytes: int


class StoredTensor(msgspec.Struct, frozen=True, kw_only=True):
    """One stored tensor.

    Attributes
    ----------
    where
        Its place, in words a participant can search for.
    dtype, bits
        The ONNX element type in lower case, and the bits of one element.
    elements, bytes
        Elements that the shape declares, and the bytes that so many elements take.
    used_by
        A node that reads it; empty when nothing in the graph does.
    """

    where: str
    dtype: str
    bits: int
    elements: int
    bytes: int
    used_by: str = ""


class SharedStorage(msgspec.Struct, frozen=True, kw_only=True):
    """Weights that are computed from stored numbers when the model runs, together with the numbers they come from.

    Attributes
    ----------
    kind
        "integers": from integers or booleans narrower than 32 bits; "codebook": looked up in a table by stored
        indices; "packed": taken apart from wider numbers; "text": from strings; "expanded": spread out by
        a curve and summed up again (soft codebooks); "formula": computed from coordinates or from nothing stored.
    weights
        Elements that the graph computes with; None when their number could not be worked out.
    values
        Stored elements of at least 32 bits that those weights come from (a table's entries, not its indices).
    bytes
        What all of the stored tensors take together, indices included.
    sources
        The stored tensors, biggest first, at most ten.
    made_by, used_by
        The nodes that make the weights, and those that compute with them; at most five each.
    caveat
        Why it may be honest, "" when nothing says so.
    """

    kind: StorageKind
    weights: int | None
    values: int
    bytes: int
    sources: tuple[StoredTensor, ...]
    made_by: tuple[str, ...]
    used_by: tuple[str, ...]
    caveat: str = ""


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """Text in the file that reads like encoded data rather than like words: where, how long, and why it looks so."""

    where: str
    bytes: int
    why: str


class WeightsFacts(StepFacts, frozen=True, kw_only=True):
    """How the model's numbers are stored.

    Attributes
    ----------
    stock
        Every stored tensor of the file by element type, wherever it lies.
    narrow_floats
        Every tensor of a floating type below 32 bits, biggest first, at most fifty; ``narrow_float_tensors`` counts
        all of them.
    shared
        Weights that are computed from fewer stored wide numbers than there are weights.
    covered
        The same for weights that come from at least as many stored wide numbers, which costs no precision.
    small_integers
        Elements of small integer constants that take part in the computation (a pixel mean of three, a scale).
    blobs
        Texts that look like encoded data.
    half_casts
        Nodes that cast to a floating type below 32 bits when the model runs, at most twenty.
    """

    step: ClassVar[str] = "weights"

    stock: tuple[Stock, ...]
    narrow_floats: tuple[StoredTensor, ...] = ()
    narrow_float_tensors: int = 0
    narrow_float_bytes: int = 0
    shared: tuple[SharedStorage, ...] = ()
    covered: tuple[SharedStorage, ...] = ()
    small_integers: int = 0
    blobs: tuple[Blob, ...] = ()
    half_casts: tuple[str, ...] = ()
