"""The table of the second count, as data."""

from __future__ import annotations

from pytest_facechallenge.analyses.flops_crosscheck.options import CrosscheckOptions
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.flops import CrosscheckFacts
from pytest_facechallenge.core.tables import NamedTable


def asked_for(facts: Facts, options: CrosscheckOptions) -> list[NamedTable]:
    """Return the table of both counts where the user asked for the second."""
    found = facts.get(CrosscheckFacts)
    return [crosscheck(found)] if options.requested and found is not None else []


def crosscheck(found: CrosscheckFacts) -> NamedTable:
    """Return the table of ``--facechallenge-flops-crosscheck``: multiply-accumulates by kind of work."""
    headings = ["kind of work", "ours", "fvcore on the submission"]
    if found.module_factory:
        headings.append(f"fvcore on {found.module_factory}")
    rows = []
    for group in found.groups:
        row = [group.group, _number(group.ours), _number(group.submission)]
        rows.append(tuple(row + ([_number(group.module)] if found.module_factory else [])))
    trouble = [text for text in (found.problem, found.module_problem) if text]
    title = "MACs of one image" + (f", {found.version}" if found.version else "")
    return NamedTable(title=title, headings=tuple(headings), rows=tuple(rows), below=(*trouble, *found.explanations))


def _number(value: int | None) -> str:
    return "not counted" if value is None else f"{value:,}"
