"""The panel of accuracy: how images were fed, the published baselines, and a card for each set."""

from __future__ import annotations

from typing import NamedTuple

from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.rulebook import Rulebook
from pytest_facechallenge.reports.page.accuracy import SetCard, set_cards
from pytest_facechallenge.reports.page.baselines import Comparison, compare


class AccuracyView(NamedTuple):
    """What was measured on testsets, ready to show; ``fed`` says how images were fed."""

    fed: str
    comparisons: tuple[Comparison, ...]
    sets: tuple[SetCard, ...]


def content(facts: Facts, at_hand: list[tuple[Rulebook, str]]) -> AccuracyView | None:
    """Return what the page says about accuracy; None where nothing was measured."""
    measured = facts.get(AccuracyFacts)
    if measured is None or not measured.sets:
        return None
    comparisons = (compare(measured, book, track) for book, track in at_hand)
    return AccuracyView(_fed(measured), tuple(each for each in comparisons if each), tuple(set_cards(measured)))


def _fed(measured: AccuracyFacts) -> str:
    said = f"Pixels were fed as (pixel − {measured.mean:g}) / {measured.std:g}, RGB ({measured.preprocessing_source})"
    if any(result.raw for result in measured.sets):
        said += ", or as they are where a track asks for that"
    return f"{said}, to {measured.runtime} with {measured.provider}."
