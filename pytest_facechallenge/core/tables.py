"""A table to show, as data."""

from __future__ import annotations

import msgspec


class NamedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table to show: cells are texts, those from column ``numbers_from`` on are numbers; ``below`` are sentences.

    Attributes
    ----------
    section
        The heading under which it is shown; "" for none.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers_from: int = 1
    below: tuple[str, ...] = ()
    section: str = ""


class TimedSamples(msgspec.Struct, frozen=True, kw_only=True):
    """Recorded times in milliseconds, and what stands beside them in a benchmark's JSON."""

    milliseconds: tuple[float, ...]
    about: dict[str, object] = {}
