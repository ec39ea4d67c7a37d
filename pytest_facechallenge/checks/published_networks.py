"""Published networks that a submission is alike to, as evidence: a fingerprint proves nothing by itself."""

from __future__ import annotations

from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.fingerprint import FingerprintFacts, WeightFingerprintFacts
from pytest_facechallenge.core.outcome import Evidence
from pytest_facechallenge.fingerprints.relation import Relation

_MEANING = {
    Relation.COPY: "as alike as a copy of it, or what was trained on from it; people have to look",
    Relation.UNDECIDED: "more alike than networks of independent work are; people have to look",
}


def known_networks(facts: Facts) -> tuple[Evidence, ...]:
    """Return what the fingerprints say of published networks: nothing where there are none, as audits make them."""
    weights, behaviour = facts.get(WeightFingerprintFacts), facts.get(FingerprintFacts)
    if weights is None and behaviour is None:
        return ()
    # numpy: not loaded by whoever only lists or explains rules.
    from pytest_facechallenge.fingerprints.compare import Subject
    from pytest_facechallenge.fingerprints.known import builtin_networks, matches

    return tuple(
        Evidence(
            where=f"the published network {match.network.name}",
            what=f"{match.how}: {_MEANING[match.pair.relation]}",
        )
        for match in matches(Subject(weights, behaviour), builtin_networks())
    )
