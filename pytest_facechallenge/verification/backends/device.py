"""Tiles on a device through onnxruntime: integer products that float32 holds exactly, with the error bound inside."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pytest_facechallenge.inference.device_memory import DeviceArray
from pytest_facechallenge.inference.session import CPU
from pytest_facechallenge.verification.backends.device_check import check_products
from pytest_facechallenge.verification.backends.device_session import Comparer, Loader, aligned
from pytest_facechallenge.verification.backends.tile import GRID, Candidates, Tile
from pytest_facechallenge.verification.errors import BackendUnavailableError
from pytest_facechallenge.verification.rows import Float32Array, IntArray, UnitRows

if TYPE_CHECKING:
    from pytest_facechallenge.verification.protocol import PairPlan

STEPS = 2046
"""Quantisation steps of one: values of unit rows are at most 1 + 2**-22, and 2046 (1 + 2**-22) rounds to 2046."""
MAX_WIDTH = 4096
"""Widest rows for which all numbers stay in range, see `DeviceTiles`."""
FLOAT32_INTEGERS = 1 << 24
"""Every integer up to it is a float32 number."""
_ERROR_STEPS = 8
_LOADED = 8192
_LANES = 2
#: The float64 arithmetic of the deciding score and of the limit: see `int8`.
_SLACK = 1e-9
_ROUNDING = 2.0**-24


class DeviceTiles:
    r"""Products of integers that no order of summation and no precision down to TF32 can round.

    A unit row x, which is float32 with norm at most 1 + 2u (u = 2**-24, see `rounding.float32_margin`), is written
    x = (q + d) / S with S = 2046 and q the nearest integers to the float32 values of S x. For two rows
    S^2 x.y = (q + d).(r + f), and so

        S^2 x.y = q.r + d.r + S x.f <= q.r + ||d|| ||r|| + ||S x|| ||f||

    by Cauchy-Schwarz. Two more columns hold integers above the norms, E >= 8 ||d|| and N >= max(||q||, ||S x||) / 8, in
    this order on the left and exchanged on the right. So one product of matrices gives the bound itself,

        S^2 x.y <= U = q.r + E N' + N E'

    and a pair is a candidate when U reaches S^2 times the cutoff: one comparison with one number for a whole tile.

    U has no error. |q| <= 2046, and for rows of up to 4096 values ||d|| <= sqrt(4096) / 2 + 1/4096, hence N <= 260 and
    E <= 258: all operands are below 2**11 and so are float32 as well as TF32 numbers. Every product is an integer, and
    the sum of any of them, in any order, is at most ||q|| ||r|| + 2 E N <= (2047 + 33)^2 + 2 * 258 * 260 < 2**23 in
    absolute value (Cauchy-Schwarz again); integers up to 2**24 are float32 numbers. So no product and no partial sum is
    rounded, whether a device sums blocks, uses fused multiply-add, or truncates where others round. What has to hold is
    only that products are of at least 11 bits and sums of at least 24: fp32 and TF32 of tensor cores are, fp16 or bf16
    sums are not. That it holds is tried before (see `check_products`), by the kernels that are used after.

    ||d|| is computed in float32: with y = fl(S x), y - q is exact (both are multiples of the last place of y, and the
    difference is at most 1/2), |S x - y| <= u |y|, and the sum of D squares in any order errs by less than 1 +- 2 D u.

    Parameters
    ----------
    unit, plan
        The embeddings and the pairs. On the device both sides take 4 bytes a value; on the host nothing is kept.
    provider
        Of onnxruntime: "CUDAExecutionProvider", or "CPUExecutionProvider" where there is no GPU.
    workers
        Threads that quantise.
    widest
        Columns of a tile at most, a multiple of `GRID`.

    Raises
    ------
    BackendUnavailableError
        The provider does not work, has too little memory, rounds, or the rows are wider than `MAX_WIDTH`.
    """

    left_block = GRID

    def __init__(
        self, unit: UnitRows, plan: PairPlan, *, provider: str = CPU, workers: int = 1, widest: int = 64 * GRID
    ) -> None:
        if unit.width > MAX_WIDTH:
            msg = f"The device filter takes at most {MAX_WIDTH} values a row; found {unit.width}. Use 'sgemm'."
            raise BackendUnavailableError(msg)
        self.name = "cuda" if provider != CPU else "cuda-on-cpu"
        self.right_block = min(widest, -(-len(plan.right) // GRID) * GRID)
        self.columns = aligned(unit.width + 2)
        try:
            # More than one, so that the device computes while the places of another tile are looked at.
            lanes = [Comparer(provider, self.columns, (unit.width, unit.width + 1)) for _ in range(_LANES)]
            loader = Loader(provider, self.columns)
            for columns in {self.right_block, GRID}:
                check_products(provider, columns, unit.width)
            self.right = _Side(unit, plan.right.rows, loader, self.columns, provider, workers)
            self.left = self.right
            if not plan.symmetric:
                self.left = _Side(unit, plan.left.rows, loader, self.columns, provider, workers)
        except BackendUnavailableError:
            raise
        except Exception as error:  # onnxruntime's errors have no common public base
            msg = f"{provider} cannot score tiles here: {error}"
            raise BackendUnavailableError(msg) from error
        self._lanes = itertools.cycle(lanes)

    def worker(self) -> _Worker:
        """Make a worker that shares the device with the others."""
        return _Worker(self, next(self._lanes))


class _Side:
    """One side on the device: float32 [n, columns] of integers, see `quantise`."""

    def __init__(
        self, unit: UnitRows, rows: IntArray, loader: Loader, columns: int, provider: str, workers: int
    ) -> None:
        self.array = DeviceArray((len(rows), columns), np.float32, provider)

        def load(start: int) -> None:
            part = rows[start : start + _LOADED]
            loader.load(quantise(unit.take(part), columns), self.array.rows(start, start + len(part)))

        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(load, range(0, len(rows), _LOADED)):
                pass


class _Worker:
    def __init__(self, shared: DeviceTiles, lane: Comparer) -> None:
        self._shared = shared
        self._lane = lane

    def candidates(self, tile: Tile, cutoff: float) -> Candidates:
        """Give the pairs whose bound reaches the cutoff."""
        left, right = self._lane.places(
            self._shared.left.array.rows(tile.left_start, tile.left_stop),
            self._shared.right.array.rows(tile.right_start, tile.right_stop),
            as_limit(cutoff),
        )
        return left + tile.left_start, right + tile.right_start


def quantise(x: Float32Array, columns: int) -> npt.NDArray[np.int16]:
    """Give the integers of unit rows and the two columns of their bounds.

    Parameters
    ----------
    x : float32 [n, D]
        Unit rows.
    columns : int
        At least D + 2.

    Returns
    -------
    int16 [n, columns]
        q, then N, then E of `DeviceTiles`, then zeros.
    """
    width = x.shape[1]
    y = x * np.float32(STEPS)
    q = np.rint(y)
    y -= q
    squares = np.einsum("ij,ij->i", y, y, optimize=False).astype(np.float64)
    error = np.sqrt(squares * (1 + 4 * width * _ROUNDING)) + 2 * STEPS * _ROUNDING
    found = np.zeros((len(x), columns), np.int16)
    found[:, :width] = q
    found[:, width] = np.ceil((STEPS * (1 + 4 * _ROUNDING) + error) / _ERROR_STEPS)
    found[:, width + 1] = np.ceil(error * _ERROR_STEPS)
    return found


def as_limit(cutoff: float) -> float:
    """Give the least integer that the bound of a pair with a score of at least ``cutoff`` reaches, within float32's."""
    if cutoff == -np.inf:
        return -2.0 * FLOAT32_INTEGERS
    # One less than the floor: the multiplication may have rounded up to an integer.
    return float(np.clip(np.floor((cutoff - _SLACK) * STEPS**2) - 1, -FLOAT32_INTEGERS, FLOAT32_INTEGERS))
