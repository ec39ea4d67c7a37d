"""Who handed in whose network, and who differs from whom, in words: the same in every view. Pure."""

from __future__ import annotations

from fractions import Fraction

from pytest_facechallenge.auditing.document import Audit, KnownMatch, Neighbours, Related, TrackRow
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


def interval(row: TrackRow) -> str:
    """Return the 95 % interval of a score, "62.101 to 65.502 %"; "" where there is none."""
    return "" if row.low is None or row.high is None else _between(row.low, row.high)


def neighbours_in_words(audit: Audit, track: str) -> list[str]:
    """Return a sentence for every two ranked entries of a track that follow each other."""
    rows = {entry.path: (entry, row) for entry, row in audit.rows_of(track)}
    found = []
    for pair in audit.neighbours_of(track):
        one, other = (
            f"{row.place} {entry.name}{f' ({interval(row)})' if interval(row) else ''}"
            for entry, row in (rows[pair.better], rows[pair.worse])
        )
        found.append(f"{one} over {other}: {over_the_next(audit, pair)}")
    return found


def over_the_next(audit: Audit, pair: Neighbours) -> str:
    """Return by how much the better of two neighbours is better, and whether that is more than chance."""
    by = f"{100 * float(Fraction(pair.difference)):.3f} %"
    if pair.low is None or pair.high is None:
        return f"by {by}; cannot be judged: {pair.why_not}"
    return f"by {by} ({_between(pair.low, pair.high)}), {significance(audit, pair)}"


def significance(audit: Audit, pair: Neighbours) -> str:
    """Return whether two neighbours differ by more than chance, with p values."""
    if pair.p is None or pair.p_together is None:
        return "cannot be judged"
    judged = sum(each.p is not None for each in audit.neighbours_of(pair.track))
    together = f"; {_p(pair.p_together)} among {judged} comparisons" if judged > 1 else ""
    if pair.significant_together:
        return f"significant ({_p(pair.p)}{together})"
    if pair.significant:
        return f"significant by itself alone ({_p(pair.p)}{together})"
    return f"within chance ({_p(pair.p)})"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _between(low: float, high: float) -> str:
    return f"{100 * low:.3f} to {100 * high:.3f} %"


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
