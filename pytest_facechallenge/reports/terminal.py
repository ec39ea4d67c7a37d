"""The summary at the end of a run: per submission and track a table of rules, then the verdict."""

from __future__ import annotations

import io

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_facechallenge.core.outcome import Status, VerdictWord
from pytest_facechallenge.core.tables import NamedTable
from pytest_facechallenge.engine.report import Report, RuleResult, TrackReport
from pytest_facechallenge.reports.finding import paragraph

STYLES = {
    Status.PASSED: "green",
    Status.FAILED: "bold red",
    Status.UNDECIDED: "yellow",
    Status.NOT_APPLICABLE: "dim",
}
#: Short words for a narrow table.
WORDS = {status: str(status) for status in Status} | {Status.NOT_APPLICABLE: "n/a"}


def render_table(table: NamedTable, *, width: int, colour: bool) -> str:
    """Return a table as text; long cells are folded, nothing is cut off."""
    stream = io.StringIO()
    console = _console(stream, width, colour)
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for position, heading in enumerate(table.headings):
        number = position >= table.numbers_from
        shown.add_column(heading, overflow="fold", justify="right" if number else "left", no_wrap=number)
    for row in table.rows:
        shown.add_row(*map(Text, row))
    console.print()
    console.print(Text(table.title, style="bold"))
    console.print(shown)
    for line in table.below:
        _say(console, f"  - {line}")
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _console(stream: io.StringIO, width: int, colour: bool) -> Console:
    return Console(
        file=stream,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        legacy_windows=False,
    )


def render(report: Report, *, width: int, colour: bool, encoding: str = "utf-8", verbose: bool = False) -> str:
    """Return the summary as text that the encoding can carry."""
    stream = io.StringIO()
    console = _console(stream, width, colour)
    for submission in report.submissions:
        for track in submission.tracks:
            console.print(_table(submission.name, track))
            _verdict(console, submission.name, track, verbose)
    text = stream.getvalue()
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    return text.encode(encoding, "replace").decode(encoding)


def _table(name: str, track: TrackReport) -> Table:
    title = Text(f"{name} on {track.full}", style="bold")
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False
    )
    table.add_column("rule", no_wrap=True)
    table.add_column("clause", max_width=12)
    table.add_column("status", no_wrap=True)
    table.add_column("measured", overflow="fold", ratio=3)
    table.add_column("limit", overflow="fold", ratio=2)
    for result in track.rules:
        if result.ran:
            status = Text(WORDS[result.status], style=STYLES[result.status])
            table.add_row(Text(result.name), Text(result.clause), status, Text(result.measured), Text(result.limit))
        else:
            table.add_row(
                Text(result.name), Text(result.clause), Text("no result", style="yellow"), Text(result.message), ""
            )
    return table


def _verdict(console: Console, name: str, track: TrackReport, verbose: bool) -> None:
    verdict = track.verdict
    style = {VerdictWord.COMPLIANT: "bold green", VerdictWord.NON_COMPLIANT: "bold red"}.get(
        verdict.word, "bold yellow"
    )
    console.print()
    console.print(Text.assemble(f"{name} on {track.full}: ", (track.verdict_text, style)))
    messages = {result.name: result.message for result in track.rules}
    for rule in verdict.broken:
        _say(console, f"  - {rule} is broken: {messages[rule]}")
    # Rules that are open for one and the same reason are named together, with the reason once.
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in verdict.open:
        reasons.setdefault((each.why, each.remedy), []).append(each.rule)
    for (why, remedy), rules in reasons.items():
        stop = "" if why.endswith((".", "!", "?")) else "."
        _say(console, f"  - {', '.join(rules)} not decided: {why}{stop} {remedy}")
    notes = [(result.name, note) for result in track.rules for note in result.notes]
    notes += [
        (result.name, result.message)
        for result in track.rules
        if verbose and result.ran and result.status is Status.NOT_APPLICABLE and not _noted(result)
    ]
    for rule, note in notes:
        _say(console, f"  - {rule}, note: {note}")
    console.print()


def _noted(result: RuleResult) -> bool:
    """Whether the notes hold the message already: what a rule that only measures found."""
    return any(result.message.endswith(note) for note in result.notes)


def _say(console: Console, text: str) -> None:
    head = text[: len(text) - len(text.lstrip(" -"))]
    for line in paragraph(head, text[len(head) :], console.width - 1):
        console.print(Text(line))
