"""The rulebooks that a report was judged by, where they are still at hand and say the same."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pytest_facechallenge.core.rulebook import Rulebook, RulebookError
from pytest_facechallenge.core.rulebook_file import load
from pytest_facechallenge.engine.extensions import ExtensionError, load_rulebooks
from pytest_facechallenge.engine.report import Report

#: A rulebook is a page of text; a larger file that a report names is not opened.
MOST_BYTES = 4 * 2**20


def books_of(report: Report) -> dict[str, Rulebook]:
    """Return the report's rulebooks by id: installed ones, and those of its options. One that changed is left out."""
    wanted = {reference.digest for reference in report.rulebooks}
    found: list[Rulebook] = []
    # A broken package of another owner: the page goes without what rulebooks add.
    with contextlib.suppress(RulebookError, ExtensionError):
        found += load_rulebooks().values()
    named = report.options.get("rules")
    for text in named if isinstance(named, (list, tuple)) else ():
        book = _named(text)
        if book is not None:
            found.append(book)
    return {book.id: book for book in found if book.digest in wanted}


def _named(text: object) -> Rulebook | None:
    """Read a rulebook that the report's options name; it counts only if it is the one that was judged by."""
    if not isinstance(text, str) or "\0" in text:
        return None
    path = Path(text)
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        return load(path)
    except (OSError, ValueError):
        return None
