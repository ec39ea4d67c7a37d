"""How text is to be shown: columns, colours, what the console's encoding has, how much the user wants to read."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from rich import box
from rich.console import Console, RenderableType
from rich.text import Text

from pytest_facechallenge.core.outcome import Status, VerdictWord
from pytest_facechallenge.core.text import clean
from pytest_facechallenge.engine.report import Report, SubmissionReport, TrackReport
from pytest_facechallenge.reports.once import once
from pytest_facechallenge.reports.wrapping import spelt

VERDICT_STYLES = {
    VerdictWord.COMPLIANT: "bold green",
    VerdictWord.NON_COMPLIANT: "bold red",
    VerdictWord.INCOMPLETE: "bold yellow",
}
STATUS_STYLES = {
    Status.PASSED: "green",
    Status.FAILED: "bold red",
    Status.UNDECIDED: "yellow",
    Status.NOT_APPLICABLE: "dim",
}
#: The narrowest screen that anything is fitted to, and the widest lines that are still read with ease.
LEAST_WIDTH, MOST_WIDTH = 60, 140
#: The most characters of one text of a report.
MOST_TEXT = 20_000


@dataclass(frozen=True)
class View:
    """What a console can show.

    Attributes
    ----------
    width
        Columns; used are at least 60 and at most 140.
    colour
        Whether escape sequences for colours may be written.
    encoding
        Of the console.
    verbosity
        As pytest counts: 1 for -v, -1 for -q.
    strict
        Whether every verdict has to be COMPLIANT.
    links
        Whether words may be links (see `hyperlinks.shows_links`); where they may not, addresses are spelt out.
    """

    width: int = 80
    colour: bool = False
    encoding: str = "utf-8"
    verbosity: int = 0
    strict: bool = False
    links: bool = False

    @property
    def columns(self) -> int:
        """The columns that are used."""
        return max(LEAST_WIDTH, min(self.width, MOST_WIDTH))

    @property
    def more(self) -> str:
        """What marks that something was left out."""
        return self.spell("…")

    @property
    def head_box(self) -> box.Box:
        """The lines of a table: one under the headings."""
        return box.SIMPLE_HEAD if self.spell("─") == "─" else box.ASCII_DOUBLE_HEAD

    def spell(self, text: str) -> str:
        """Return ``text`` as the console can show it."""
        return spelt(text, self.encoding)

    def paint(self, parts: Iterable[RenderableType]) -> str:
        """Return lines and tables as text that ends in a line break; nothing is wrapped any more."""
        stream = io.StringIO()
        console = Console(
            file=stream,
            width=self.columns,
            force_terminal=self.colour,
            force_jupyter=False,
            color_system="standard" if self.colour else None,
            no_color=not self.colour,
            highlight=False,
            markup=False,
            emoji=False,
            legacy_windows=False,
        )
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, (str, Text)))
        return "".join(f"{self.spell(line.rstrip())}\n" for line in stream.getvalue().split("\n")[:-1])

    def prepared(self, report: Report) -> Report:
        """Return the report with every text once, on one line, harmless, and spelt as the console can show it.

        The facts are left out: no view on the terminal shows them but by numbers.
        """
        return msgspec.structs.replace(report, submissions=tuple(map(self._submission, once(report).submissions)))

    def _submission(self, submission: SubmissionReport) -> SubmissionReport:
        tracks = msgspec.convert(self._walk(msgspec.to_builtins(submission.tracks)), tuple[TrackReport, ...])
        return msgspec.structs.replace(
            submission, name=self._walk(submission.name), path=self._walk(submission.path), tracks=tracks
        )

    def _walk(self, plain: object) -> object:
        if isinstance(plain, str):
            return self.spell(clean(" ".join(plain.split()), MOST_TEXT))
        if isinstance(plain, (list, tuple)):
            return [self._walk(item) for item in plain]
        if isinstance(plain, dict):
            return {key: self._walk(value) for key, value in plain.items()}
        return plain
