"""Rules that one entry alone cannot show: judged over all entries of an audit. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from pytest_facechallenge.core.facts.base import Facts, StepFacts
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, undecided
from pytest_facechallenge.core.rulebook import Rule

#: Other entries that a finding names.
_NAMED = 5


@dataclass(frozen=True)
class AcrossCheck:
    """A check over all entries.

    Attributes
    ----------
    check
        The check of single entries that it adds to: rules that use that one are judged here as well.
    needs
        The facts that it reads.
    judge
        ``(facts by entry, rule) -> outcomes`` of the entries that have something to be said of.
    """

    check: str
    needs: tuple[type[StepFacts], ...]
    judge: Callable[[Mapping[str, Facts], Rule], dict[str, Outcome]]


def entries_a_day(entries: Mapping[str, Facts], rule: Rule) -> dict[str, Outcome]:
    """Judge how many entries an organization made on one day, by all declarations together.

    The day is that of the time as it is stated, with its own offset. Entries beyond the limit, in the order of their
    times, break the rule; which of several at one time was first nobody can tell, so these are undecided. Two entries
    that state the same number of one day are undecided, too: one of the declarations is wrong.
    """
    days: dict[tuple[str, datetime.date], list[tuple[datetime.datetime, str, str]]] = {}
    for name, facts in entries.items():
        stated = _stated(facts)
        if stated is not None:
            organization, time, number = stated
            days.setdefault((organization, time.date()), []).append((time, name, number))
    found: dict[str, Outcome] = {}
    for (organization, day), made in days.items():
        found |= _of_day(organization, day, made, rule)
    return found


def _of_day(
    organization: str, day: datetime.date, made: list[tuple[datetime.datetime, str, str]], rule: Rule
) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    limit = int(rule.limit) if isinstance(rule.limit, (int, float)) else len(made)
    instants = sorted(_instant(time) for time, _, _ in made)
    for time, name, number in made:
        others = sorted(other for _, other, _ in made if other != name)
        before = sum(each < _instant(time) for each in instants)
        at_once = sum(each == _instant(time) for each in instants)
        evidence = (
            Evidence(
                where=day.isoformat(), what=f"{len(made)} entries of {organization!r}: this one, {_listed(others)}"
            ),
        )
        same = sorted(other for _, other, its in made if other != name and its == number)
        outcome = None
        if before >= limit:
            outcome = failed(
                f"It is entry {before + 1} of {organization!r} on {day}, by the declarations of all entries; {limit} "
                "are allowed.",
                remedy="Submit it on another day.",
            )
        elif before + at_once > limit:
            outcome = undecided(
                f"{at_once} entries of {organization!r} state one time on {day}, and only {limit - before} of them are "
                "allowed.",
                remedy="Ask the organization for the order of its entries, or take it from the server's record.",
            )
        elif same:
            outcome = undecided(
                f"It is declared to be entry {number} of {organization!r} on {day}, and so is {_listed(same)}.",
                remedy="Correct submission.number_that_day in one of the declarations.",
            )
        if outcome is not None:
            found[name] = msgspec.structs.replace(
                outcome, measured=f"{len(made)} entries that day", limit=rule.limit_text(), evidence=evidence
            )
    return found


def _stated(facts: Facts) -> tuple[str, datetime.datetime, str] | None:
    """Return organization, time and number of an entry; None where one is missing or it is made for practice."""
    found = facts.get(DeclarationFacts)
    if found is None or found.purpose == "practice":
        return None
    said = found.statements
    organization = same_name(said.get("organization.name", ""))
    try:
        time = datetime.datetime.fromisoformat(said.get("submission.time", ""))
    except ValueError:
        return None
    return (organization, time, said.get("submission.number_that_day", "")) if organization else None


def same_name(organization: str) -> str:
    """Return the name of an organization without regard to case and blanks."""
    return " ".join(organization.casefold().split())


def _instant(time: datetime.datetime) -> datetime.datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=datetime.UTC)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


ACROSS: tuple[AcrossCheck, ...] = (AcrossCheck("declared_submissions_per_day", (DeclarationFacts,), entries_a_day),)
