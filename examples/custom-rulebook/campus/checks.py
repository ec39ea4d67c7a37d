"""A check of your own: a pure function of facts and rule, with the four headings that `facechallenge explain` shows."""

from __future__ import annotations

from pytest_facechallenge import Evidence, Facts, Outcome, Rule, check, failed, passed
from pytest_facechallenge.core.facts.interface import InterfaceFacts


@check(InterfaceFacts, parameters=("allowed",))
def only_operators(facts: Facts, rule: Rule) -> Outcome:
    """Judge which operators the model uses.

    What:
        Every operator of the graph must be one that the target's chip has.

    Why:
        An operator that the chip lacks runs on the slow main processor, or not at all.

    How it is measured:
        The operators of the graph and its subgraphs, local functions inlined, against the rulebook's list.

    How to fix:
        Replace the layer by one that exports to the allowed operators.
    """
    allowed = set(rule.parameters["allowed"])
    used = facts.need(InterfaceFacts).operators
    strange = {name: count for name, count in used.items() if name not in allowed}
    measured = f"{len(used)} kinds of operators"
    if strange:
        return failed(
            f"The model uses operators that are not allowed: {', '.join(strange)}.",
            remedy=f"Use only {', '.join(sorted(allowed))}.",
            measured=measured,
            limit=f"{len(allowed)} allowed",
            evidence=tuple(Evidence(where=name, what=f"{count} times") for name, count in strange.items()),
        )
    return passed("Every operator is allowed.", measured=measured, limit=f"{len(allowed)} allowed")
