"""Backends that choose candidate pairs by tiles, as a table; none of them decides (see `tile`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_facechallenge.inference.device import has_driver
from pytest_facechallenge.inference.session import CPU, DeviceError, look_for, wanted_providers
from pytest_facechallenge.verification.backends.brute import BruteForce
from pytest_facechallenge.verification.backends.device import DeviceTiles
from pytest_facechallenge.verification.backends.device_check import check_products
from pytest_facechallenge.verification.backends.int8 import Int8Filter
from pytest_facechallenge.verification.backends.products import integer_product, is_exact
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
#: Fewer pairs (100,000 rows all-to-all) are done by the processor's cores in the seconds that a GPU takes to start.
_CUDA_FROM_PAIRS = 100_000 * 100_000
CUDA = "CUDAExecutionProvider"
#: Columns of a tile on a device, at most: wide where candidates are few, since each has 16 bytes, and on a GPU.
_WIDE, _NARROW = 64 * GRID, 8 * GRID
#: The choice that leaves the backend to the table.
AUTO = "auto"

__all__ = [
    "AUTO",
    "BACKENDS",
    "Backend",
    "Candidates",
    "Job",
    "Tile",
    "TileFilter",
    "TileWorker",
    "make_filter",
    "states",
]


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
    device
        "cpu" where ``"auto"`` may not take a GPU.
    """

    unit: UnitRows
    plan: PairPlan
    keep: int = 0
    workers: int = 1
    device: str = "auto"

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
    return Int8Filter(job.unit, job.plan, reduce=few, keep=job.keep, workers=job.workers)


def _cuda(job: Job) -> TileFilter:
    try:
        look_for("cuda")  # says why it is not there, which the runtime itself only writes to its log
    except DeviceError as error:
        raise BackendUnavailableError(str(error)) from error
    return _device(job, CUDA)


def _device(job: Job, provider: str) -> TileFilter:
    widest = _WIDE if provider != CPU and job.keep <= _REDUCED_SHARE * job.pairs else _NARROW
    return DeviceTiles(job.unit, job.plan, provider=provider, workers=job.workers, widest=widest)


def _suits_cuda(job: Job) -> bool:
    """Whether the work is large, a GPU may be used, and this runtime and machine look as if they could."""
    if job.pairs < _CUDA_FROM_PAIRS or not has_driver():
        return False
    try:
        return wanted_providers(job.device)[0] == CUDA
    except DeviceError:
        return False


#: In the order in which ``"auto"`` prefers them.
BACKENDS: tuple[Backend, ...] = (
    Backend("cuda", "integer products on a GPU, in float32", _cuda, _suits_cuda),
    Backend("int8", "8-bit products with a proven bound", _int8, lambda job: job.pairs >= _INT8_FROM_PAIRS),
    Backend("sgemm", "float32 products with a bound", lambda job: SgemmFilter(job.unit, job.plan), lambda _job: True),
    Backend("float64", "every pair in float64", lambda _job: BruteForce()),
    Backend("cuda-on-cpu", "what 'cuda' does, without a GPU", lambda job: _device(job, CPU)),
)


def make_filter(
    backend: str, unit: UnitRows, plan: PairPlan, keep: int = 0, workers: int = 1, device: str = "auto"
) -> TileFilter:
    """Make a backend by name; ``"auto"`` takes the first of the table that suits and that this machine can run.

    Parameters
    ----------
    keep, workers, device
        See `Job`.

    Raises
    ------
    BackendUnavailableError
        The backend that was asked for by name does not work on this machine.
    ValueError
        There is no backend of that name.
    """
    job = Job(unit, plan, keep, workers, device)
    if backend != AUTO:
        named = next((each for each in BACKENDS if each.name == backend), None)
        if named is None:
            known = ", ".join([AUTO, *(each.name for each in BACKENDS)])
            raise ValueError(f"there is no verification backend {backend!r}; known: {known}")
        made = named.make(job)
        if GRID % made.left_block or (GRID % made.right_block and made.right_block % GRID):
            blocks = f"{made.left_block} x {made.right_block}"
            raise ValueError(
                f"the blocks of the verification backend {backend!r} must divide {GRID}, or of columns be a multiple "
                f"of it; found {blocks}"
            )
        return made
    refused = BackendUnavailableError("no backend of the table suits the job")
    for each in BACKENDS:
        if each.suits(job):
            try:
                return each.make(job)
            except BackendUnavailableError as error:
                refused = error
    raise refused


def states() -> Iterator[str]:
    """Say of each filter that not every machine can run whether this one can, a line each."""
    exact = is_exact(integer_product())
    yield "int8: exact on this processor" if exact else "int8: not used, since its products saturate on this processor"
    try:
        look_for("cuda")
        check_products(CUDA, GRID, 512)
    except (DeviceError, BackendUnavailableError) as error:
        yield f"cuda: not used: {error}"
    except Exception as error:  # onnxruntime's errors have no common public base
        yield f"cuda: not used: {type(error).__name__}: {error}"
    else:
        yield f"cuda: exact on this GPU; taken from {_CUDA_FROM_PAIRS:.2g} pairs on"
