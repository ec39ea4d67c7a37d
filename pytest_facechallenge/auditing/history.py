"""What changed between two audits of the same folder. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_facechallenge.auditing.document import Audit, Change, EntryRow, TrackRow
from pytest_facechallenge.auditing.relation_changes import relation_changes


def changes(before: Audit, after: Audit) -> tuple[Change, ...]:
    """Return what is new, gone or different: bytes, verdicts, scores, places, and who is related to whom."""
    earlier = {entry.path: entry for entry in before.entries}
    now = {entry.path: entry for entry in after.entries}
    found = [Change(path=path, name=entry.name, what="removed") for path, entry in earlier.items() if path not in now]
    for path, entry in now.items():
        if path not in earlier:
            found.append(Change(path=path, name=entry.name, what="added"))
            continue
        found += [Change(path=path, name=entry.name, what=what) for what in _differences(earlier[path], entry)]
    return (*found, *relation_changes(before, after))


def _differences(before: EntryRow, now: EntryRow) -> Iterator[str]:
    if before.sha256 != now.sha256:
        yield "another file was handed in"
    old = {row.track: row for row in before.tracks}
    for row in now.tracks:
        if row.track in old:
            yield from (f"{row.track}: {what}" for what in _of_track(old[row.track], row))


def _of_track(before: TrackRow, now: TrackRow) -> Iterator[str]:
    if before.verdict is not now.verdict:
        yield f"{before.verdict} -> {now.verdict}"
    elif (before.broken, before.open) != (now.broken, now.open):
        yield f"{before.why or 'nothing'} -> {now.why or 'nothing'}"
    if before.score != now.score:
        yield f"score {before.score_text or 'none'} -> {now.score_text or 'none'}"
    if before.place != now.place:
        yield f"place {before.place or 'none'} -> {now.place or 'none'}"
