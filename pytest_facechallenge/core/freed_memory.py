"""Memory that was freed and that the C library keeps: given back to the system."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable


def give_back() -> None:
    """Give freed memory back, where the C library can.

    Loading a model leaves more than the model's size behind. Arrays of some MB that are freed stay with the process too
    (glibc raises its threshold for mapping with every one), a twentieth of the features of 157,280 images. Takes
    milliseconds; changes nothing that is in use. Does nothing where there is no ``malloc_trim`` (it is glibc's).
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl
        return None
    return found
