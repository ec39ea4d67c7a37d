"""Shows what the sandbox is doing while facts are gathered: one line on a terminal, few in a log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pytest

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
    """

    def __init__(
        self, writer: Writer, name: str, *, live: bool, width: int = 80, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.writer = writer
        self.name = name
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
        text = f"{self.name}: {line} ({now - self.began:.0f} s)"
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


@contextmanager
def display(config: pytest.Config, name: str) -> Iterator[Display | None]:
    """Open a display on pytest's terminal, or give None where there is none (a worker of a distributed run)."""
    no_terminal = not config.pluginmanager.hasplugin("terminalreporter")
    if no_terminal or hasattr(config, "workerinput") or config.get_verbosity() < -1:
        yield None
        return
    capture = config.pluginmanager.getplugin("capturemanager")
    writer = config.get_terminal_writer()
    shown = Display(writer, name, live=writer.hasmarkup, width=writer.fullwidth)
    if capture is None:
        try:
            yield shown
        finally:
            shown.close()
        return
    # pytest captures what tests print; the display is no part of a test's output.
    with capture.global_and_fixture_disabled():
        try:
            yield shown
        finally:
            shown.close()
