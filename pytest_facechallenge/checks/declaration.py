"""Checks of what only people can state, read from the declaration file: complete, and in line with the track."""

from __future__ import annotations

import datetime
import re
from pathlib import PurePath
from typing import Annotated

import msgspec

from pytest_facechallenge.checks.published_networks import known_networks
from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, not_applicable, passed, undecided
from pytest_facechallenge.core.rulebook import Rule

WRITE_IT = (
    "Write a template with pytest --facechallenge-write-declaration declaration.toml, fill it in, and keep it beside "
    "the model."
)

#: A moment of a rulebook: with its offset from UTC, or it would be another one for everybody.
BOUNDS = ("opens", "closes")
Moment = Annotated[datetime.datetime, msgspec.Meta(tz=True)]


def _statements(facts: Facts, keys: tuple[str, ...]) -> dict[str, str] | Outcome:
    """Return the statements asked for, or the outcome that says why there are none."""
    found = facts.need(DeclarationFacts)
    if found.problem:
        return failed(
            f"The declaration cannot be used: {found.problem}.",
            remedy="Correct it; pytest --facechallenge-write-declaration FILE writes a template with every key.",
            measured="unusable declaration",
        )
    if not found.path:
        return undecided(
            "There is no declaration.",
            remedy=WRITE_IT,
            measured="no declaration",
            evidence=(
                *(Evidence(where=place, what="no such file") for place in found.looked_for),
                Evidence(where="to be stated", what=", ".join(keys)),
            ),
        )
    missing = [key for key in keys if not found.statements.get(key, "").strip()]
    if missing:
        return undecided(
            f"The declaration does not state {', '.join(missing)}.",
            remedy=f"State it in {PurePath(found.path).name}.",
            measured=f"not stated: {', '.join(missing)}",
        )
    return {key: found.statements[key] for key in keys}


def _of_entry(facts: Facts, keys: tuple[str, ...]) -> dict[str, str] | Outcome:
    """Return the statements that a rule about entries asks for; such a rule does not apply to practice."""
    if facts.need(DeclarationFacts).purpose == "practice":
        return not_applicable("The model is judged for practice, and this rule is about entries.")
    return _statements(facts, keys)


def _evidence(facts: Facts, statements: dict[str, str]) -> tuple[Evidence, ...]:
    path = facts.need(DeclarationFacts).path
    return tuple(Evidence(where=path, what=f"{key} = {value}") for key, value in statements.items())


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


@check(DeclarationFacts, parameters={"datasets": list[str]})
def declared_training_set(facts: Facts, rule: Rule) -> Outcome:
    """Judge the declared training set.

    What:
        The model was trained on the data set of the track and on nothing else.

    Why:
        Tracks compare methods on the same data; which data was used cannot be read from the weights.

    How it is measured:
        The statement training.dataset of the declaration, compared with the names of the track's data set without
        regard to case and punctuation. Nothing verifies the statement here: reproducing the training does.

    How to fix:
        State training.dataset in declaration.toml. If the model was trained on another set, it belongs on another
        track or must be trained again.
    """
    stated = _statements(facts, ("training.dataset",))
    if isinstance(stated, Outcome):
        return stated
    names = [str(name) for name in rule.parameters.get("datasets") or []]
    value = stated["training.dataset"]
    limit = names[0] if names else ""
    if _plain(value) in {_plain(name) for name in names}:
        return passed(f"Declared: trained on {value}.", measured=value, limit=limit, evidence=_evidence(facts, stated))
    return failed(
        f"The declaration says that the model was trained on {value!r}; this track demands {limit}.",
        remedy=f"Train on {limit}, or submit to the track of your data set. Accepted names: {', '.join(names)}.",
        measured=value,
        limit=limit,
        evidence=_evidence(facts, stated),
    )


@check(DeclarationFacts)
def declared_mask_augmentation(facts: Facts, rule: Rule) -> Outcome:
    """Judge the declared mask augmentation.

    What:
        Mask augmentation is allowed when its tool is reproducible.

    Why:
        Others must be able to make the same training data again.

    How it is measured:
        The statement mask_augmentation.used; when it is true, mask_augmentation.tool and mask_augmentation.reproduce
        (a version, a command, a seed) must be stated too.

    How to fix:
        State the tool and how to reproduce what it made in declaration.toml.
    """
    used = _statements(facts, ("mask_augmentation.used",))
    if isinstance(used, Outcome):
        return used
    if used["mask_augmentation.used"] == "false":
        return passed("Declared: no mask augmentation.", measured="not used", evidence=_evidence(facts, used))
    stated = _statements(facts, ("mask_augmentation.used", "mask_augmentation.tool", "mask_augmentation.reproduce"))
    if isinstance(stated, Outcome):
        return stated
    return passed(
        f"Declared: masks made with {stated['mask_augmentation.tool']}, reproducible as stated.",
        measured=stated["mask_augmentation.tool"],
        limit="reproducible",
        evidence=_evidence(facts, stated),
    )


@check(DeclarationFacts)
def declared_no_external_data(facts: Facts, rule: Rule) -> Outcome:
    """Judge the declaration that no other data or model was used.

    What:
        No data set but the track's own, and no pretrained model.

    Why:
        Both bring in identities or knowledge that other participants do not have.

    How it is measured:
        The statements training.external_data and training.pretrained_models must both be false. An audit also compares
        the network with published ones (rules/known-networks.toml): one that it is alike to stands among the evidence
        for people to look at, and decides nothing.

    How to fix:
        Train from random weights on the track's data set alone, and state it.
    """
    outcome = _no_external_data(facts)
    known = known_networks(facts)
    return msgspec.structs.replace(outcome, evidence=(*outcome.evidence, *known))


def _no_external_data(facts: Facts) -> Outcome:
    stated = _statements(facts, ("training.external_data", "training.pretrained_models"))
    if isinstance(stated, Outcome):
        return stated
    used = [key for key, value in stated.items() if value != "false"]
    if used:
        return failed(
            f"According to the declaration, {' and '.join(used)} hold; both are prohibited.",
            remedy="Train from random weights on the track's data set alone.",
            measured=", ".join(used),
            limit="neither",
            evidence=_evidence(facts, stated),
        )
    return passed(
        "Declared: no external data, no pretrained model.",
        measured="neither",
        limit="neither",
        evidence=_evidence(facts, stated),
    )


@check(DeclarationFacts)
def declared_reproducible_solution(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether the solution and its code are provided.

    What:
        Top-ranked participants provide their solution and code.

    Why:
        The organisers repeat the training to make sure that the result is valid.

    How it is measured:
        The statements solution.description and solution.code must be there.

    How to fix:
        Say in declaration.toml where the description and the code can be found.
    """
    stated = _statements(facts, ("solution.description", "solution.code"))
    if isinstance(stated, Outcome):
        return stated
    return passed(
        "Declared: solution and code are provided.", measured=stated["solution.code"], evidence=_evidence(facts, stated)
    )


@check(DeclarationFacts, limit="needed")
def declared_submissions_per_day(facts: Facts, rule: Rule) -> Outcome:
    """Judge the number of submissions on one day.

    What:
        A participant may submit a limited number of times a day. The rule is about entries: it does not apply to a
        declaration whose purpose is practice.

    Why:
        Many submissions would tune a model to the hidden testset.

    How it is measured:
        The statement submission.number_that_day (1 for the first of the day), compared with the limit.

    How to fix:
        Wait for the next day.
    """
    stated = _of_entry(facts, ("submission.number_that_day",))
    if isinstance(stated, Outcome):
        return stated
    number = int(stated["submission.number_that_day"])
    measured = f"number {number} of the day"
    if number < 1:
        return failed(
            f"submission.number_that_day counts from 1, found {number}.",
            remedy="State 1 for the first of the day.",
            measured=measured,
            limit=rule.limit_text(),
            evidence=_evidence(facts, stated),
        )
    if rule.within(number):
        return passed(
            f"Declared: submission {measured}.",
            measured=measured,
            limit=rule.limit_text(),
            evidence=_evidence(facts, stated),
        )
    return failed(
        f"This is declared to be submission {measured}; {rule.limit} are allowed.",
        remedy="Submit it on another day.",
        measured=measured,
        limit=rule.limit_text(),
        evidence=_evidence(facts, stated),
    )


@check(DeclarationFacts)
def declared_organization(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether the organization is named.

    What:
        Participants sign up with the name of their real organization (it may be hidden on the leaderboard). The rule is
        about entries: it does not apply to a declaration whose purpose is practice.

    Why:
        The limit of submissions holds for each participant; several made-up names would get around it.

    How it is measured:
        The statement organization.name must be there. Whether it is real, only people can tell.

    How to fix:
        State organization.name in declaration.toml.
    """
    stated = _of_entry(facts, ("organization.name",))
    if isinstance(stated, Outcome):
        return stated
    return passed(
        f"Declared: {stated['organization.name']}.",
        measured=stated["organization.name"],
        evidence=_evidence(facts, stated),
    )


@check(DeclarationFacts, parameters=dict.fromkeys(BOUNDS, Moment))
def declared_submission_window(facts: Facts, rule: Rule) -> Outcome:
    """Judge the time of the submission.

    What:
        A submission counts when it was made between the opening and the closing of the leaderboard. The rule is about
        entries: it does not apply to a declaration whose purpose is practice.

    Why:
        Later submissions could use what the leaderboard taught.

    How it is measured:
        The statement submission.time, with its UTC offset, against the rulebook's opening and closing times.

    How to fix:
        State submission.time as an offset date-time (2021-09-30T18:00:00+08:00). A late model cannot be ranked.
    """
    stated = _of_entry(facts, ("submission.time",))
    if isinstance(stated, Outcome):
        return stated
    when = datetime.datetime.fromisoformat(stated["submission.time"])
    limit = " to ".join(str(rule.parameters.get(side, "any time")) for side in BOUNDS)
    if when.tzinfo is None:
        return undecided(
            f"submission.time = {when} has no UTC offset, so the moment is not known.",
            remedy="Write it as 2021-09-30T18:00:00+08:00.",
            measured=str(when),
            limit=limit,
        )
    early, late = (
        side in rule.parameters and datetime.datetime.fromisoformat(str(rule.parameters[side])) for side in BOUNDS
    )
    if (not early or early <= when) and (not late or when <= late):
        return passed(
            f"Declared: submitted at {when}.", measured=str(when), limit=limit, evidence=_evidence(facts, stated)
        )
    side = "before the opening" if early and when < early else "after the closing"
    return failed(
        f"The submission was made {side} of the leaderboard: {when}.",
        remedy=(
            'Submit within the window; a late model cannot be ranked. To try a model out, state purpose = "practice".'
        ),
        measured=str(when),
        limit=limit,
        evidence=_evidence(facts, stated),
    )
