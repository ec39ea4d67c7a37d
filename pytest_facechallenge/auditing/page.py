"""An audit as one self-contained HTML page: a ranking for each track, and links to the pages of the entries."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pytest_facechallenge.auditing.document import Audit, BaselineRow, Line, Standing
from pytest_facechallenge.auditing.wording import alike_in_words, interval, over_the_next
from pytest_facechallenge.fingerprints.relation import ALIKE_BEHAVIOUR, SAME_BEHAVIOUR
from pytest_facechallenge.reports.page.rules import VERDICTS
from pytest_facechallenge.reports.page.wording import visible

_HERE = Path(__file__).parent
_SHARED = _HERE.parent / "reports" / "page"


class PageRow(NamedTuple):
    """A line of a table; ``state`` is its class in the style sheet, ``score`` sorts it (None: last)."""

    name: str
    report: str
    place: str
    verdict: str
    state: str
    sign: str
    score_text: str
    score: float | None
    share: str
    size: str
    flops: str
    time: str
    why: str
    interval: str
    over: str


def render(audit: Audit) -> bytes:
    """Return the page."""
    style, script = (_SHARED / "page.css").read_text("utf-8"), (_SHARED / "page.js").read_text("utf-8")
    return (
        _templates()
        .get_template("leaderboard.html.jinja")
        .render(
            audit=audit,
            tables=[(track, _rows(audit, track), bool(audit.neighbours_of(track))) for track in audit.tracks],
            alike=alike_in_words(audit),
            undecided=ALIKE_BEHAVIOUR,
            copy=SAME_BEHAVIOUR,
            # Our own text, without anything of an entry's in it.
            style=Markup(style),  # noqa: S704
            script=Markup(script),  # noqa: S704
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
        .encode()
    )


def _rows(audit: Audit, track: str) -> list[PageRow]:
    over = {pair.better: over_the_next(audit, pair) for pair in audit.neighbours_of(track)}
    return [_row(line, over) for line in audit.lines_of(track)]


def _row(line: Line, over: Mapping[str, str]) -> PageRow:
    if isinstance(line, BaselineRow):
        score = float(Fraction(line.score))
        return PageRow(line.name, "", "", "published", "none", "·", line.score_text, score, *[""] * 7)
    entry, row = line
    state, sign = VERDICTS[row.verdict]
    return PageRow(
        name=entry.name,
        report=entry.report,
        place=f"{row.place}{'=' if row.tied else ''}" if row.place else "",
        verdict=f"{row.verdict} (practice)" if row.standing is Standing.PRACTICE else str(row.verdict),
        state=state,
        sign=sign,
        score_text=row.score_text,
        score=float(Fraction(row.score)) if row.score else None,
        share=f"{100 * row.share:.3g} %" if row.share else "",
        size=row.size,
        flops=row.flops,
        time=row.time,
        why=row.why,
        interval=interval(row),
        over=over.get(entry.path, ""),
    )


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader([_HERE / "templates", _SHARED / "templates"]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_shown,
    )


def _shown(value: Any) -> Any:
    """Return what is written for a value: no invisible character of a stranger's text reaches the page."""
    return value if isinstance(value, Markup) else visible(str(value))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
