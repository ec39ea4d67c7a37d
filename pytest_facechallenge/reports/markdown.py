"""The report as Markdown: for a pull request, an issue, or the summary of a CI job."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_facechallenge.core.outcome import Status, VerdictWord
from pytest_facechallenge.core.site import rule_page
from pytest_facechallenge.core.text import clean
from pytest_facechallenge.engine.report import Report, RuleResult, SubmissionReport, TrackReport
from pytest_facechallenge.reports import wording
from pytest_facechallenge.reports.once import once
from pytest_facechallenge.reports.overview import figures, megabytes

#: GitHub refuses a summary of more than 1 MiB per step; what would pass this is left out and counted.
MOST_BYTES = 900_000
_SIGNS = {
    VerdictWord.COMPLIANT: "\N{WHITE HEAVY CHECK MARK}",
    VerdictWord.NON_COMPLIANT: "\N{CROSS MARK}",
    VerdictWord.INCOMPLETE: "\N{WHITE QUESTION MARK ORNAMENT}",
}
_ACTIVE = re.compile(r"([\\`*_\[\]<>!|~$&])")
#: What GitHub makes a mention of a person or of an issue, also behind a backslash.
_MENTION = re.compile(r"([@#])(?=\w)")
#: A domain or an address that Markdown would make a link of without any sign of its own.
_LINKED = re.compile(r"(?i)\b(https?|www|ftp|mailto)([.:])")


def render(report: Report) -> bytes:
    """Return the document."""
    judged = wording.judged(once(report))
    parts = ["## Face challenge\n\n", _overview(judged)]
    size = sum(len(part.encode()) for part in parts)
    left = 0
    for submission, track in judged:
        part = _section(submission, track)
        size += len(part.encode())
        if size > MOST_BYTES:
            left += 1
        else:
            parts.append(part)
    if left:
        parts.append(f"\n{left} more sections are left out, as this file would be too long; the JSON report has all.\n")
    parts.append(_footer(report))
    return "".join(parts).encode()


def write_job_summary(report: Report, environment: Mapping[str, str] = os.environ) -> str:
    """Append the document to the summary of a step of GitHub Actions; return what went wrong, "" if nothing did."""
    path = environment.get("GITHUB_STEP_SUMMARY")
    if not path:
        return ""
    try:
        with Path(path).open("ab") as file:
            file.write(render(report))
    except OSError as error:
        return f"the job summary {path} cannot be written: {error.strerror or error}"
    return ""


def _overview(judged: list[tuple[SubmissionReport, TrackReport]]) -> str:
    rows = [
        (
            f"{_SIGNS[track.verdict.word]} {track.verdict_text}",
            escaped(submission.name),
            escaped(track.full),
            escaped(wording.all_causes(track)),
            megabytes(submission.bytes),
            *map(escaped, figures(track)),
        )
        for submission, track in judged
    ]
    head = ("verdict", "submission", "track", "what decides it", "size", "FLOPs", "time", "score")
    text = _table(head, rows)
    if len(judged) > 1:
        text += f"\n{len(judged)} verdicts: {wording.tally([track for _, track in judged])}\n"
    return text


def _section(submission: SubmissionReport, track: TrackReport) -> str:
    lines = []
    for result in wording.broken(track):
        lines += [_finding(track, result)]
    for group in wording.open_groups(track):
        names = ", ".join(map(escaped, group.rules))
        lines += [f"- **{names}** not decided: {escaped(group.why)} {escaped(group.remedy)}\n"]
    title = html.escape(f"{clean(submission.name)} on {track.full}: all rules ({wording.counted(track)})")
    rows = [
        (
            escaped(result.name),
            escaped(result.clause),
            str(result.status) if result.ran else "no result",
            escaped(result.measured if result.ran else result.message),
            escaped(result.limit),
        )
        for result in track.rules
    ]
    table = _table(("rule", "clause", "status", "measured", "limit"), rows)
    head = f"\n### {escaped(submission.name)} on {escaped(track.full)}: {track.verdict_text}\n\n"
    return f"{head}{''.join(lines)}\n<details><summary>{title}</summary>\n\n{table}\n</details>\n"


def _finding(track: TrackReport, result: RuleResult) -> str:
    lines = [f"**{escaped(result.name)} is broken** ({escaped(track.full)}, {escaped(result.clause)}): "]
    lines += [f"{escaped(result.message)}\n\n"]
    if result.sentence:
        lines += [f"> {escaped(result.sentence)}\n\n"]
    if result.measured or result.limit:
        limit = f", limit {escaped(result.limit)}" if result.limit else ""
        lines += [f"- measured: {escaped(result.measured) or 'nothing'}{limit}\n"]
    for seen in result.evidence[:3]:
        lines += [f"- where: {escaped(seen.where)}: {escaped(seen.what)}\n"]
    if len(result.evidence) > 3:
        lines += [f"- and {len(result.evidence) - 3} more\n"]
    if result.status is Status.FAILED and result.remedy:
        lines += [f"- fix: {escaped(result.remedy)}\n"]
    page = rule_page(track.rulebook, result.rule)
    if page:
        lines += [f"- [the rule's page]({page})\n"]
    return "".join([*lines, "\n"])


def _footer(report: Report) -> str:
    books = ", ".join(f"{escaped(book.id)} version {escaped(book.version)}" for book in report.rulebooks)
    warnings = "".join(f"- {escaped(text)}\n" for text in report.environment.warnings)
    return f"\n{warnings}\nJudged by {report.tool.name} {escaped(report.tool.version)} under {books}.\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table without the columns that are empty in every row."""
    kept = [index for index in range(len(head)) if any(row[index] for row in rows)]
    lines = [[head[index] for index in kept], ["---"] * len(kept), *([row[index] for index in kept] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escaped(text: str) -> str:
    """Return text that Markdown shows as it is: no emphasis, link, image, HTML, table cell or mention in it."""
    harmless = _ACTIVE.sub(r"\\\1", clean(" ".join(text.split())))
    return _MENTION.sub("\\1\u200b", _LINKED.sub("\\1\u200b\\2", harmless))
