"""Backends that choose candidate pairs by tiles; none of them decides (see `tile`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pytest_facechallenge.verification.errors import BackendUnavailableError
from pytest_facechallenge.verification.filters.brute import BruteForce
from pytest_facechallenge.verification.filters.int8 import Int8Filter
from pytest_facechallenge.verification.filters.sgemm import SgemmFilter
from pytest_facechallenge.verification.filters.tile import Candidates, Tile, TileFilter, TileWorker

if TYPE_CHECKING:
    from pytest_facechallenge.verification.protocol import PairPlan
    from pytest_facechallenge.verification.rows import UnitRows

Backend = Literal["auto", "int8", "sgemm", "float64"]

_INT8_FROM_PAIRS = 10_000 * 10_000
"""Fewer pairs than this (10,000 rows all-to-all, counted in full) are done sooner by plain float32 products."""
_REDUCED_FROM_PAIRS = 20_000 * 20_000
_REDUCED_SHARE = 1e-3
"""Looking for a larger share of the pairs, a looser bound lets so many through that scoring them costs more."""

__all__ = ["Backend", "Candidates", "Tile", "TileFilter", "TileWorker", "make_filter"]


def make_filter(backend: Backend, unit: UnitRows, plan: PairPlan, keep: int = 0, workers: int = 1) -> TileFilter:
    """Make a backend by name; ``"auto"`` takes int8 for large protocols where the CPU can do it, else sgemm.

    Parameters
    ----------
    keep : int
        Impostor scores that are looked for. Where they are few of many, the int8 filter may drop dimensions.
    workers : int
        Threads that prepare the rows.

    Raises
    ------
    BackendUnavailableError
        When ``"int8"`` is asked for by name and this CPU's product saturates.
    """
    if backend == "float64":
        return BruteForce()
    if backend == "sgemm" or (backend == "auto" and len(plan.left) * len(plan.right) < _INT8_FROM_PAIRS):
        return SgemmFilter(unit, plan)
    pairs = len(plan.left) * len(plan.right)
    try:
        few = pairs >= _REDUCED_FROM_PAIRS and keep <= _REDUCED_SHARE * pairs
        return Int8Filter(unit, plan, reduce=few, workers=workers)
    except BackendUnavailableError:
        if backend == "int8":
            raise
        return SgemmFilter(unit, plan)
