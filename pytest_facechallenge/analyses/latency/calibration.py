"""Local times of the reference networks, kept per machine and runtime so that they need not be taken in every run."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from datetime import UTC, datetime
from pathlib import Path

import filelock
import msgspec

from pytest_facechallenge.analyses.latency.machine import IDENTITY, differences
from pytest_facechallenge.core.facts.latency import Machine, ReferencePoint
from pytest_facechallenge.core.files import read_regular

SCHEMA = "facechallenge-calibration/2"
#: A stored calibration is used while the reference that is timed again is this near to its stored time; and farther
#: away, up to `MOST_DRIFT`, while the difference is no more than `DEVIATIONS` standard errors of both times.
DRIFT_LIMIT, MOST_DRIFT, DEVIATIONS = 0.05, 0.15, 2.0
#: Days that a calibration holds. What changes a machine without a trace in `Machine` (firmware, microcode, the system's
#: libraries) comes with updates, about monthly.
HOLDS_DAYS = 30
#: A machine is as busy as it was when other programs use a share of the processors that differs by no more than this:
#: half of one of two processors. Processor time depends little on it, but what other programs do to the caches counts
#: for large networks more than for small ones, so references timed on a quiet machine do not stand for a busy one.
AS_BUSY = 0.25
#: Bytes of the largest file that is read.
MAX_BYTES = 1 << 20
#: How long another process may hold the file.
LOCK_SECONDS = 30


class CalibrationError(ValueError):
    """A stored calibration that cannot be used here; the message says which file and why."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Local times of reference networks.

    Attributes
    ----------
    machine
        Where they were taken.
    points
        By growing time.
    made
        When, ISO 8601 in UTC.
    busy
        Share (0..1) of the processors that other programs used meanwhile.
    """

    schema: str
    machine: Machine
    points: tuple[ReferencePoint, ...]
    made: str
    busy: float

    @classmethod
    def of(cls, machine: Machine, points: tuple[ReferencePoint, ...], busy: float) -> Calibration:
        """Make one now."""
        ordered = tuple(sorted(points, key=lambda point: point.ms))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(schema=SCHEMA, machine=machine, points=ordered, made=now, busy=busy)

    def with_points(self, more: tuple[ReferencePoint, ...]) -> Calibration:
        """Return it with further references; it is no younger for that."""
        names = {point.name for point in more}
        kept = [point for point in self.points if point.name not in names]
        ordered = tuple(sorted((*kept, *more), key=lambda point: point.ms))
        return msgspec.structs.replace(self, points=ordered)

    def days_old(self, now: datetime | None = None) -> float:
        """Return its age in days.

        Raises
        ------
        ValueError
            ``made`` is no point in time with its zone.
        """
        made = datetime.fromisoformat(self.made)
        if made.tzinfo is None:
            raise ValueError(f"{self.made!r} has no time zone")
        return ((now or datetime.now(UTC)) - made).total_seconds() / 86_400

    def as_busy(self, busy: float) -> bool:
        """Return whether a machine is as busy as it was then."""
        return abs(self.busy - busy) <= AS_BUSY

    def nearest(self, ms: float) -> ReferencePoint:
        """Return the reference whose local time is nearest, as a ratio."""
        return min(self.points, key=lambda point: max(point.ms / ms, ms / point.ms))


def default_folder() -> Path:
    """Return the user's cache folder for this package; it need not exist."""
    import platformdirs  # only where a folder is asked for: it costs a tenth of a second

    name = "pytest-facechallenge"
    found = platformdirs.user_cache_path(name, appauthor=False, opinion=False)
    # Releases before 4.12 take a relative XDG_CACHE_HOME as it is; the standard says to ignore it.
    return found if found.is_absolute() else Path.home() / ".cache" / name


def path_for(folder: Path, machine: Machine, busy: float) -> Path:
    """Return the file of a calibration: named by what decides about times there, and by how busy the machine was.

    There are four of a machine, for each quarter of its processors that others may use, so that a busy hour does not
    replace what was measured in a quiet one.
    """
    return folder / f"{_stem(machine)}-{min(3, int(busy / AS_BUSY))}.json"


def _stem(machine: Machine) -> str:
    key = msgspec.json.encode([SCHEMA, [getattr(machine, field) for field in IDENTITY]])
    return f"calibration-{hashlib.sha256(key).hexdigest()[:16]}"


def paths_of(folder: Path, machine: Machine) -> list[Path]:
    """Return the files of a machine's calibrations that there are."""
    return sorted(folder.glob(f"{_stem(machine)}-?.json"))


def read(path: Path) -> Calibration:
    """Read a calibration, whatever machine it is of.

    Raises
    ------
    CalibrationError
        It cannot be read, or is none.
    """
    try:
        # No lock: whoever writes replaces the whole file, and the folder may be one that cannot be written.
        found = msgspec.json.decode(read_regular(path, MAX_BYTES), type=Calibration)
    except OSError as error:
        raise CalibrationError(f"the calibration {path} cannot be read: {error}") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CalibrationError(f"{path} is no calibration: {error}") from error
    if found.schema != SCHEMA:
        raise CalibrationError(f"the calibration {path} has the schema {found.schema!r}; {SCHEMA!r} is expected")
    times = [point.ms for point in found.points]
    if not times or not all(map(math.isfinite, times)) or min(times) <= 0 or times != sorted(times):
        raise CalibrationError(f"the calibration {path} must list positive, growing times; found {times}")
    try:
        found.days_old()
    except ValueError as error:
        raise CalibrationError(f"the calibration {path} does not say when it was made: {error}") from error
    return found


def usable(path: Path, here: Machine) -> Calibration:
    """Read a calibration that must be of this machine and runtime, and not too old.

    Raises
    ------
    CalibrationError
        As `read`; or it was made elsewhere or too long ago, and the message says what differs.
    """
    found = read(path)
    foreign = differences(here, found.machine)
    if foreign:
        raise CalibrationError(f"the calibration {path} was made elsewhere: {'; '.join(foreign)}")
    if not 0 <= found.days_old() + 1 <= HOLDS_DAYS + 1:  # clocks of machines that share a folder may differ
        raise CalibrationError(f"the calibration {path} was made on {found.made}; one holds for {HOLDS_DAYS} days")
    return found


def write(path: Path, calibration: Calibration) -> None:
    """Write a calibration so that a reader finds the whole of it or what was there before.

    Raises
    ------
    CalibrationError
        The folder cannot be made or written.
    """
    data = msgspec.json.format(msgspec.json.encode(calibration), indent=1) + b"\n"
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(_lock(path), timeout=LOCK_SECONDS):
            partial.write_bytes(data)
            partial.replace(path)
    except (OSError, filelock.Timeout) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise CalibrationError(f"the calibration cannot be written to {path}: {error}") from error


def _lock(path: Path) -> str:
    return str(path.with_name(f".{path.name}.lock"))


def show(calibration: Calibration) -> str:
    """Return a calibration as text."""
    machine = calibration.machine
    where = f"{machine.processor}, {machine.cores} cores" + (
        f", {machine.gpu} ({machine.driver})" if machine.gpu else ""
    )
    software = f"{machine.runtime}, {machine.provider}, threads {machine.threads or 'auto'}"
    rows = [
        f"  {point.name:12} {point.ms:10.3f} ms  +- {point.spread:.1%}  {point.rounds} rounds"
        for point in calibration.points
    ]
    return (
        "\n".join([f"made {calibration.made} on {where}; {software}; others used {calibration.busy:.0%}", *rows]) + "\n"
    )
