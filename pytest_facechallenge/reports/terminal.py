"""The summary at the end of a run: per submission and track a table of rules, then the verdict."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pytest_facechallenge.core.outcome import Status, VerdictWord
from pytest_facechallenge.reports.finding import paragraph

if TYPE_CHECKING:
    import pytest

    from pytest_facechallenge.plugin.collector import TrackResult

STYLES = {
    Status.PASSED: "green",
    Status.FAILED: "bold red",
    Status.UNDECIDED: "yellow",
    Status.NOT_APPLICABLE: "dim",
}
#: Short words for a narrow table.
WORDS = {status: str(status) for status in Status} | {Status.NOT_APPLICABLE: "n/a"}
#: What a CI log shows when it does not say how wide it is.
DEFAULT_WIDTH = 80


def write_summary(reporter: pytest.TerminalReporter, results: list[TrackResult], *, verbose: bool) -> None:
    """Write the summary through pytest's terminal reporter, in its colours and width."""
    encoding = getattr(reporter._tw._file, "encoding", None) or "utf-8"
    reporter.section("face challenge summary")
    text = render(results, width=_width(), colour=reporter.hasmarkup, encoding=encoding, verbose=verbose)
    reporter.write(text)


def write_tables(reporter: pytest.TerminalReporter, tables: list[NamedTable]) -> None:
    """Write the tables that the user asked for, after the summary."""
    for table in tables:
        reporter.write(render_table(table, width=_width(), colour=reporter.hasmarkup))


class NamedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table to show: cells are texts, those from column ``numbers_from`` on are numbers; ``below`` are sentences."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers_from: int = 1
    below: tuple[str, ...] = ()


def render_table(table: NamedTable, *, width: int, colour: bool) -> str:
    """Return a table as text; long cells are folded, nothing is cut off."""
    stream = io.StringIO()
    console = _console(stream, width, colour)
    shown = Table(title=Text(table.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    for position, heading in enumerate(table.headings):
        number = position >= table.numbers_from
        shown.add_column(heading, overflow="fold", justify="right" if number else "left", no_wrap=number)
    for row in table.rows:
        shown.add_row(*map(Text, row))
    console.print()
    console.print(shown)
    for line in table.below:
        _say(console, f"  - {line}")
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _width() -> int:
    return max(60, min(shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns, 140))


def _console(stream: io.StringIO, width: int, colour: bool) -> Console:
    return Console(
        file=stream,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        legacy_windows=False,
    )


def render(
    results: list[TrackResult], *, width: int, colour: bool, encoding: str = "utf-8", verbose: bool = False
) -> str:
    """Return the summary as text that the encoding can carry."""
    stream = io.StringIO()
    console = _console(stream, width, colour)
    for result in results:
        console.print(_table(result))
        _verdict(console, result, verbose)
    text = stream.getvalue()
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    return text.encode(encoding, "replace").decode(encoding)


def _table(result: TrackResult) -> Table:
    title = Text(f"{result.name} on {result.full_track}", style="bold")
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False
    )
    table.add_column("rule", no_wrap=True)
    table.add_column("clause", max_width=12)
    table.add_column("status", no_wrap=True)
    table.add_column("measured", overflow="fold", ratio=3)
    table.add_column("limit", overflow="fold", ratio=2)
    for judged, outcome, why in result.rows:
        if outcome is None:
            table.add_row(
                Text(judged.rule_id), Text(judged.rule.clause), Text("no result", style="yellow"), Text(why), ""
            )
        else:
            status = Text(WORDS[outcome.status], style=STYLES[outcome.status])
            table.add_row(
                Text(judged.rule_id), Text(judged.rule.clause), status, Text(outcome.measured), Text(outcome.limit)
            )
    return table


def _verdict(console: Console, result: TrackResult, verbose: bool) -> None:
    verdict = result.verdict
    style = {VerdictWord.COMPLIANT: "bold green", VerdictWord.NON_COMPLIANT: "bold red"}.get(
        verdict.word, "bold yellow"
    )
    console.print()
    console.print(Text.assemble(f"{result.name} on {result.full_track}: ", (str(verdict.word), style)))
    for rule in verdict.failed:
        message = next(outcome.message for judged, outcome, _ in result.rows if outcome and judged.rule_id == rule)
        _say(console, f"  - {rule} is broken: {message}")
    # Rules that are open for one and the same reason are named together, with the reason once.
    reasons: dict[tuple[str, str], list[str]] = {}
    for rule, why, remedy in verdict.open:
        reasons.setdefault((why, remedy), []).append(rule)
    for (why, remedy), rules in reasons.items():
        stop = "" if why.endswith((".", "!", "?")) else "."
        _say(console, f"  - {', '.join(rules)} not decided: {why}{stop} {remedy}")
    notes = [(judged.rule_id, note) for judged, outcome, _ in result.rows if outcome for note in outcome.notes]
    notes += [
        (judged.rule_id, outcome.message)
        for judged, outcome, _ in result.rows
        if outcome and verbose and outcome.status is Status.NOT_APPLICABLE
    ]
    for rule, note in notes:
        _say(console, f"  - {rule}, note: {note}")
    console.print()


def _say(console: Console, text: str) -> None:
    head = text[: len(text) - len(text.lstrip(" -"))]
    for line in paragraph(head, text[len(head) :], console.width - 1):
        console.print(Text(line))
