"""The table of interventions: what is done to the running network before what an observer saw counts.

A new one is a file with a function, a struct in `core.facts.interventions` that holds what it shows, a row here, and
the words and numbers for it in `checks.implicit_batch.confirmation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from pytest_facechallenge.analyses.implicit_batch.decouple import decouple
from pytest_facechallenge.analyses.implicit_batch.exchange import exchange
from pytest_facechallenge.analyses.implicit_batch.opened import OpenedModel
from pytest_facechallenge.analyses.implicit_batch.parts import Hypothesis, Part
from pytest_facechallenge.analyses.implicit_batch.runner import RunError
from pytest_facechallenge.analyses.implicit_batch.thresholds import Thresholds
from pytest_facechallenge.core.facts.implicit_batch import Observation
from pytest_facechallenge.core.facts.interventions import Decoupled, Exchanged, Intervention


@dataclass(frozen=True)
class Row:
    """One intervention.

    Attributes
    ----------
    shows
        The struct of what it shows; its words are those of the documents.
    intervene
        (variant, hypothesis, thresholds) -> what came of it; None where it cannot be done to these parts.
    """

    shows: type[Intervention]
    intervene: Callable[[OpenedModel, Hypothesis, Thresholds], Intervention | None]


#: The first that can be done to a hypothesis is done.
INTERVENTIONS = (Row(Decoupled, decouple), Row(Exchanged, exchange))


def confirm(model: OpenedModel, proposed: Iterable[Hypothesis | Observation], limits: Thresholds) -> list[Observation]:
    """Return what was seen; where it is a hypothesis, with the first intervention that could be done to its parts.

    Parts that several observers name are intervened on once.
    """
    done: dict[tuple[Part, Part], Intervention | None] = {}
    found: list[Observation] = []
    for entry in proposed:
        if not isinstance(entry, Hypothesis):
            found.append(entry)
            continue
        parts = entry.parts
        if parts not in done:
            done[parts] = _first(model, entry, limits)
        found.append(msgspec.structs.replace(entry.observation, intervention=done[parts]))
    return found


def _first(model: OpenedModel, hypothesis: Hypothesis, limits: Thresholds) -> Intervention | None:
    for row in INTERVENTIONS:
        try:
            shown = row.intervene(model, hypothesis, limits)
        except RunError:
            continue  # the check says that nothing could be done
        if shown is not None:
            return shown
    return None
