"""Which entries look like copies now and did not before, or no longer do. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_facechallenge.auditing.document import Audit, Change, Related
from pytest_facechallenge.auditing.groups import Groups
from pytest_facechallenge.fingerprints.relation import Relation


def relation_changes(before: Audit, now: Audit) -> Iterator[Change]:
    """Yield what is different in who is related to whom, and to which published network.

    An audit names as few pairs of a group as connect it, so which pairs stand there can change though nothing else did.
    What counts is whether two entries are connected: through copies, or at all. What came or went with an entry that
    was removed is not said, since that is.
    """
    then_copies, then_alike = _groups(before.related)
    now_copies, now_alike = _groups(now.related)
    for pair in now.related:
        copy = pair.relation is Relation.COPY
        if copy and not then_copies.connected(pair.one, pair.other):
            earlier = ", and was to be looked at before" if then_alike.connected(pair.one, pair.other) else ""
            yield _change(now, pair, f"now looks like a copy of {{}}{earlier}: {pair.how}")
        elif not copy and not then_alike.connected(pair.one, pair.other):
            yield _change(now, pair, f"is now alike to {{}}, to be looked at: {pair.how}")
    there = {entry.path for entry in now.entries}
    for pair in before.related:
        if not {pair.one, pair.other} <= there:
            continue
        if not now_alike.connected(pair.one, pair.other):
            copy = pair.relation is Relation.COPY
            words = "no longer looks like a copy of" if copy else "is no longer alike to"
            yield _change(now, pair, f"{words} {{}} (it was: {pair.how})")
        elif pair.relation is Relation.COPY and not now_copies.connected(pair.one, pair.other):
            yield _change(
                now, pair, f"no longer looks like a copy of {{}}, and is still to be looked at (it was: {pair.how})"
            )
    yield from _declared(before, now)
    yield from _published(before, now)
    yield from _not_compared(before, now)


def _groups(related: Iterable[Related]) -> tuple[Groups[str], Groups[str]]:
    """Return who is connected through copies, and who at all."""
    pairs = list(related)
    copies = Groups((each.one, each.other) for each in pairs if each.relation is Relation.COPY)
    return copies, Groups((each.one, each.other) for each in pairs)


def _change(now: Audit, pair: Related, words: str) -> Change:
    """Return a change of the first of a pair; ``{}`` in the words is the other."""
    named = f"{now.name_of(pair.other)}{' of the same organization' if pair.own else ''}"
    before, _, after = words.partition("{}")
    return Change(path=pair.one, name=now.name_of(pair.one), what=f"{before}{named}{after}")


def _declared(before: Audit, now: Audit) -> Iterator[Change]:
    """Yield pairs whose declarations now say otherwise whether one organization handed both in."""
    own = {(each.one, each.other): each.own for each in before.related}
    for pair in now.related:
        if own.get((pair.one, pair.other), pair.own) != pair.own:
            said = "now declared to be" if pair.own else "no longer declared to be"
            what = f"{said} of one organization with {now.name_of(pair.other)}, which it is related to"
            yield Change(path=pair.one, name=now.name_of(pair.one), what=what)


def _published(before: Audit, now: Audit) -> Iterator[Change]:
    there = {entry.path for entry in now.entries}
    then = {(each.path, each.network): each for each in before.known}
    found = {(each.path, each.network): each for each in now.known}
    for key, match in found.items():
        if key not in then or then[key].relation is not match.relation:
            words = "now looks like a copy of" if match.relation is Relation.COPY else "is now alike to"
            what = f"{words} the published network {match.network}: {match.how}"
            yield Change(path=match.path, name=now.name_of(match.path), what=what)
    for key, match in then.items():
        if key not in found and match.path in there:
            what = f"is no longer alike to the published network {match.network} (it was: {match.how})"
            yield Change(path=match.path, name=now.name_of(match.path), what=what)


def _not_compared(before: Audit, now: Audit) -> Iterator[Change]:
    """Yield entries whose behaviour can no longer be compared, or can again: a relation may be gone for that alone."""
    there = {entry.path for entry in now.entries}
    known = {entry.path for entry in before.entries}
    then = {each.path for each in before.not_compared}
    found = {each.path for each in now.not_compared}
    for each in now.not_compared:
        if each.path in known - then:
            what = f"is now compared by bytes and weights alone: {each.why}"
            yield Change(path=each.path, name=now.name_of(each.path), what=what)
    for path in sorted((then - found) & there):
        yield Change(path=path, name=now.name_of(path), what="is now compared by what it does as well")
