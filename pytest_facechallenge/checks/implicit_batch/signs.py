"""What an observation means for a rule, and the outcome that follows from all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pytest_facechallenge.checks.implicit_batch.limits import LIMITS
from pytest_facechallenge.core.facts.flops import FlopsFacts
from pytest_facechallenge.core.facts.implicit_batch import ImplicitBatchFacts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, passed, undecided

if TYPE_CHECKING:
    from pytest_facechallenge.core.facts.base import Facts
    from pytest_facechallenge.core.rulebook import Rule


class Weight(StrEnum):
    """How much a sign counts."""

    PROOF = "proof"
    """The rule is broken."""
    UNSURE = "unsure"
    """It is not clear."""
    REMARK = "remark"
    """It changes nothing."""
    GAP = "gap"
    """Something was not seen, so silence is no answer."""


@dataclass(frozen=True)
class Sign:
    """One thing that speaks against the model, or keeps from speaking for it.

    Attributes
    ----------
    where
        The layers; "" for a gap.
    what
        In words.
    """

    weight: Weight
    where: str
    what: str


def decide(facts: Facts, signs: Iterable[Sign], what: str, remedy: str, rule: Rule) -> Outcome:
    """Return the outcome that follows from all signs.

    Parameters
    ----------
    what
        What the rule excludes, as it stands in the message.
    """
    known = facts.need(ImplicitBatchFacts)
    signs = list(dict.fromkeys([*signs, *_not_followed(known, facts.get(FlopsFacts))]))
    proofs, unsure, remarks, gaps = ([sign for sign in signs if sign.weight is weight] for weight in Weight)
    evidence = tuple(Evidence(where=sign.where, what=sign.what) for sign in [*proofs, *unsure])
    notes = tuple(f"{sign.where}: {sign.what}" for sign in remarks)
    clause = f" ({rule.clause})" if getattr(rule, "clause", "") else ""
    if proofs:
        message = f"Found {what}{clause}: {proofs[0].where}: {proofs[0].what}."
        if len(proofs) > 1:
            message += f" {len(proofs) - 1} more finding(s) agree."
        # What is remarked beside a proof (a small layer that runs twice as well) would only hide it.
        return failed(message, remedy=remedy, measured=f"{len(proofs)} finding(s)", evidence=evidence)
    if unsure or gaps:
        reasons = [f"{sign.where}: {sign.what}" for sign in unsure] + [sign.what for sign in gaps]
        return undecided(
            f"Whether there is {what} is not clear{clause}: " + "; ".join(reasons) + ".",
            remedy="What would decide it: " + remedy, evidence=evidence, notes=notes,
        )  # fmt: skip
    branches = f", {len(known.branches)} ways through its conditions" if len(known.branches) > 1 else ""
    return passed(
        f"{known.layers} layers with weights followed{branches}; no sign of {what}.",
        measured=f"{known.layers} layers followed",
        notes=notes,
    )


def _not_followed(known: ImplicitBatchFacts, cost: FlopsFacts | None) -> list[Sign]:
    """Say what keeps silence from being an answer: work in forms that are not followed as layers with weights."""
    if known.layers == 0:
        return [Sign(Weight.GAP, "", "no layer with weights was found that could be followed")]
    if cost is not None and known.macs < LIMITS.followed * cost.macs:
        share = known.macs / cost.macs
        text = f"only {share:.0%} of the {cost.macs:,} multiply-adds are in layers that can be followed"
        return [Sign(Weight.GAP, "", text)]
    return []
