"""Which entries are related, to each other and to published networks, and who handed them in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_facechallenge.auditing.document import EntryRow, KnownMatch, NotCompared, Related
from pytest_facechallenge.auditing.groups import Groups
from pytest_facechallenge.checks.across import same_name
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.facts.fingerprint import FingerprintFacts, WeightFingerprintFacts
from pytest_facechallenge.fingerprints.compare import Pair, Subject, related
from pytest_facechallenge.fingerprints.known import KnownNetwork, builtin_networks, matches
from pytest_facechallenge.fingerprints.relation import Relation, how

#: The steps whose facts entries are compared by.
STEPS = (DeclarationFacts.step, WeightFingerprintFacts.step, FingerprintFacts.step)
_SAME_FILE = "the same file, byte for byte"


@dataclass(frozen=True)
class Duplicates:
    """What comparing all entries gave; see the fields of the same names of `Audit`."""

    related: tuple[Related, ...]
    known: tuple[KnownMatch, ...]
    not_compared: tuple[NotCompared, ...]


def found(
    entries: Sequence[EntryRow],
    facts: Sequence[Facts],
    identical: Iterable[tuple[str, ...]],
    networks: Sequence[KnownNetwork] | None = None,
) -> Duplicates:
    """Compare entries with each other and with published networks.

    Parameters
    ----------
    entries, facts
        In one order.
    identical
        Groups of paths of entries that are the same byte for byte.
    networks
        Those that come with the package where None is given.
    """
    subjects = [subject_of(each) for each in facts]
    places = {entry.path: place for place, entry in enumerate(entries)}
    same_files = [
        Pair(places[group[0]], places[other], 1.0, 0, 0) for group in identical for other in group[1:]
    ]  # the same bytes say more than any number
    alike = [pair for pair in related(subjects) if entries[pair.one].sha256 != entries[pair.other].sha256]
    pairs = [_named(pair, entries, facts, _SAME_FILE) for pair in _forest(same_files)]
    pairs += [_named(pair, entries, facts) for pair in _forest(alike, same_files)]
    published = builtin_networks() if networks is None else networks
    return Duplicates(
        related=tuple(sorted(pairs, key=lambda pair: (pair.own, pair.relation is not Relation.COPY))),
        known=tuple(
            KnownMatch(
                path=entry.path,
                network=match.network.name,
                relation=match.pair.relation,
                how=match.how,
                likeness=match.pair.likeness,
                same_layers=match.pair.same_layers,
                layers=match.pair.layers,
            )
            for entry, subject in zip(entries, subjects, strict=True)
            for match in matches(subject, published)
        ),
        not_compared=tuple(
            NotCompared(path=entry.path, why=why)
            for entry, subject, each in zip(entries, subjects, facts, strict=True)
            if (why := why_not(subject, each))
        ),
    )


def subject_of(facts: Facts) -> Subject:
    """Return what a network is compared by."""
    return Subject(facts.get(WeightFingerprintFacts), facts.get(FingerprintFacts))


def why_not(subject: Subject, facts: Facts) -> str:
    """Return why a network cannot be compared by what it does; "" where it can."""
    if subject.telling is not None:
        return ""
    found = subject.behaviour
    if found is None:
        failure = facts.failures.get(FingerprintFacts.step)
        return failure.message if failure is not None else "it was not run"
    return found.trouble or (
        f"its embeddings of the images spread in {found.dimensions:.1f} directions, too few to tell networks apart"
    )


def _forest(pairs: Iterable[Pair], joined: Iterable[Pair] = ()) -> list[Pair]:
    """Return as few of the pairs as connect what they connect, the first ones; ``joined`` are connected already."""
    groups = Groups((pair.one, pair.other) for pair in joined)
    return [pair for pair in pairs if groups.join(pair.one, pair.other)]


def _named(pair: Pair, entries: Sequence[EntryRow], facts: Sequence[Facts], words: str = "") -> Related:
    organizations = _organization(facts[pair.one]), _organization(facts[pair.other])
    own = bool(organizations[0]) and same_name(organizations[0]) == same_name(organizations[1])
    return Related(
        one=entries[pair.one].path,
        other=entries[pair.other].path,
        relation=Relation.COPY if words else pair.relation,
        how=words or how(pair.likeness, pair.same_layers, pair.layers),
        likeness=pair.likeness,
        same_layers=pair.same_layers,
        layers=pair.layers,
        organizations=organizations,
        own=own,
    )


def _organization(facts: Facts) -> str:
    declared = facts.get(DeclarationFacts)
    return declared.statements.get("organization.name", "").strip() if declared is not None else ""
