"""Shows what the sandbox is doing while facts are gathered: one line on a terminal, few in a log."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import pytest

from pytest_facechallenge.plugin.stash import RUN

#: Seconds between two updates on a terminal, and between two lines in a log.
TERMINAL_PERIOD = 0.1
LOG_PERIOD = 20.0
#: Escape sequences of VT100: make room for a line below without leaving the column, remember the place, go back to it.
_ROOM_BELOW, _SAVE, _BACK, _DOWN, _CLEAR = "\x1bD\x1b[A", "\x1b7", "\x1b8", "\x1bD\r", "\x1b[2K"
_REVERSE, _UPRIGHT = "\x1b[7m", "\x1b[27m"
_COUNTED = re.compile(r"([\d,]+) of ([\d,]+) images")


class Writer(Protocol):
    """Where the display goes; pytest's terminal writer fits."""

    def write(self, msg: str, *, flush: bool = ...) -> None:
        """Write ``msg`` as it is."""


class Display:
    """The display of one stretch of work.

    Parameters
    ----------
    writer
        Where to write.
    name
        What is worked on.
    live
        Whether the writer is a terminal that understands escape sequences.
    width
        Columns of the terminal.
    clock
        Seconds; replaced in tests.
    left
        What to add about the rest of the run.
    """

    def __init__(
        self,
        writer: Writer,
        name: str,
        *,
        live: bool,
        width: int = 80,
        clock: Callable[[], float] = time.monotonic,
        left: Callable[[], str] = str,
    ) -> None:
        self.writer = writer
        self.name = name
        self.left = left
        self.live = live
        self.width = width
        self.now = clock
        self.began = self.now()
        self.shown = self.began
        self.open = False

    def say(self, line: str) -> None:
        """Show ``line``, unless another was shown a moment ago."""
        now = self.now()
        if now - self.shown < (TERMINAL_PERIOD if self.live else LOG_PERIOD):
            return
        self.shown = now
        text = f"{self.name}: {line} ({now - self.began:.0f} s{self.left()})"
        if not self.live:
            self.writer.write(f"\nfacechallenge: {text}\n", flush=True)
            return
        if not self.open:
            self.writer.write(_ROOM_BELOW + _SAVE)
            self.open = True
        self.writer.write(
            f"{_BACK}{_DOWN}{_CLEAR}{_with_bar(text[: self.width - 1], self.width - 1)}{_BACK}", flush=True
        )

    def close(self) -> None:
        """Take the line away again."""
        if self.open:
            self.writer.write(f"{_BACK}{_DOWN}{_CLEAR}{_BACK}", flush=True)


def _with_bar(text: str, width: int) -> str:
    """Show "120 of 480 images" as a bar as well: the share that is done of the line, text and all, is in reverse."""
    found = _COUNTED.search(text)
    if found is None:
        return text
    done, total = (int(number.replace(",", "")) for number in found.groups())
    cut = round(width * min(done / total, 1.0)) if total else width
    text = text.ljust(width)
    return f"{_REVERSE}{text[:cut]}{_UPRIGHT}{text[cut:]}"


class InWork:
    """What the workers of a distributed run have in work: a line below pytest's on a terminal, few in a log.

    Other than `Display` it leaves nothing between two updates, as pytest writes in the meantime.
    """

    def __init__(
        self, writer: Writer, *, live: bool, width: int = 80, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.writer = writer
        self.live = live
        self.width = width
        self.now = clock
        self.began = self.shown = self.now()
        self.tests: dict[str, str] = {}
        self.open = False

    def start(self, nodeid: str, what: str) -> None:
        """Show that a test has begun; ``what`` names the submission and the rule."""
        self.tests[nodeid] = what
        self.show()

    def finish(self, nodeid: str) -> None:
        """Take a test that is over out of the line."""
        self.tests.pop(nodeid, None)
        self.show()

    def show(self) -> None:
        """Show what is in work, if anything is."""
        now = self.now()
        if not self.tests or (not self.live and now - self.shown < LOG_PERIOD):
            return
        self.shown = now
        text = f"in work: {', '.join(self.tests.values())} ({now - self.began:.0f} s)"
        if not self.live:
            self.writer.write(f"\nfacechallenge: {text}\n", flush=True)
            return
        text = text if len(text) < self.width else f"{text[: self.width - 2]}…"
        self.writer.write(f"{_ROOM_BELOW}{_SAVE}{_DOWN}{_CLEAR}{text}{_BACK}", flush=True)
        self.open = True

    def clear(self) -> None:
        """Take the line away, before pytest writes."""
        if self.open:
            self.writer.write(f"{_SAVE}{_DOWN}{_CLEAR}{_BACK}", flush=True)
            self.open = False


class Pace:
    """How far a run over several submissions is, and how long the rest may take."""

    def __init__(self, names: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.order = {name: number for number, name in enumerate(names)}
        self.now = clock
        self.began: dict[str, float] = {}

    def place(self, name: str) -> str:
        """Return the name with its place, "[3/30] ann/model.onnx"; alone where there is one submission."""
        self.began.setdefault(name, self.now())
        total = len(self.order)
        return f"[{self.order[name] + 1}/{total}] {name}" if total > 1 and name in self.order else name

    def left(self, name: str) -> str:
        """Return how long the run may still take, by the time that the submissions so far took: ", 4 min left"."""
        done = len(self.began) - 1
        if done < 1 or name not in self.began:
            return ""
        one = (self.began[name] - min(self.began.values())) / done
        rest = one * (len(self.order) - done) - (self.now() - self.began[name])
        return f", {duration(rest)} left for all" if rest > 0 else ""


def duration(seconds: float) -> str:
    """Return a time for people: "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Unnoticed:
    """Writes past pytest's terminal writer, which would count what is shown beside its line as part of the line."""

    def __init__(self, writer: Any) -> None:
        self._file = writer._file

    def write(self, msg: str, *, flush: bool = False) -> None:
        """Write ``msg`` as it is."""
        self._file.write(msg)
        if flush:
            self._file.flush()


def writer_of(config: pytest.Config) -> Writer:
    """Return where a display goes."""
    writer = config.get_terminal_writer()
    return Unnoticed(writer) if is_live(config) else writer


_PACE = pytest.StashKey[Pace]()


def is_live(config: pytest.Config) -> bool:
    """Whether the terminal understands escape sequences that move the cursor: not a pipe, even one with colours."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    return bool(terminal.hasmarkup and terminal.isatty()) and os.environ.get("TERM") != "dumb"


@contextmanager
def display(config: pytest.Config, name: str) -> Iterator[Display | None]:
    """Open a display on pytest's terminal, or give None where there is none (a worker of a distributed run)."""
    no_terminal = not config.pluginmanager.hasplugin("terminalreporter")
    if no_terminal or hasattr(config, "workerinput") or config.get_verbosity() < -1:
        yield None
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    width, pace = config.get_terminal_writer().fullwidth, _pace(config)
    shown = Display(
        writer_of(config), pace.place(name), live=is_live(config), width=width, left=lambda: pace.left(name)
    )
    # pytest captures what tests print; the display is no part of a test's output.
    with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
        try:
            yield shown
        finally:
            shown.close()


def _pace(config: pytest.Config) -> Pace:
    if _PACE not in config.stash:
        run = config.stash.get(RUN, None)
        config.stash[_PACE] = Pace(list(run.plan.names.values()) if run is not None else [])
    return config.stash[_PACE]
