"""What the page shows of each analysis: a row for each panel, and for the figures at the top.

The page itself names no analysis: it goes through these tables, and the modules that they name read facts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.reports.page import accuracy_panel, cost, interface, latency


class Panel(NamedTuple):
    """A part of a submission's page.

    Attributes
    ----------
    name
        Of its anchor.
    title
        Its heading.
    content
        From the facts, and the (rulebook, track) that are at hand, to what its template shows; None for nothing.
    template
        In ``templates/``; it is given itself as ``panel``.
    """

    name: str
    title: str
    content: Callable[[Facts, list[tuple[Rulebook, str]]], object | None]
    template: str


class ShownPanel(NamedTuple):
    """A panel with what it shows; ``key`` is where the page has it."""

    key: str
    title: str
    template: str
    content: object


#: In the order of the page.
PANELS: tuple[Panel, ...] = (
    Panel("accuracy", "Accuracy", accuracy_panel.content, "accuracy.html.jinja"),
    Panel("time", "Inference time", latency.content, "latency.html.jinja"),
    Panel("flops", "Arithmetic", cost.content, "flops.html.jinja"),
)
#: From facts to figures as (name, value), which stand below the verdict.
FIGURES: tuple[Callable[[Facts], list[tuple[str, str]]], ...] = (interface.figures, cost.figures)
#: Columns of the overview: heading, and from facts to the text and the number to sort by, None where there is none.
COLUMNS: tuple[tuple[str, Callable[[Facts], tuple[str, float] | None]], ...] = (("FLOPs", cost.column),)


def panels_of(key: str, facts: Facts, at_hand: list[tuple[Rulebook, str]]) -> tuple[ShownPanel, ...]:
    """Return the panels that have something to show; ``key`` is the submission's."""
    contents = ((panel, panel.content(facts, at_hand)) for panel in PANELS)
    return tuple(
        ShownPanel(f"{key}{panel.name}", panel.title, panel.template, content)
        for panel, content in contents
        if content is not None
    )
