"""Count the numbers in kernels of linear recurrences, which state space models use at every place of a sequence.

The matrix of a causal convolution over n places (LRU, S4, RetNet, unrolled for their parallel form) has the same
number all along each diagonal: it is a kernel of n numbers, used at every place. A kernel that is a sum of r
exponentials obeys a recurrence of order r, and its Hankel matrix has rank r (Kronecker): 2 r numbers, the coefficients
and the start, tell all of it. One exponential, or the real or the imaginary part of a complex one, counts as one
number: the two parts have two numbers, size and angle.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

#: Numbers along a diagonal, and parts of a Hankel matrix, that differ by less of the largest are the same, or nothing:
#: the cosine of a large angle has four good digits in float32.
SAME, NOTHING = 1e-4, 1e-3
#: A network that turns coordinates into weights (continuous kernels) is left undecided up to so many weights for each
#: stored number, and is storage computed from nothing beyond. A continuous 7x7 kernel behind 32 hidden values has 1.5.
FORMULA = 16
#: Shorter kernels are counted whole.
SHORT = 8
#: Longer ones are not looked at.
LONG = 1024


class Kernels(NamedTuple):
    """How many places kernels have together, and how many numbers tell what stands there."""

    places: int
    numbers: int

    def open(self, stored: int) -> bool:
        """Return whether so many stored numbers may honestly make them: a curve of few numbers over the places."""
        return 2 * self.numbers <= self.places and self.numbers <= FORMULA * stored

    def why(self, stored: int) -> str:
        """Return why that is left open, for the report."""
        return f"{stored} stored numbers make kernels over {self.places} places, as recurrences and smooth filters do"


def kernels(op: str, values: npt.NDArray[Any]) -> Kernels | None:
    """Return what is known of a weight that is made of kernels along one axis; None where it is not.

    Parameters
    ----------
    op
        The operator that computes with it: of a convolution the kernels of single channels are meant, of others the
        matrices along the last two axes whose diagonals are constant.
    values
        Of any shape.
    """
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        return None
    array = np.asarray(values, np.float64)
    if op == "Conv":
        long = [extent for extent in array.shape[2:] if extent > 1]
        halves = [array.reshape(-1, long[0])] if array.ndim > 2 and array.shape[1] == 1 and len(long) == 1 else []
    else:
        halves = _halves(array)
    if not halves or not SHORT <= halves[0].shape[1] <= LONG:
        return None
    counts = [_numbers(row) for half in halves for row in half]
    return Kernels(sum(half.size for half in halves), sum(counts))


def _halves(array: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Return the kernels of square matrices with constant diagonals, before and behind each place; [] for others."""
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        return []
    largest = float(np.abs(array).max(initial=0.0))
    if np.abs(array[..., 1:, 1:] - array[..., :-1, :-1]).max(initial=0.0) > SAME * largest:
        return []
    before, behind = (part.reshape(-1, array.shape[-1]) for part in (array[..., :, 0], array[..., 0, :]))
    if np.abs(before - behind).max(initial=0.0) <= SAME * largest:
        return [before]
    return [half for half in (before, behind) if np.abs(half[:, 1:]).max(initial=0.0) > SAME * largest]


def _numbers(kernel: npt.NDArray[np.float64]) -> int:
    order = _order(kernel)
    # The first place may be another one's, as where a mask cuts between what is before and what is behind.
    if order > 2:
        order = min(order, _order(kernel[1:]) + 1)
    return order if order == 0 else 1 if order <= 2 else min(len(kernel), 2 * order)


def _order(kernel: npt.NDArray[np.float64]) -> int:
    half = len(kernel) // 2
    hankel = np.lib.stride_tricks.sliding_window_view(kernel, len(kernel) - half)
    sizes = np.linalg.svd(hankel, compute_uv=False)
    return int((sizes > NOTHING * sizes[0]).sum()) if sizes[0] else 0
