"""An audit on the terminal: a table for each track, what changed, what is wrong with the audit itself."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from pytest_facechallenge.auditing.document import Audit, BaselineRow, Line, Standing
from pytest_facechallenge.auditing.wording import alike_in_words, neighbours_in_words
from pytest_facechallenge.reports.view import VERDICT_STYLES, View
from pytest_facechallenge.reports.wrapping import cut, shortened, wrap

#: Changes that the screen shows; the document has all.
MOST_CHANGES = 20
_LEAST_NAME, _LEAST_WHY = 14, 16


def render(audit: Audit, view: View) -> str:
    """Return what the terminal shows of an audit."""
    parts: list[RenderableType] = []
    for track in audit.tracks:
        parts += [Text(track, style="bold"), _table(audit, track, view), *_neighbours(audit, track, view), Text()]
    parts += _changes(audit, view)
    parts += _alike(audit, view)
    for trouble in audit.troubles:
        parts += map(Text, wrap("", f"warning: {trouble}", view.columns))
    parts += map(Text, wrap("", _counts(audit), view.columns))
    return view.paint(parts)


def _table(audit: Audit, track: str, view: View) -> Table:
    rows = audit.lines_of(track)
    cells = [_cells(row) for row in rows]
    shares = any(each[3] for each in cells)
    columns = [0, 1, 2, *([3] if shares else [])]
    headings = ("place", "entry", "score", "share")
    widths = {index: max(len(headings[index]), *(len(each[index]) for each in cells)) for index in columns}
    verdicts = max(len(each[4]) for each in cells)
    spare = view.columns - sum(widths.values()) - verdicts - 2 * (len(columns) + 1)
    if spare < _LEAST_WHY:
        widths[1] = max(_LEAST_NAME, widths[1] - (_LEAST_WHY - spare))
        spare = view.columns - sum(widths.values()) - verdicts - 2 * (len(columns) + 1)
    table = Table(box=view.head_box, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for index in columns:
        table.add_column(headings[index], width=widths[index], no_wrap=True, justify="left" if index == 1 else "right")
    table.add_column("verdict", width=verdicts, no_wrap=True)
    if spare >= _LEAST_WHY:
        table.add_column("what decides it", width=spare, no_wrap=True)
    for row, each in zip(rows, cells, strict=True):
        shown = [Text(shortened(each[index], widths[index], view.more)) for index in columns]
        verdict = Text(each[4], style="dim" if isinstance(row, BaselineRow) else VERDICT_STYLES[row[1].verdict])
        why = [Text(cut(each[5], spare, view.more))] if spare >= _LEAST_WHY else []
        table.add_row(*shown, verdict, *why)
    return table


def _cells(row: Line) -> tuple[str, str, str, str, str, str]:
    if isinstance(row, BaselineRow):
        return "", row.name, row.score_text, "", "published", ""
    entry, mine = row
    place = f"{mine.place}{'=' if mine.tied else ''}" if mine.place else ""
    share = f"{100 * mine.share:.3g} %" if mine.share else ""
    verdict = f"{mine.verdict} (practice)" if mine.standing is Standing.PRACTICE else str(mine.verdict)
    return place, entry.name, mine.score_text, share, verdict, mine.why


def _neighbours(audit: Audit, track: str, view: View) -> list[RenderableType]:
    """Return which entries differ by more than chance from the next, in lines."""
    lines = neighbours_in_words(audit, track)
    if not lines:
        return []
    parts: list[RenderableType] = [
        Text(line, style="bold")
        for line in wrap("", "neighbours on the same images, with 95 % intervals:", view.columns)
    ]
    for line in lines[:MOST_CHANGES]:
        parts += map(Text, wrap("  ", line, view.columns))
    left = len(lines) - MOST_CHANGES
    return [*parts, *([Text(f"  and {left} more")] if left > 0 else [])]


def _changes(audit: Audit, view: View) -> list[RenderableType]:
    if not audit.previous:
        return []
    if not audit.changes:
        return [Text(f"nothing changed since the audit of {audit.previous}")]
    parts: list[RenderableType] = [Text(f"changed since the audit of {audit.previous}:", style="bold")]
    for change in audit.changes[:MOST_CHANGES]:
        parts += map(Text, wrap("  ", f"{change.name}: {change.what}", view.columns))
    left = len(audit.changes) - MOST_CHANGES
    return [*parts, *([Text(f"  and {left} more")] if left > 0 else [])]


def _alike(audit: Audit, view: View) -> list[RenderableType]:
    """Return who handed in whose network, in lines."""
    parts: list[RenderableType] = []
    for heading, lines in alike_in_words(audit):
        parts += [Text(line, style="bold") for line in wrap("", f"{heading}:", view.columns)]
        for line in lines[:MOST_CHANGES]:
            parts += map(Text, wrap("  ", line, view.columns))
        left = len(lines) - MOST_CHANGES
        parts += [Text(f"  and {left} more")] if left > 0 else []
    return parts


def _counts(audit: Audit) -> str:
    rows = [row for entry in audit.entries for row in entry.tracks]
    words = {word: sum(row.verdict is word for row in rows) for word in VERDICT_STYLES}
    said = ", ".join(f"{number} {word}" for word, number in words.items() if number)
    gathered = sum(entry.gathered for entry in audit.entries)
    reused = sum(entry.reused for entry in audit.entries)
    entries = f"{len(audit.entries)} entr{'y' if len(audit.entries) == 1 else 'ies'}"
    return f"{entries}: {said}; {gathered:,} steps gathered, {reused:,} taken from earlier runs"
