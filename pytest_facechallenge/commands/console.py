"""What the console of a command can show: columns, colours, encoding. Standard library only where it can."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_facechallenge.reports.view import View

#: Columns where the console does not say how wide it is.
DEFAULT_WIDTH = 80


def width() -> int:
    """Return the columns of the console."""
    return shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns


def colours(stream: IO[str], environment: Mapping[str, str] = os.environ) -> bool:
    """Whether escape sequences for colours may be written.

    NO_COLOR (https://no-color.org) wins over FORCE_COLOR (https://force-color.org), as in pytest; without either it is
    a terminal that gets colours, and no pipe.
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return stream.isatty() and environment.get("TERM") != "dumb"


def write(text: str) -> None:
    """Write to standard output, spelt as the console can show it: one without “ must not end a command."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        from pytest_facechallenge.reports.wrapping import spelt

        text = spelt(text, encoding)
    sys.stdout.write(text)


def view(verbosity: int = 0, *, strict: bool = False) -> View:
    """Return how reports are shown on standard output."""
    from pytest_facechallenge.reports.hyperlinks import shows_links
    from pytest_facechallenge.reports.view import View

    return View(
        width=width(),
        colour=colours(sys.stdout),
        encoding=sys.stdout.encoding or "utf-8",
        verbosity=verbosity,
        strict=strict,
        links=colours(sys.stdout) and sys.stdout.isatty() and shows_links(),
    )
