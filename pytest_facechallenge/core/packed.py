"""Integers as short texts: counts of 100,000s of identities that stand in facts, and travel and are cleaned with them.

A text of a fact is cut at `core.text.MOST` characters, so the numbers are a list of texts. They are compressed; whoever
reads them says how many there may be, and no more than that is ever unpacked.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.core.identity_counts import Packed
from pytest_facechallenge.core.text import MOST

_WIDTHS = (1, 2, 4, 8)
_HEAD = re.compile(r"u([1248])x(\d{1,12})")


class PackedError(ValueError):
    """Texts that hold no numbers, or not as many as there should be."""


def pack(numbers: npt.NDArray[np.int64]) -> Packed:
    """Return numbers, int64 [n] of 0 or more, as texts of at most `MOST` characters.

    The first says in how many bytes each number stands, and how many there are; the others are Base64 of their
    bytes, the lowest byte of all first, compressed by zlib.

    Raises
    ------
    PackedError
        A number is below 0.
    """
    if numbers.size and numbers.min() < 0:
        raise PackedError(f"numbers of 0 or more are packed; found {numbers.min()}")
    largest = int(numbers.max()) if numbers.size else 0
    width = next(each for each in _WIDTHS if largest < 1 << 8 * each)
    planes = numbers.astype(f"<u{width}").view(np.uint8).reshape(len(numbers), width).T
    text = base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")
    return (f"u{width}x{len(numbers)}", *(text[at : at + MOST] for at in range(0, len(text), MOST)))


def unpack(packed: Packed, most: int) -> npt.NDArray[np.int64]:
    """Return what `pack` was given: int64 [n].

    Parameters
    ----------
    most
        The most numbers that there may be.

    Raises
    ------
    PackedError
        The texts are not of that form, or hold more numbers.
    """
    head = _HEAD.fullmatch(packed[0]) if packed else None
    if head is None:
        raise PackedError(f"packed numbers begin with how they are stored; found {packed[:1]}")
    width, count = int(head[1]), int(head[2])
    if count > most:
        raise PackedError(f"at most {most:,} numbers are expected; found {count:,}")
    reader = zlib.decompressobj()
    try:
        raw = reader.decompress(base64.b64decode("".join(packed[1:]), validate=True), width * count + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise PackedError(f"the packed numbers cannot be read: {error}") from error
    if len(raw) != width * count:
        raise PackedError(f"{width * count:,} bytes of numbers are expected; found {len(raw):,} or more")
    planes = np.frombuffer(raw, np.uint8).reshape(width, count)
    numbers = np.ascontiguousarray(planes.T).view(f"<u{width}").reshape(count)
    if width == max(_WIDTHS) and count and numbers.max() > np.iinfo(np.int64).max:
        raise PackedError("a packed number is too large")
    return numbers.astype(np.int64)
