"""An audit as a table for spreadsheets: a line for every entry on every track."""

from __future__ import annotations

import csv
import io
from fractions import Fraction

from pytest_facechallenge.auditing.document import Audit, Neighbours
from pytest_facechallenge.auditing.wording import related_to, significance

COLUMNS = (
    "track", "place", "entry", "verdict", "standing", "score", "share", "broken", "open", "size", "flops", "time",
    "sha256", "report", "related", "score_low", "score_high", "over_the_next", "over_low", "over_high", "p",
    "p_together", "significance",
)  # fmt: skip
#: With one of these in front a spreadsheet takes a text for a formula, and a name is a stranger's.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(audit: Audit) -> bytes:
    """Return the table: UTF-8, commas, a line of headings, lines in the order of the ranking."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for track in audit.tracks:
        over = {pair.better: pair for pair in audit.neighbours_of(track)}
        for entry, row in audit.rows_of(track):
            score = repr(float(Fraction(row.score))) if row.score else ""
            cells = (
                track, row.place or "", entry.name, row.verdict, row.standing, score, row.share or "",
                " ".join(row.broken), " ".join(row.open), row.size, row.flops, row.time, entry.sha256, entry.report,
                "; ".join(related_to(audit, entry.path)), _number(row.low), _number(row.high),
                *_over_the_next(audit, over.get(entry.path)),
            )  # fmt: skip
            writer.writerow([_plain(cell) for cell in cells])
    return text.getvalue().encode()


def _over_the_next(audit: Audit, pair: Neighbours | None) -> tuple[float | str, ...]:
    """Return the cells about an entry and the one that follows it."""
    if pair is None:
        return ("",) * 6
    numbers = (float(Fraction(pair.difference)), pair.low, pair.high, pair.p, pair.p_together)
    said = f"cannot be judged: {pair.why_not}" if pair.why_not else significance(audit, pair)
    return (*(_number(each) for each in numbers), said)


def _number(value: float | None) -> float | str:
    """Return a cell of a number: none of a text that begins with "-", which would be taken for a formula."""
    return "" if value is None else value


def _plain(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
