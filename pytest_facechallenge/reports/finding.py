"""The text of one finding, shown where pytest would show a traceback."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_facechallenge.plugin.collection import RuleBroken

WIDTH = 79
#: More evidence than this is counted, not listed: a finding must stay readable; the JSON report has all of it.
MOST_EVIDENCE = 12


def render(broken: RuleBroken, name: str) -> str:
    """Return the finding: rule and clause, what was measured, the limit, the evidence, and how to fix it.

    ``name`` is how the run calls the submission; two of them can have files of the same name.
    """
    rule, outcome = broken.judged.rule, broken.outcome
    lines = [f"{name}: {broken.judged.rule_id} is broken ({rule.full_track}, {rule.clause})", ""]
    lines += paragraph("", outcome.message)
    if rule.text:
        lines += ["", *paragraph("rule      ", f"\u201c{rule.text}\u201d")]
    if outcome.measured:
        lines += paragraph("measured  ", outcome.measured)
    if outcome.limit:
        lines += paragraph("limit     ", outcome.limit)
    if outcome.evidence:
        lines += ["evidence"]
        for seen in outcome.evidence[:MOST_EVIDENCE]:
            lines += paragraph("  - ", f"{seen.where}: {seen.what}")
        if len(outcome.evidence) > MOST_EVIDENCE:
            lines += [f"  - and {len(outcome.evidence) - MOST_EVIDENCE} more (all in --facechallenge-json)"]
    if outcome.remedy:
        lines += paragraph("fix       ", outcome.remedy)
    for note in outcome.notes:
        lines += paragraph("note      ", note)
    return "\n".join(lines)


def paragraph(head: str, text: str, width: int = WIDTH) -> list[str]:
    """Return ``text`` wrapped to ``width`` columns behind ``head``, further lines indented under it."""
    wrapped = textwrap.wrap(
        text,
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapped or [head.rstrip()]
