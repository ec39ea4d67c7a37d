"""Who handed in whose network, in words: the same on the terminal, the page and in the table. Pure."""

from __future__ import annotations

from pytest_facechallenge.auditing.document import Audit, KnownMatch, Related
from pytest_facechallenge.fingerprints.relation import Relation

_COPIES = "made from one network, and not declared to be one organization's"
_LOOK = "to be looked at"
_OWN = "made from one network by one organization, as declared"
_KNOWN = "alike to a published network (evidence, and no proof)"
_NOT = "compared by bytes and weights alone"


def alike_in_words(audit: Audit) -> list[tuple[str, list[str]]]:
    """Return headings with their lines; nothing where there is nothing to say."""
    names = {entry.path: entry.name for entry in audit.entries}
    copies = [each for each in audit.related if not each.own and each.relation is Relation.COPY]
    look = [each for each in audit.related if not each.own and each.relation is not Relation.COPY]
    own = [each for each in audit.related if each.own]
    found = [
        (_COPIES, [_pair(each, names) for each in copies]),
        (_LOOK, [_pair(each, names) for each in look]),
        (_OWN, [_pair(each, names) for each in own]),
        (_KNOWN, [_published(each, names) for each in audit.known]),
        (_NOT, [f"{names[each.path]}: {each.why}" for each in audit.not_compared]),
    ]
    return [(heading, lines) for heading, lines in found if lines]


def related_to(audit: Audit, path: str) -> list[str]:
    """Return what an entry is related to, and how."""
    names = {entry.path: entry.name for entry in audit.entries}
    found = []
    for each in audit.related:
        if path in (each.one, each.other):
            word = "own work" if each.own else str(each.relation)
            found.append(f"{names[each.other if each.one == path else each.one]} ({word}: {each.how})")
    found += [f"{each.network} (published, {each.relation}: {each.how})" for each in audit.known if each.path == path]
    return found


def _pair(pair: Related, names: dict[str, str]) -> str:
    who = pair.organizations
    one, other = (
        f"{names[path]} ({organization or 'organization not declared'})"
        for path, organization in zip((pair.one, pair.other), who, strict=True)
    )
    if pair.own:
        return f"{names[pair.one]} and {names[pair.other]} ({who[0]}): {pair.how}"
    return f"{one} and {other}: {pair.how}"


def _published(match: KnownMatch, names: dict[str, str]) -> str:
    word = "" if match.relation is Relation.COPY else ", to be looked at"
    return f"{names[match.path]}: {match.network}{word}: {match.how}"
