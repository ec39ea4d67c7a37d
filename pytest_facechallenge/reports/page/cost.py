"""What one image costs: FLOPs by layer and by kind."""

from __future__ import annotations

from typing import NamedTuple

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.flops import FlopsFacts
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.reports.page.wording import count, flops

#: Layers that are listed one by one; the rest is summed up.
SHOWN_LAYERS = 15


class Bar(NamedTuple):
    """A row with a bar: ``share`` of the whole, 0..1."""

    name: str
    about: str
    detail: str
    value: str
    share: float


class FlopsView(NamedTuple):
    """FLOPs, ready to show: figures as (name, value), then bars, then sentences."""

    figures: tuple[tuple[str, str], ...]
    kinds: tuple[Bar, ...]
    layers: tuple[Bar, ...]
    rest: str
    remarks: tuple[str, ...]


def figures(facts: Facts) -> list[tuple[str, str]]:
    """Return FLOPs and parameters as (name, value)."""
    counted = facts.get(FlopsFacts)
    return [] if counted is None else [("FLOPs", flops(counted.low)), ("parameters", count(counted.parameters))]


def column(facts: Facts) -> tuple[str, float] | None:
    """Return the FLOPs of one image as text and number; None where nothing was counted."""
    counted = facts.get(FlopsFacts)
    return None if counted is None else (flops(counted.low), counted.low)


def content(facts: Facts, _at_hand: list[tuple[Rulebook, str]]) -> FlopsView | None:
    """Return what the page says about arithmetic; None where nothing was counted."""
    counted = facts.get(FlopsFacts)
    return None if counted is None else flops_view(counted)


def flops_view(facts: FlopsFacts) -> FlopsView:
    """Return what the page says about arithmetic."""
    total = max(1, facts.low)
    figures = [
        ("for one image", f"{flops(facts.low)}" + (f" to {flops(facts.high)}" if facts.high != facts.low else "")),
        ("organisers' counter, literally", flops(facts.literal)),
        ("multiply-accumulates", count(facts.macs)),
        ("parameters", count(facts.parameters)),
        ("input", facts.image),
    ]
    shown, rest = facts.layers[:SHOWN_LAYERS], facts.layers[SHOWN_LAYERS:]
    remarks = [*facts.problems, *facts.assumed, *facts.remarks]
    if facts.uncounted:
        first = facts.uncounted[0]
        remarks.append(
            f"{count(len(facts.uncounted))} nodes could not be counted, so the figures are lower bounds; the first is "
            f"{first.node} ({first.op}): {first.why}"
        )
    if facts.unused:
        remarks.append(f"{count(len(facts.unused))} nodes reach no output and are not in the figures.")
    return FlopsView(
        figures=tuple(figures),
        kinds=tuple(Bar(name, "", "", flops(number), _share(number, total)) for name, number in facts.families.items()),
        layers=tuple(
            Bar(layer.node, layer.op, layer.text, flops(layer.low), _share(layer.low, total)) for layer in shown
        ),
        rest=f"and {count(len(rest))} more layers with {flops(sum(layer.low for layer in rest))} together"
        if rest
        else "",
        remarks=tuple(remarks),
    )


def _share(number: int, total: int) -> float:
    return min(1.0, max(0.0, number / total))
