"""The text of one finding, shown where pytest would show a traceback."""

from __future__ import annotations

import textwrap

from pytest_facechallenge.engine.report import RuleResult

WIDTH = 79
#: More evidence than this is counted, not listed: a finding must stay readable; the JSON report has all of it.
MOST_EVIDENCE = 12


def render(result: RuleResult, name: str, full_track: str) -> str:
    """Return the finding: rule and clause, what was measured, the limit, the evidence, and how to fix it.

    Parameters
    ----------
    name
        How the run calls the submission; two of them can have files of the same name.
    full_track
        Rulebook and track, "mfr21/A".
    """
    lines = [f"{name}: {result.name} is broken ({full_track}, {result.clause})", ""]
    lines += paragraph("", result.message)
    if result.sentence:
        lines += ["", *paragraph("rule      ", f"\u201c{result.sentence}\u201d")]
    if result.measured:
        lines += paragraph("measured  ", result.measured)
    if result.limit:
        lines += paragraph("limit     ", result.limit)
    if result.evidence:
        lines += ["evidence"]
        for seen in result.evidence[:MOST_EVIDENCE]:
            lines += paragraph("  - ", f"{seen.where}: {seen.what}")
        if len(result.evidence) > MOST_EVIDENCE:
            lines += [f"  - and {len(result.evidence) - MOST_EVIDENCE} more (all in --facechallenge-json)"]
    if result.remedy:
        lines += paragraph("fix       ", result.remedy)
    for note in result.notes:
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
