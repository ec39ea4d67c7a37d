"""Three entries a day, counted over all declarations: what lies beyond is broken, what cannot be told is undecided."""

from __future__ import annotations

from pytest_facechallenge.checks.across import entries_a_day
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.outcome import Outcome
from pytest_facechallenge.engine.extensions import load_checks, load_rulebooks

load_checks()
RULE = next(rule for rule in load_rulebooks(())["mfr21"].rules_of("A") if rule.check == "declared_submissions_per_day")


def declared(organization: str, time: str, number: int = 1, purpose: str = "entry") -> Facts:
    """Return the facts of a declaration."""
    statements = {
        "purpose": purpose,
        "organization.name": organization,
        "submission.time": time,
        "submission.number_that_day": str(number),
    }
    return Facts.of(DeclarationFacts(path="d.toml", looked_for=(), statements=statements))


def judged(**entries: Facts) -> dict[str, Outcome]:
    """Judge the entries together."""
    return entries_a_day(entries, RULE)


def test_three_entries_a_day_are_nothing_to_talk_about() -> None:
    day = {f"e{hour}": declared("Acme", f"2021-07-01T{hour:02}:00:00+08:00", hour) for hour in (1, 2, 3)}
    assert judged(**day, next=declared("Acme", "2021-07-02T00:00:00+08:00")) == {}


def test_the_fourth_by_time_is_broken_whatever_it_states() -> None:
    times = {"d": "09", "a": "01", "c": "07", "b": "05"}
    day = {
        name: declared("Acme", f"2021-07-01T{hour}:00:00+00:00", number)
        for number, (name, hour) in enumerate(times.items(), 1)
    }
    found = judged(**day)
    assert {name: outcome.status for name, outcome in found.items()} == {"d": "failed"}
    assert "entry 4 of 'acme' on 2021-07-01" in found["d"].message
    assert found["d"].measured == "4 entries that day"
    assert "a, b, c" in found["d"].evidence[0].what


def test_names_are_one_organization_whatever_their_case_and_blanks() -> None:
    day = [
        declared(name, f"2021-07-01T0{hour}:00:00+00:00", hour)
        for hour, name in enumerate(("Acme  Lab", "ACME LAB", " acme lab", "Acme Lab"), 1)
    ]
    assert list(judged(a=day[0], b=day[1], c=day[2], d=day[3])) == ["d"]


def test_which_of_several_at_one_time_came_first_is_undecided() -> None:
    day = [declared("Acme", "2021-07-01T01:00:00+00:00", number) for number in range(1, 5)]
    found = judged(a=day[0], b=day[1], c=day[2], d=day[3])
    assert {outcome.status for outcome in found.values()} == {"undecided"}
    assert len(found) == 4


def test_two_entries_of_one_number_contradict_each_other() -> None:
    found = judged(
        a=declared("Acme", "2021-07-01T01:00:00+00:00", 2),
        b=declared("Acme", "2021-07-01T02:00:00+00:00", 2),
        c=declared("Acme", "2021-07-01T03:00:00+00:00", 3),
    )
    assert {name: outcome.status for name, outcome in found.items()} == {"a": "undecided", "b": "undecided"}


def test_practice_and_what_is_not_stated_do_not_count() -> None:
    day = {f"e{hour}": declared("Acme", f"2021-07-01T0{hour}:00:00+00:00", hour) for hour in (1, 2, 3)}
    assert judged(**day, x=declared("Acme", "2021-07-01T09:00:00+00:00", purpose="practice")) == {}
    assert judged(**day, x=declared("", "2021-07-01T09:00:00+00:00")) == {}
    assert judged(**day, x=declared("Acme", "")) == {}
    assert judged(**day, x=Facts()) == {}
