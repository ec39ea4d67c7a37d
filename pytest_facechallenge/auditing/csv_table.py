"""An audit as a table for spreadsheets: a line for every entry on every track."""

from __future__ import annotations

import csv
import io
from fractions import Fraction

from pytest_facechallenge.auditing.document import Audit
from pytest_facechallenge.auditing.wording import related_to

COLUMNS = (
    "track", "place", "entry", "verdict", "standing", "score", "share", "broken", "open", "size", "flops", "time",
    "sha256", "report", "related",
)  # fmt: skip
#: With one of these in front a spreadsheet takes a text for a formula, and a name is a stranger's.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(audit: Audit) -> bytes:
    """Return the table: UTF-8, commas, a line of headings, lines in the order of the ranking."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for track in audit.tracks:
        for entry, row in audit.rows_of(track):
            score = repr(float(Fraction(row.score))) if row.score else ""
            cells = (
                track, row.place or "", entry.name, row.verdict, row.standing, score, row.share or "",
                " ".join(row.broken), " ".join(row.open), row.size, row.flops, row.time, entry.sha256, entry.report,
                "; ".join(related_to(audit, entry.path)),
            )  # fmt: skip
            writer.writerow([_plain(cell) for cell in cells])
    return text.getvalue().encode()


def _plain(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
