"""Progress in lines: how far, how fast, how long still."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds between two lines.
INTERVAL = 2.0


class Progress:
    """Counts images and reports now and then.

    Parameters
    ----------
    total
        Images in all.
    label
        What is done, "embedding mask".
    report
        Given one line at a time; a terminal may show the last one only, a log all of them.
    clock
        Seconds, only ever rising.
    """

    def __init__(
        self,
        total: int,
        label: str,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.done, self.cached = total, 0, 0
        self._label, self._report, self._clock = label, report, clock
        self._started = self._last = clock()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self._clock() - self._started

    @property
    def rate(self) -> float:
        """Images computed a second; those found in the cache do not count."""
        seconds = self.seconds
        return (self.done - self.cached) / seconds if seconds > 0 else 0.0

    def advance(self, count: int, *, cached: bool = False) -> None:
        """Count ``count`` more images, and report when the last line is old enough or this was the last image."""
        self.done += count
        self.cached += count if cached else 0
        now = self._clock()
        if now - self._last >= INTERVAL or self.done >= self.total:
            self._last = now
            self._report(self.line())

    def line(self) -> str:
        """Return the line to show now."""
        text = f"{self._label}: {self.done:,} of {self.total:,} images"
        if self.cached:
            text += f" ({self.cached:,} from the cache)"
        if self.rate > 0:
            text += f", {self.rate:,.1f}/s"
            if self.done < self.total:
                text += f", {duration((self.total - self.done) / self.rate)} left"
        return text


def duration(seconds: float) -> str:
    """Write a length of time: "8 s", "3 min 20 s", "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@contextmanager
def heartbeat(report: Callable[[str], None], label: str) -> Iterator[None]:
    """Report every few seconds how long a computation without progress of its own has been running."""
    stopped = threading.Event()
    started = time.monotonic()

    def beat() -> None:
        while not stopped.wait(INTERVAL):
            report(f"{label}, {duration(time.monotonic() - started)} so far")

    thread = threading.Thread(target=beat, daemon=True, name="heartbeat")
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
