"""Several reports as one: the submissions of all of them, for views that compare entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_facechallenge.engine.arguments import short_names
from pytest_facechallenge.engine.report import Environment, Report, ReportError, RulebookReference

#: What a run was asked to write says nothing about another's verdicts.
_JUDGED = "model"


def combined(reports: Mapping[str, Report]) -> Report:
    """Return one report with the submissions of all.

    Every submission keeps its facts, digest and verdicts. What the runs do not share is told as a warning, never
    dropped without a word.

    Parameters
    ----------
    reports
        By the name that messages call them by; at least one.

    Raises
    ------
    ReportError
        Two of them were judged under rulebooks of one name that do not say the same: their verdicts cannot stand in
        one table.
    """
    each = list(reports.values())
    if len(each) == 1:
        return each[0]
    submissions = [submission for report in each for submission in report.submissions]
    names = short_names([submission.path for submission in submissions])
    renamed = [msgspec.structs.replace(one, name=name) for one, name in zip(submissions, names, strict=True)]
    return msgspec.structs.replace(
        each[0],
        date=max(report.date for report in each),
        options=_options([report.options for report in each]),
        rulebooks=_rulebooks(reports),
        environment=_environment(reports),
        submissions=tuple(renamed),
    )


def _rulebooks(reports: Mapping[str, Report]) -> tuple[RulebookReference, ...]:
    found: dict[str, tuple[str, RulebookReference]] = {}
    for name, report in reports.items():
        for reference in report.rulebooks:
            first, known = found.setdefault(reference.id, (name, reference))
            if known.digest != reference.digest:
                raise ReportError(
                    f"{first} and {name} were judged under two rulebooks {reference.id!r} that do not say the same "
                    f"(versions {known.version} and {reference.version}); judge the facts of both under one of them: "
                    f"pytest --facechallenge-facts {first} --facechallenge-facts {name} --track NAME"
                )
    return tuple(reference for _, reference in found.values())


def _options(given: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what every run was asked for alike, and all that was judged."""
    shared = {name: value for name, value in given[0].items() if all(each.get(name) == value for each in given)}
    models = [model for each in given for model in each.get(_JUDGED, ())]
    return shared | ({_JUDGED: list(dict.fromkeys(models))} if models else {})


def _environment(reports: Mapping[str, Report]) -> Environment:
    """Return the first run's environment, with the warnings of all and what differs elsewhere."""
    names, found = list(reports), [report.environment for report in reports.values()]
    first = found[0]
    warnings = list(dict.fromkeys(warning for each in found for warning in each.warnings))
    for name, other in zip(names[1:], found[1:], strict=True):
        differs = [
            field
            for field in Environment.__struct_fields__
            if field != "warnings" and getattr(other, field) != getattr(first, field)
        ]
        if differs:
            warnings.append(
                f"{name} was made in another environment than {names[0]}, whose is shown: another {', '.join(differs)}"
            )
    if len({msgspec.json.encode(_asked(report), order="sorted") for report in reports.values()}) > 1:
        warnings.append("the runs were asked for different things; what is shown is what they were all asked for")
    return msgspec.structs.replace(first, warnings=tuple(warnings))


def _asked(report: Report) -> dict[str, Any]:
    return {name: value for name, value in report.options.items() if name != _JUDGED}
