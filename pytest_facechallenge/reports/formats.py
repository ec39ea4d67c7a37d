"""The table of report formats that a run can write: a row each. Standard library only, as pytest loads this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from pytest_facechallenge.core.analysis import load
from pytest_facechallenge.core.options import Option, OptionKind

if TYPE_CHECKING:
    from pytest_facechallenge.engine.report import Report


@dataclass(frozen=True)
class ReportFormat:
    """One format.

    Attributes
    ----------
    option
        The option that names the file to write.
    render
        ``module:name`` of the function ``(Report) -> bytes``.
    details
        Options that it reads from the report.
    """

    option: Option
    render: str
    details: tuple[Option, ...] = ()

    def rendered(self, report: Report) -> bytes:
        """Return the content of the file."""
        return cast("bytes", load(self.render)(report))


FORMATS: tuple[ReportFormat, ...] = (
    ReportFormat(
        Option("json", OptionKind.TEXT, "write every fact, outcome and verdict to FILE", "FILE", path=True),
        "reports.json_report:render",
    ),
    ReportFormat(
        Option("html", OptionKind.TEXT, "write a page for people to FILE, complete in itself", "FILE", path=True),
        "reports.html_report:render",
        (
            Option(
                "html-images",
                OptionKind.FLAG,
                "show the images of the hardest pairs on the page; faces are personal data",
            ),
        ),
    ),
    ReportFormat(
        Option("markdown", OptionKind.TEXT, "write verdicts, causes and remedies to FILE", "FILE", path=True),
        "reports.markdown:render",
    ),
)
