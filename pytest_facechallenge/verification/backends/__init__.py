"""Backends that choose candidate pairs by tiles, as a table; none of them decides (see `tile`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_facechallenge.verification.backends.brute import BruteForce
from pytest_facechallenge.verification.backends.int8 import Int8Filter
from pytest_facechallenge.verification.backends.sgemm import SgemmFilter
from pytest_facechallenge.verification.backends.tile import GRID, Candidates, Tile, TileFilter, TileWorker
from pytest_facechallenge.verification.errors import BackendUnavailableError

if TYPE_CHECKING:
    from pytest_facechallenge.verification.protocol import PairPlan
    from pytest_facechallenge.verification.rows import UnitRows

#: Fewer pairs than this (10,000 rows all-to-all, counted in full) are done sooner by plain float32 products.
_INT8_FROM_PAIRS = 10_000 * 10_000
_REDUCED_FROM_PAIRS = 20_000 * 20_000
#: Looking for a larger share of the pairs, a looser bound lets so many through that scoring them costs more.
_REDUCED_SHARE = 1e-3
#: The choice that leaves the backend to the table.
AUTO = "auto"

__all__ = ["AUTO", "BACKENDS", "Backend", "Candidates", "Job", "Tile", "TileFilter", "TileWorker", "make_filter"]


@dataclass(frozen=True)
class Job:
    """What a backend is made for.

    Attributes
    ----------
    unit
        The normalised rows.
    plan
        Which rows are compared with which.
    keep
        Impostor scores that are looked for. Where they are few of many, the int8 filter may drop dimensions.
    workers
        Threads that prepare the rows.
    """

    unit: UnitRows
    plan: PairPlan
    keep: int = 0
    workers: int = 1

    @property
    def pairs(self) -> int:
        """Pairs of the protocol, both orders counted."""
        return len(self.plan.left) * len(self.plan.right)


@dataclass(frozen=True)
class Backend:
    """One way to choose candidate pairs.

    Attributes
    ----------
    name, about
        The name, and one line for a reader.
    make
        Makes the filter. It may raise `BackendUnavailableError`; then the next one that suits is taken, unless this one
        was asked for by name.
    suits
        Whether ``"auto"`` may take it for a job.
    """

    name: str
    about: str
    make: Callable[[Job], TileFilter]
    suits: Callable[[Job], bool] = lambda _job: False


def _int8(job: Job) -> TileFilter:
    few = job.pairs >= _REDUCED_FROM_PAIRS and job.keep <= _REDUCED_SHARE * job.pairs
    return Int8Filter(job.unit, job.plan, reduce=few, workers=job.workers)


#: In the order in which ``"auto"`` prefers them.
BACKENDS: tuple[Backend, ...] = (
    Backend("int8", "8-bit products with a proven bound", _int8, lambda job: job.pairs >= _INT8_FROM_PAIRS),
    Backend("sgemm", "float32 products with a bound", lambda job: SgemmFilter(job.unit, job.plan), lambda _job: True),
    Backend("float64", "every pair in float64", lambda _job: BruteForce()),
)


def make_filter(backend: str, unit: UnitRows, plan: PairPlan, keep: int = 0, workers: int = 1) -> TileFilter:
    """Make a backend by name; ``"auto"`` takes the first of the table that suits and that this machine can run.

    Parameters
    ----------
    keep, workers
        See `Job`.

    Raises
    ------
    BackendUnavailableError
        The backend that was asked for by name does not work on this machine.
    ValueError
        There is no backend of that name.
    """
    job = Job(unit, plan, keep, workers)
    if backend != AUTO:
        named = next((each for each in BACKENDS if each.name == backend), None)
        if named is None:
            known = ", ".join([AUTO, *(each.name for each in BACKENDS)])
            raise ValueError(f"there is no verification backend {backend!r}; known: {known}")
        made = named.make(job)
        if GRID % made.left_block or GRID % made.right_block:
            blocks = f"{made.left_block} x {made.right_block}"
            raise ValueError(f"the blocks of the verification backend {backend!r} must divide {GRID}, found {blocks}")
        return made
    refused = BackendUnavailableError("no backend of the table suits the job")
    for each in BACKENDS:
        if each.suits(job):
            try:
                return each.make(job)
            except BackendUnavailableError as error:
                refused = error
    raise refused
