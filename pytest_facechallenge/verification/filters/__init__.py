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

__all__ = ["Backend", "Candidates", "Tile", "TileFilter", "TileWorker", "make_filter"]


def make_filter(backend: Backend, unit: UnitRows, plan: PairPlan) -> TileFilter:
    """Make a backend by name; ``"auto"`` takes int8 for large protocols where the CPU can do it, else sgemm.

    Raises
    ------
    BackendUnavailableError
        When ``"int8"`` is asked for by name and this CPU's product saturates.
    """
    if backend == "float64":
        return BruteForce()
    if backend == "sgemm" or (backend == "auto" and len(plan.left) * len(plan.right) < _INT8_FROM_PAIRS):
        return SgemmFilter(unit, plan)
    try:
        return Int8Filter(unit, plan)
    except BackendUnavailableError:
        if backend == "int8":
            raise
        return SgemmFilter(unit, plan)
