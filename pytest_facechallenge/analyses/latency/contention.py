"""What goes on around a measurement: other programs are watched, and other timings of ours are kept away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import filelock
import psutil

#: How long one try to get the lock takes, and how long to try in all before timing beside another timing.
TRY_SECONDS, MOST_SECONDS = 5.0, 1800.0


class Used(NamedTuple):
    """Seconds: time passed, processor time of the whole computer, and of this process and its ended children."""

    passed: float
    everyone: float
    own: float


def used() -> Used:
    """Read the clocks; time that a hypervisor took away ("steal") counts as somebody's work."""
    times, mine = psutil.cpu_times(), psutil.Process().cpu_times()
    names = ("user", "nice", "system", "irq", "softirq", "steal")
    own = mine.user + mine.system + mine.children_user + mine.children_system
    return Used(time.monotonic(), sum(getattr(times, name, 0.0) for name in names), own)


class Others:
    """Around a measurement: the share of this computer's processors that other programs used meanwhile.

    Attributes
    ----------
    share
        0..1 of all processors together; known once the measurement is over.
    """

    def __init__(self, read: Callable[[], Used] = used, processors: int = psutil.cpu_count() or 1) -> None:
        self._read = read
        self._processors = processors
        self.share = 0.0

    def __enter__(self) -> Self:
        self._before = self._read()
        return self

    def __exit__(self, *_failure: object) -> None:
        after = self._read()
        passed = (after.passed - self._before.passed) * self._processors
        foreign = (after.everyone - self._before.everyone) - (after.own - self._before.own)
        self.share = min(1.0, max(0.0, foreign / passed)) if passed > 0 else 0.0


@contextmanager
def alone(folder: str, report: Callable[[str], None]) -> Iterator[None]:
    """Hold off other timings of this tool (another pytest-xdist worker, another run) that use the same folder.

    Only timings wait for each other; other work is not held off, see `Others`. Where no lock can be had, the
    measurement goes on without.

    Parameters
    ----------
    folder
        Where calibrations are kept; "" for no lock.
    report
        Called while waiting, so that the wait is not taken for a hang.
    """
    lock = _lock(folder)
    started = time.monotonic()
    while lock is not None:
        try:
            lock.acquire(timeout=TRY_SECONDS)
            break
        except filelock.Timeout:
            report("timing: waiting for another timing on this computer")
            lock = lock if time.monotonic() - started < MOST_SECONDS else None
        except OSError:
            lock = None
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _lock(folder: str) -> filelock.FileLock | None:
    if not folder:
        return None
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return filelock.FileLock(str(Path(folder) / ".timing.lock"))
