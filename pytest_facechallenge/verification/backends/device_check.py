"""What the device backend rests on, tried on the device: products of integers come out without rounding."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.inference.device_memory import DeviceArray
from pytest_facechallenge.verification.backends.device_session import Comparer, Loader, aligned
from pytest_facechallenge.verification.backends.tile import GRID
from pytest_facechallenge.verification.errors import BackendUnavailableError

_LARGEST = 2047
_LIMIT = 1 << 24
_RANDOM = 6
#: Every so many columns hold a pattern, the others zeros: so the places of a run are few.
_SPREAD = 61
_VALUES = 5


@functools.cache
def check_products(provider: str, columns: int, width: int) -> None:
    """Compare products on a device with the integers that they are, once per process and shape.

    The patterns' products go up to the last integers below 2**24, and nearly cancel after partial sums of that size;
    some have single values of 11 bits. Every product that is looked at is compared with itself and with the next
    integer as limits, so one that is rounded by a single unit gives other pairs.

    Parameters
    ----------
    provider
        Of onnxruntime.
    columns
        Of a tile of `GRID` rows: the runtime chooses its kernels by the shape.
    width
        Values of an embedding.

    Raises
    ------
    BackendUnavailableError
        The device rounds, or finds other pairs for another reason.
    """
    rows = patterns(width + 2)
    kinds = len(rows)
    swapped = rows.copy()
    swapped[:, [width, width + 1]] = rows[:, [width + 1, width]]
    exact = swapped.astype(np.int64) @ rows.astype(np.int64).T

    zeros = np.zeros((1, width + 2), np.int16)
    left_kinds = np.arange(GRID) % kinds
    right_kinds = np.where(np.arange(columns) % _SPREAD == 0, np.arange(columns) // _SPREAD % kinds, kinds)
    loader = Loader(provider, aligned(width + 2))
    left = _loaded(loader, provider, rows[left_kinds])
    right = _loaded(loader, provider, np.concatenate([rows, zeros])[right_kinds])
    counts = np.outer(np.bincount(left_kinds, minlength=kinds), np.bincount(right_kinds, minlength=kinds + 1)[:kinds])

    comparer = Comparer(provider, aligned(width + 2), (width, width + 1))
    values = np.unique(exact[(exact > 0) & (counts > 0)])
    for value in np.unique(np.concatenate([values[:_VALUES], values[-_VALUES:]])):
        for limit in (value, value + 1):
            i, j = comparer.places(left.rows(0, GRID), right.rows(0, columns), float(limit))
            found = np.bincount(left_kinds[i] * (kinds + 1) + right_kinds[j], minlength=kinds * (kinds + 1))
            expected = np.zeros((kinds, kinds + 1), np.int64)
            expected[:, :kinds] = np.where(exact >= limit, counts, 0)
            if not np.array_equal(found, expected.ravel()):
                msg = (
                    f"{provider} gives other products than the integers that they are in float32, so its bound would "
                    "not hold on this device. Use 'int8'."
                )
                raise BackendUnavailableError(msg)


def patterns(width: int) -> npt.NDArray[np.int16]:
    """Give rows int16 [kinds, width] of values up to 2047 and of norms below 2**12, so of products below 2**24."""
    rng = np.random.default_rng(0)
    # Odd, so that partial sums are odd as well as large: those of even numbers have bits to spare.
    size = (min(_LARGEST, int(np.sqrt((_LIMIT - 1) / width))) - 1) // 2 * 2 + 1
    flat = np.full(width, size)
    less = flat.copy()
    less[-1] -= 1
    halves = np.where(np.arange(width) < width // 2, 1, -1)
    turns = np.where(np.arange(width) % 2 == 0, 1, -1)
    rows = [flat, less, less * halves, flat * turns, less * turns]
    for place in (0, width // 2, width - 1):
        single = np.zeros(width, np.int64)
        single[place], single[(place + 1) % width] = _LARGEST, 1
        rows.append(single)
    rows += [rng.integers(-size, size + 1, width) for _ in range(_RANDOM)]
    return np.stack(rows).astype(np.int16)


def _loaded(loader: Loader, provider: str, rows: npt.NDArray[np.int16]) -> DeviceArray:
    padded = np.zeros((len(rows), aligned(rows.shape[1])), np.int16)
    padded[:, : rows.shape[1]] = rows
    array = DeviceArray(padded.shape, np.float32, provider)
    loader.load(padded, array.rows(0, len(padded)))
    return array
