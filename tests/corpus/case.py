"""What a case of the corpus is."""

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

BATCH_RULE = "no-implicit-batch"
ALIGN_RULE = "no-realignment"

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network of the corpus and the verdict that is right for it.

    Attributes
    ----------
    name
        Key of the case.
    does
        One sentence: what the network is, or how it cheats.
    expected
        The rule that must fail, or None for an honest network.
    expected_note
        Whether a note (not a failure) is expected: an ensemble of different networks on the same image.
    raw
        Whether the network receives pixels 0 to 255 instead of -1 to 1.
    build
        Builds the model; deterministic.
    reference
        What an evasion claims to compute, in numpy and single networks: images to embeddings. None where the claim
        is not a function of one image (rows that influence each other).
    single
        The embedding that one honest look by the same body gives; None where there is no such thing.
    kind
        ``honest``, ``second-look``, ``rows`` or ``re-alignment``.
    """

    name: str
    does: str
    expected: str | None = None
    expected_note: bool = False
    raw: bool = False
    build: Callable[[], ModelProto]
    reference: Callable[[Array], Array] | None = None
    single: Callable[[Array], Array] | None = None
    kind: str = "honest"


def seed_of(name: str) -> int:
    """Return a seed that depends on nothing but the name."""
    return crc32(name.encode())
