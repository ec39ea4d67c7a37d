"""The rulebooks and checks in words: the list of rules, and the explanation of one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.engine.arguments import TargetError
from pytest_facechallenge.engine.extensions import load_checks
from pytest_facechallenge.reports.finding import paragraph


def listing(books: Mapping[str, Rulebook]) -> str:
    """Return every rulebook with its tracks, and every rule with its clause and limit per track."""
    lines: list[str] = []
    for book in books.values():
        lines += [f"{book.id}: {book.title} (version {book.version}, {book.date})"]
        for name, track in book.tracks.items():
            lines += paragraph("  track ", f"{book.id}/{name}: {track.title}")
        for rule_id in book.rules:
            resolved = [(track, next(r for r in book.rules_of(track) if r.id == rule_id)) for track in book.tracks]
            limits = {track: rule.limit_text() for track, rule in resolved if not rule.not_applicable}
            away = [track for track, rule in resolved if rule.not_applicable]
            kinds = sorted({rule.level for _, rule in resolved if not rule.not_applicable} - {"rule"})
            said = f"{rule_id} ({resolved[0][1].clause})"
            distinct = set(limits.values())
            if len(distinct) == 1 and distinct != {""}:
                said += f": {distinct.pop()}"
            elif any(limits.values()):
                said += ": " + ", ".join(f"{track} {limit or 'no limit'}" for track, limit in limits.items())
            if kinds:
                said += f" [{', '.join(kinds)}]"
            if away:
                said += f" (not on {', '.join(away)})" if limits else " (does not apply)"
            lines += paragraph("    ", said)
        lines += [""]
    return "\n".join(lines) + "\n"


def explain(rule_id: str, books: Mapping[str, Rulebook]) -> str:
    """Return what, why, how it is measured, how to fix, and the sentence of each challenge that has the rule.

    Raises
    ------
    TargetError
        There is no rule of that name; the message has the nearest match and the list.
    """
    homes = [book for book in books.values() if rule_id in book.rules]
    if not homes:
        known = sorted({name for book in books.values() for name in book.rules})
        near = difflib.get_close_matches(rule_id, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise TargetError(f"there is no rule {rule_id!r}{hint} Known rules: {', '.join(known)}")
    lines = [rule_id, "=" * len(rule_id), ""]
    for book in homes:
        table = book.rules[rule_id]
        lines += paragraph(
            f"{book.id}, {table.clause}: ", f"“{table.text}”" if table.text else "(no sentence of its own)"
        )
        for track in book.tracks:
            rule = next(rule for rule in book.rules_of(track) if rule.id == rule_id)
            level = {"rule": "applies", "note": "a note only", "measurement": "measured only"}[rule.level]
            said = rule.not_applicable or rule.limit_text() or level
            lines += paragraph(f"  {book.id}/{track}: ", said)
        if table.reading:
            lines += paragraph("  reading: ", table.reading)
        lines += [""]
    check = load_checks()[homes[0].rules[rule_id].check]
    for heading, text in check.sections.items():
        lines += [heading]
        for block in text.split("\n\n"):
            lines += paragraph("  ", " ".join(block.split()))
        lines += [""]
    return "\n".join(lines)
