"""Parts of the impostor pairs on other machines: they open the same files, and leave results in the same folder.

Nothing of any size goes through a scheduler. A task names the folder of a job and a range of rows x a range of rows;
the folder holds the job's description, its identities and the results. The features stay where they are: a memory map
is opened again by its path, and an array in memory is written into the folder for as long as it takes.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
import socket
import threading
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_facechallenge.verification.backends import TileFilter, make_filter
from pytest_facechallenge.verification.errors import StateError
from pytest_facechallenge.verification.impostors import Pass, default_workers
from pytest_facechallenge.verification.kept_parts import PartFiles, features_digest, job_digest
from pytest_facechallenge.verification.parts import Part, scan
from pytest_facechallenge.verification.protocol import AllToAll, Cross, PairPlan, Protocol, plan_pairs
from pytest_facechallenge.verification.rows import UnitRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from pytest_facechallenge.core.machines import Machines
    from pytest_facechallenge.verification.backends import TileWorker

_DESCRIPTION, COPY = "job.json", "features.f4"
_COPY_ROWS = 4096


@dataclasses.dataclass(frozen=True)
class PartTask:
    """What another machine is asked for.

    Attributes
    ----------
    folder
        Of the job.
    part
        The ranges of rows.
    start, cutoff : float
        The guessed cutoff of the pass, and what a score has to reach by now.
    offered : bool
        Whether somebody else scans it as well, in his own time: then what is there is left alone, and only features
        that lie in the job's folder are read, since a sandbox may have written the job.
    """

    folder: str
    part: Part
    start: float
    cutoff: float
    offered: bool = False


@dataclasses.dataclass(frozen=True)
class Description:
    """What decides a job beside its arrays: the features' digest, the scores and pairs to keep, backend and device."""

    digest: str
    keep: int
    hardest: int
    backend: str
    device: str = "auto"


@dataclasses.dataclass(frozen=True)
class _Job:
    """A job as a process has opened it."""

    unit: UnitRows
    plan: PairPlan
    keep: int
    hardest: int
    backend: TileFilter
    kept: PartFiles
    scratch: threading.local


class OnMachines:
    """Runs the parts of one job on other machines; see `impostors.PartRunner`.

    Parameters
    ----------
    machines
        Where.
    kept
        The job's folder, which all machines see.
    """

    def __init__(self, machines: Machines, kept: PartFiles) -> None:
        self._machines = machines
        self._kept = kept

    def run(self, parts: Iterable[Part], done: Pass) -> None:
        """Have every part scanned, and add what the machines left in the folder.

        Raises
        ------
        StateError
            A machine left a result that this one does not see.
        """

        def tasks() -> Iterator[PartTask]:
            # Asked for one by one, so that each part knows the cutoff that those before it have raised.
            for part in parts:
                yield PartTask(str(self._kept.folder), part, done.start, done.cutoff())

        try:
            for task, host in self._machines.each(scan_there, tasks()):
                result = self._kept.get(task.part)
                if result is None:
                    raise StateError(
                        f"{host} scanned part {task.part.number} and left {self._kept.path(task.part)}, which cannot "
                        "be read here: that folder must be shared, under the same path on every machine"
                    )
                done.take(result)
        finally:
            self._machines.everywhere(forget)


@contextmanager
def described(
    kept: PartFiles,
    embeddings: npt.NDArray[Any],
    identities: npt.NDArray[Any],
    protocol: Protocol,
    job: Description,
    *,
    offered: bool = False,
) -> Iterator[None]:
    """Write into a job's folder what another machine needs to scan parts of it; a copy of features goes at the end.

    With ``offered`` there is a copy in any case, and it stays: whoever takes the offer knows when nobody reads it.

    Raises
    ------
    StateError
        It cannot be written.
    """
    arrays = {"identities": identities}
    if isinstance(protocol, Cross):
        arrays |= {"probe": protocol.probe, "gallery": protocol.gallery}
    elif protocol.rows is not None:
        arrays["rows"] = protocol.rows
    copy = kept.folder / COPY
    try:
        try:
            for name, array in arrays.items():
                np.save(kept.folder / f"{name}.npy", array, allow_pickle=False)
            path, offset = _place(embeddings, copy, copied=offered)
            about = {
                "features": str(path),
                "offset": offset,
                "shape": list(embeddings.shape),
                "arrays": list(arrays),
                **dataclasses.asdict(job),
            }
            temporary = kept.folder / f"{_DESCRIPTION}.tmp"
            temporary.write_text(json.dumps(about), encoding="ascii")
            temporary.replace(kept.folder / _DESCRIPTION)
        except OSError as error:
            raise StateError(f"a job for other machines cannot be written into {kept.folder}: {error}") from error
        yield
    finally:
        if not offered:
            copy.unlink(missing_ok=True)


def _place(embeddings: npt.NDArray[Any], copy: Path, *, copied: bool) -> tuple[Path, int]:
    """Return the file that holds the features and where in it they begin; an array in memory is written first."""
    # Of a slice of a map, `offset` is still that of the map: only a map as it was opened knows where it lies.
    whole = isinstance(embeddings, np.memmap) and isinstance(embeddings.base, mmap.mmap)
    if whole and not copied and embeddings.flags.c_contiguous and embeddings.dtype == "<f4":
        assert isinstance(embeddings, np.memmap)  # noqa: S101 - known two lines above; for the type checker
        if embeddings.flags.writeable:
            embeddings.flush()
        return Path(str(embeddings.filename)).absolute(), int(embeddings.offset)
    with copy.open("wb") as file:
        for start in range(0, len(embeddings), _COPY_ROWS):
            file.write(np.ascontiguousarray(embeddings[start : start + _COPY_ROWS], dtype="<f4").data)
    return copy.absolute(), 0


def scan_there(task: PartTask) -> str:
    """Scan a part and leave the result in the job's folder; called on other machines. Return this one's name.

    Raises
    ------
    StateError
        This machine does not see the job or the features, or sees others.
    """
    with _opening:
        job = _opened(task.folder, task.offered)
    if task.offered and job.kept.get(task.part) is not None:
        return socket.gethostname()
    worker: TileWorker | None = getattr(job.scratch, "worker", None)
    if worker is None:
        worker = job.scratch.worker = job.backend.worker()
    result = scan(
        job.unit,
        job.plan,
        job.backend,
        worker,
        task.part,
        keep=job.keep,
        hardest=job.hardest,
        start=task.start,
        cutoff=lambda: task.cutoff,
    )
    job.kept.put(task.part, result)
    return socket.gethostname()


def forget() -> None:
    """Let go of the job that this process has open: its rows in 8 bits are a quarter of the features."""
    with _opening:
        _opened.cache_clear()


#: Threads of a process open a job one at a time, and then share it.
_opening = threading.Lock()


@lru_cache(maxsize=1)
def _opened(folder: str, offered: bool) -> _Job:
    where = f"on {socket.gethostname()}"
    try:
        about = json.loads((Path(folder) / _DESCRIPTION).read_text(encoding="ascii"))
        if offered and Path(about["features"]) != Path(folder) / COPY:
            raise ValueError(f"the features of an offer must lie in it, found {about['features']}")
        arrays = {name: np.load(Path(folder) / f"{name}.npy", allow_pickle=False) for name in about["arrays"]}
        features: Any = np.memmap(
            about["features"], dtype="<f4", mode="r", offset=about["offset"], shape=tuple(about["shape"])
        )
    except (OSError, ValueError, KeyError) as error:
        raise StateError(
            f"the job {folder} cannot be opened {where} ({error}): the folder and the features must be shared, under "
            "the same paths on every machine"
        ) from error
    if features_digest(features) != about["digest"]:
        raise StateError(f"{about['features']} holds other features {where} than where the verification was started")
    protocol: Protocol = (
        Cross(probe=arrays["probe"], gallery=arrays["gallery"])
        if "probe" in arrays
        else AllToAll(rows=arrays.get("rows"))
    )
    plan = plan_pairs(arrays["identities"], protocol)
    used = plan.left.rows if plan.symmetric else np.append(plan.left.rows, plan.right.rows)
    unit = UnitRows(features, used)
    job = job_digest(about["digest"], plan, about["keep"], about["hardest"])
    if job != Path(folder).name:
        raise StateError(f"the job {folder} is another {where}: the same numpy and kind of processor are needed")
    # Several processes of a machine do parts, and would fill its GPU: one is taken only where it was asked for.
    device = "cpu" if about["device"] == "auto" else about["device"]
    backend = make_filter(about["backend"], unit, plan, about["keep"], default_workers(), device)
    kept = PartFiles(Path(folder).parent, job)
    return _Job(unit, plan, about["keep"], about["hardest"], backend, kept, threading.local())
