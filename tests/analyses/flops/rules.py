"""A FLOPs rule to judge by."""

from __future__ import annotations

from pathlib import Path

from pytest_facechallenge.core.rulebook import Rule, Rulebook, RuleTable, TrackTable

BOOK = Rulebook(
    schema="facechallenge-rulebook/1",
    id="lfr19",
    title="LFR19",
    version="1",
    date="2019-05-16",
    source=str(Path("lfr19")),
    tracks={"light": TrackTable(title="light")},
    rules={"flops-budget": RuleTable(clause="FLOPs", text="FLOPs<=1024^3", check="flops_budget")},
)


def rule(limit: int | None, *, decimal: int | None = None, free_share: float = 0.1) -> Rule:
    return Rule(
        id="flops-budget",
        track="light",
        book=BOOK,
        check="flops_budget",
        clause="FLOPs",
        text="FLOPs<=1024^3",
        limit=limit,
        unit="FLOPs",
        parameters={"decimal_limit": decimal, "free_share": free_share},
    )
