"""The report as one self-contained HTML page."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pytest_facechallenge.engine.report import Report
from pytest_facechallenge.reports.once import once
from pytest_facechallenge.reports.page.books import books_of
from pytest_facechallenge.reports.page.faces import faces_of
from pytest_facechallenge.reports.page.replay import judge_again, replay
from pytest_facechallenge.reports.page.rules import rule_texts
from pytest_facechallenge.reports.page.submissions import overview, submission_view
from pytest_facechallenge.reports.page.wording import visible

PAGE = Path(__file__).with_name("page")


def render(report: Report, *, images: bool | None = None) -> bytes:
    """Return the page.

    Parameters
    ----------
    images
        Whether to show the images of the hardest pairs; None: as the report's options say. For a report that somebody
        else wrote say it here, as its options and paths are theirs.

    Raises
    ------
    ReportError
        Facts that do not have the shape that this version knows.
    """
    report = once(report)
    books = books_of(report)
    views = [submission_view(f"s{number}", each, books) for number, each in enumerate(report.submissions, 1)]
    if images is None:
        images = report.options.get("html-images") is True
    style, script = _text("page.css"), _text("page.js")
    page = _templates().get_template("page.html.jinja")
    return page.render(
        report=report,
        views=views,
        overview=overview(report, views),
        texts=rule_texts(report),
        # Several submissions are judged by the same rules: the page says them once.
        shared=len(views) > 1,
        faces=faces_of(each.as_facts() for each in report.submissions) if images else {},
        replay=replay(report),
        judge_again=judge_again(report),
        # Our own text, without anything of a report's in it.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        style_hash=_hash(style),
        script_hash=_hash(script),
    ).encode()


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(PAGE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_shown,
    )
    templates.globals["number_of"] = len
    return templates


def _shown(value: Any) -> Any:
    """Return what is written for a value: no text of a report reaches the page with invisible characters in it."""
    if isinstance(value, Markup):
        return value
    return visible(str(value))


@cache
def _text(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return the hash by which the page's policy allows exactly this style sheet or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
