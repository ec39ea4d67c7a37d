"""The tables that a user can ask for beside the summary: layers by FLOPs, the second count of FLOPs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pytest_facechallenge.analyses.flops import tables as flops_tables
from pytest_facechallenge.core.facts.flops import CrosscheckFacts, FlopsFacts
from pytest_facechallenge.reports.terminal import NamedTable

if TYPE_CHECKING:
    from pytest_facechallenge.core.facts.base import Facts
    from pytest_facechallenge.engine.session import ChallengeSession


def tables(session: ChallengeSession) -> Iterator[NamedTable]:
    """Yield the tables asked for, for every submission whose facts hold what they show."""
    for name, facts in session.recorded_facts():
        yield from _flops(session, name, facts)


def _flops(session: ChallengeSession, name: str, facts: Facts) -> Iterator[NamedTable]:
    cost, crosscheck = facts.get(FlopsFacts), facts.get(CrosscheckFacts)
    if session.settings.flag("flops-by-layer") and cost is not None:
        yield _named(name, flops_tables.layers(cost), numbers_from=2)
    if session.settings.text("flops-crosscheck") and crosscheck is not None:
        yield _named(name, flops_tables.crosscheck(crosscheck), numbers_from=1)


def _named(name: str, table: flops_tables.Table, *, numbers_from: int) -> NamedTable:
    return NamedTable(
        title=f"{name}: {table.title}",
        headings=table.headings,
        rows=table.rows,
        numbers_from=numbers_from,
        below=table.below,
    )
