"""The text of one finding: in full where pytest would keep a traceback, in a few lines on the screen."""

from __future__ import annotations

from pytest_facechallenge.core.outcome import Status
from pytest_facechallenge.core.site import rule_page
from pytest_facechallenge.core.text import clean
from pytest_facechallenge.engine.report import RuleResult
from pytest_facechallenge.reports.wrapping import cut, wrap

WIDTH = 79
#: More evidence than this is counted, not listed: a finding must stay readable; the JSON report has all of it.
MOST_EVIDENCE = 12
#: Lines that each part of a finding on the screen may take; with the headline they are 12.
MOST_LINES = {"message": 3, "where": 2, "measured": 2, "fix": 4}
#: The same where several rules are broken, so that two findings and pytest's own lines fit on a screen of 40.
FEW_LINES = {"message": 2, "where": 2, "measured": 1, "fix": 4}
_WORDS = {Status.FAILED: "is broken", Status.UNDECIDED: "is not decided"}


def headline(result: RuleResult, name: str, full_track: str) -> str:
    """Return "model.onnx: embedding-dim is broken (mfr21/A, Rules 1)"."""
    return f"{clean(name)}: {result.name} {_WORDS.get(result.status, 'is kept')} ({full_track}, {result.clause})"


def brief(result: RuleResult, width: int, most: dict[str, int] = MOST_LINES, more: str = "…") -> list[str]:
    """Return the finding below its headline: what is wrong, where, measured against limit, how to fix it."""
    lines = wrap("  ", result.message, width, most["message"], more)
    if result.evidence:
        first = result.evidence[0]
        others = len(result.evidence) - 1
        counted = f" (and {others} more: -v)" if others else ""
        seen = wrap("  where     ", f"{first.where}: {first.what}", width, most["where"], more)
        lines += [*seen[:-1], cut(seen[-1], width - len(counted), more) + counted]
    if result.measured or result.limit:
        said = f"{result.measured or 'nothing'}, limit {result.limit}" if result.limit else result.measured
        lines += wrap("  measured  ", said, width, most["measured"], more)
    if result.remedy:
        lines += wrap("  fix       ", result.remedy, width, most["fix"], more)
    return lines


def render(result: RuleResult, name: str, full_track: str) -> str:
    """Return the whole finding: rule and clause, what was measured, the limit, the evidence, and how to fix it.

    Parameters
    ----------
    name
        How the run calls the submission; two of them can have files of the same name.
    full_track
        Rulebook and track, "mfr21/A".
    """
    page = rule_page(full_track.partition("/")[0], result.rule)
    lines = [headline(result, name, full_track), "", *body(result, WIDTH, page=page)]
    return "\n".join(lines)


def body(result: RuleResult, width: int, head: str = "", page: str = "") -> list[str]:
    """Return the whole finding below its headline.

    Parameters
    ----------
    head
        Stands before every line.
    page
        The address of the rule's page, "" to show none; it is never broken, as half an address leads nowhere.
    """
    lines = paragraph(head, result.message, width)
    if result.sentence:
        lines += ["", *paragraph(f"{head}rule      ", f"\u201c{result.sentence}\u201d", width)]
    if result.measured:
        lines += paragraph(f"{head}measured  ", result.measured, width)
    if result.limit:
        lines += paragraph(f"{head}limit     ", result.limit, width)
    if result.evidence:
        lines += [f"{head}evidence"]
        for seen in result.evidence[:MOST_EVIDENCE]:
            lines += paragraph(f"{head}  - ", f"{seen.where}: {seen.what}", width)
        if len(result.evidence) > MOST_EVIDENCE:
            lines += [f"{head}  - and {len(result.evidence) - MOST_EVIDENCE} more (all in --facechallenge-json)"]
    if result.remedy:
        lines += paragraph(f"{head}fix       ", result.remedy, width)
    for note in result.notes:
        lines += paragraph(f"{head}note      ", note, width)
    return [*lines, f"{head}page      {page}"] if page else lines


def paragraph(head: str, text: str, width: int = WIDTH) -> list[str]:
    """Return ``text`` wrapped to ``width`` columns behind ``head``, further lines indented under it."""
    return wrap(head, text, width)
