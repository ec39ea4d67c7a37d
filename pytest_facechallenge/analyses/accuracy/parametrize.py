"""The tests that the accuracy rule becomes: one for each testset, set and operating point. Used at collection time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pytest_facechallenge.analyses.accuracy.request import (
    AccuracyRequest,
    Point,
    SetRequest,
    TestsetRequest,
    TestsetSpec,
)
from pytest_facechallenge.analyses.accuracy.set_matching import plan_sets
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.rulebook import Rule, Rulebook
from pytest_facechallenge.core.set_names import feeds_raw, find_sets, is_own, sets_of_track
from pytest_facechallenge.testsets.reader import recognise

#: Names of the checks whose rules are expanded here.
ACCURACY, RANKING, FEATURES = "accuracy", "ranking_score", "feature_score"
#: What a threshold for the ranking score is called, in rulebooks and on the command line.
RANKING_NAME = "ranking-score"
#: The case of an LFW-like list's cross-validated accuracy, beside its operating points.
FOLDS = "10-fold"


class ThresholdError(ValueError):
    """A ``--facechallenge-min-tar`` that cannot be used; the message lists what is possible."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One test of the accuracy rule.

    Attributes
    ----------
    testset, set, official
        As in `facts.accuracy.SetResult`; ``testset`` is empty when a threshold was set and no testset serves the set.
    far, comparison
        The operating point; ``far`` is empty for the cross-validated accuracy.
    threshold
        The least TAR (0..1), the name of a baseline row, or None to measure only.
    protocol, select, flipped, raw
        What is compared and how the images are embedded; see `request.SetRequest`. With testset and set they tell
        which result the case is about.
    """

    testset: str
    set: str
    official: bool
    protocol: str = ""
    select: dict[str, tuple[str, ...]] = {}
    far: str = ""
    comparison: str = ""
    threshold: float | str | None = None
    flipped: bool = False
    raw: bool = False

    @property
    def point(self) -> str:
        """The operating point in a few words, "1e-4"."""
        return self.far or FOLDS


def parse_min_tar(texts: Iterable[str], books: Mapping[str, Rulebook]) -> dict[str, float | str]:
    """Read ``NAME=VALUE`` thresholds: a TAR between 0 and 1, or the name of a baseline row of one of the rulebooks.

    Raises
    ------
    ThresholdError
        The text is not of that form, the number is out of range, or no row has the name.
    """
    rows = sorted({row.name for book in books.values() for row in book.baselines})
    found: dict[str, float | str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise ThresholdError(f"expected NAME=VALUE for a least TAR, such as mask=0.60, found {text!r}")
        try:
            number = float(value)
        except ValueError:
            if value not in rows:
                known = "; ".join(rows) or "none"
                raise ThresholdError(
                    f"{text!r}: expected a TAR between 0 and 1 or the name of a baseline row; rows: {known}"
                ) from None
            found[name] = value
        else:
            if not 0 <= number <= 1:
                raise ThresholdError(f"{text!r}: a TAR lies between 0 and 1; write 60 % as 0.60")
            found[name] = number
    return found


def expand_cases(
    rule: Rule,
    book: Rulebook,
    specs: Sequence[TestsetSpec],
    min_tar: Mapping[str, float | str] | None = None,
    facts: AccuracyFacts | None = None,
) -> list[Rule]:
    """Return the rule once for each test it becomes, with ``case``, ``level`` and ``parameters`` set.

    Rules of other checks come back as they are. Reads first lines and group columns of manifests, no image.

    Parameters
    ----------
    specs
        The testsets given on the command line.
    min_tar
        `parse_min_tar`'s result. It takes precedence over the rulebook's thresholds.
    facts
        Given instead of ``specs`` when a saved report is judged: the cases are those that were measured.

    Returns
    -------
    list of Rule
        A case with a threshold is a rule, one without is a measurement. Without testsets and thresholds the rule
        comes back once, without a case.

    Raises
    ------
    TestsetError
        A path holds no testset of a known kind.
    ThresholdError
        A threshold names nothing that is measured; the message lists the names.
    """
    thresholds = dict(min_tar or {})
    if rule.check in (RANKING, FEATURES):
        return [_with_threshold(rule, book, thresholds)]
    if rule.check != ACCURACY:
        return [rule]
    measured = _from_facts(facts, rule, book) if facts is not None else _from_specs(rule, book, specs)
    own = dict(book.tracks[rule.track].accuracy)
    ids = _case_ids(measured)
    cases: dict[str, Case] = {}
    for case, name in zip(measured, ids, strict=True):
        threshold = _threshold_of(case, name, thresholds, book)
        if threshold is None and case.official:
            threshold = own.get(case.set)
        cases[name] = msgspec.structs.replace(case, threshold=threshold)
    served = {case.set for case in measured if case.official}
    _add_unserved(cases, rule, book, {**own, **_by_set(thresholds, book)}, served)
    if not cases:
        return [rule]
    return [_ruled(rule, name, case) for name, case in cases.items()]


def check_names(min_tar: Mapping[str, float | str], rules: Sequence[Rule], books: Iterable[Rulebook]) -> None:
    """Make sure that every threshold names a set, a testset or a case of the expanded ``rules``.

    Raises
    ------
    ThresholdError
        One does not; the message lists what can be named.
    """
    known = {RANKING_NAME}
    for book in books:
        known |= set(book.sets)
    for rule in rules:
        if rule.check == ACCURACY and rule.case:
            known |= {rule.case, str(rule.parameters["set"]), str(rule.parameters["testset"])}
    for name in min_tar:
        if name not in known and not any(find_sets(book, name) for book in books):
            raise ThresholdError(
                f"--facechallenge-min-tar {name}=…: nothing of that name is measured; "
                f"names: {', '.join(sorted(known - {''}))}"
            )


def build_request(
    tracks: Sequence[tuple[Rulebook, Rule]], specs: Sequence[TestsetSpec], **settings: Any
) -> AccuracyRequest:
    """Merge what several tracks want of the testsets into one request, so that each testset is embedded once.

    Parameters
    ----------
    tracks
        The accuracy rule of each judged track, with its rulebook.
    settings
        The other fields of `AccuracyRequest`.
    """
    testsets = []
    for spec in specs:
        sets: dict[bytes, SetRequest] = {}
        for book, rule in tracks:
            for wanted in plan_sets(book, rule.track, spec, flip=_flips(rule), raw=feeds_raw(book, rule.track)):
                key = msgspec.json.encode(msgspec.structs.replace(wanted, points=()))
                known = sets.get(key)
                points = (*known.points, *wanted.points) if known else wanted.points
                sets[key] = msgspec.structs.replace(wanted, points=tuple(dict.fromkeys(points)))
        testsets.append(TestsetRequest(name=spec.label, path=spec.path, sets=tuple(sets.values())))
    return AccuracyRequest(testsets=tuple(testsets), **settings)


def feature_points(book: Rulebook, track: str) -> tuple[Point, ...]:
    """Return the operating points at which a track scores a feature file: those of its own sets."""
    return tuple(dict.fromkeys(Point(table.far, table.comparison) for table in sets_of_track(book, track).values()))


def _flips(rule: Rule) -> list[str]:
    return list(rule.parameters.get("flip") or ())


def _from_specs(rule: Rule, book: Rulebook, specs: Sequence[TestsetSpec]) -> list[Case]:
    cases = []
    for spec in specs:
        for wanted in plan_sets(book, rule.track, spec, flip=_flips(rule), raw=feeds_raw(book, rule.track)):
            base = Case(
                testset=spec.label,
                set=wanted.name,
                official=wanted.official,
                protocol=wanted.protocol,
                select=wanted.select,
                flipped=wanted.flip,
                raw=wanted.raw,
            )
            cases += _points(base, wanted.points, folds=wanted.protocol == "pairs" and _has_folds(spec))
    return cases


def _has_folds(spec: TestsetSpec) -> bool:
    return recognise(Path(spec.path))[0] in ("InsightFace bin", "LFW pairs")


def _from_facts(facts: AccuracyFacts, rule: Rule, book: Rulebook) -> list[Case]:
    """Return the cases of a saved report: of sets that the track has, at the track's own operating points.

    What is none of the track's sets is measured at the points that it was measured at; results that belong to another
    track of the report alone (a set of another rulebook, or one fed in another way) are none of this track's business.
    """
    raw = feeds_raw(book, rule.track)
    cases = []
    for result in facts.sets:
        points = tuple(Point(point.far, "<" if point.comparison == "<" else "<=") for point in result.points)
        if result.official and is_own(result, book, rule.track):
            points = (Point(book.sets[result.set].far, book.sets[result.set].comparison),)
        elif result.official or result.raw != raw:
            continue
        base = Case(
            testset=result.testset,
            set=result.set,
            official=result.official,
            protocol=result.protocol,
            select=result.select,
            flipped=result.flip,
            raw=result.raw,
        )
        cases += _points(base, points, folds=result.folds is not None)
    return cases


def _points(base: Case, points: tuple[Point, ...], *, folds: bool) -> list[Case]:
    cases = [msgspec.structs.replace(base, far=point.far, comparison=point.comparison) for point in points]
    return [base, *cases] if folds else cases


def _case_ids(cases: Sequence[Case]) -> list[str]:
    """Give each case the shortest id that tells it from the others: "mask", "faces@1e-4", "mask:second@1e-4"."""
    forms: tuple[Callable[[Case], str], ...] = (
        lambda case: case.set,
        lambda case: f"{case.set}@{case.point}",
        lambda case: f"{case.set}:{case.testset}",
        lambda case: f"{case.set}:{case.testset}@{case.point}",
    )
    ids = []
    for case in cases:
        for form in forms if case.official else (forms[1], forms[3]):
            text = form(case)
            if sum(form(other) == text for other in cases) == 1:
                break
        ids.append(re.sub(r"[^\w.@:+-]+", "-", text))
    for at, text in enumerate(ids):  # two testsets given under one name
        if text in ids[:at]:
            ids[at] = f"{text}#{at + 1}"
    return ids


def _threshold_of(case: Case, name: str, thresholds: Mapping[str, float | str], book: Rulebook) -> float | str | None:
    """Return the command line's threshold for a case: by its id, else by set and point, set, or testset."""
    for key in (name, f"{case.set}@{case.point}", f"{case.testset}@{case.point}"):
        if key in thresholds:
            return thresholds[key]
    if case.official:
        if case.set in thresholds:
            return thresholds[case.set]
        return next((value for key, value in thresholds.items() if case.set in find_sets(book, key)), None)
    return thresholds.get(case.set, thresholds.get(case.testset))


def _by_set(thresholds: Mapping[str, float | str], book: Rulebook) -> dict[str, float | str]:
    return {found: value for name, value in thresholds.items() for found in find_sets(book, name)}


def _add_unserved(
    cases: dict[str, Case], rule: Rule, book: Rulebook, thresholds: Mapping[str, float | str], served: set[str]
) -> None:
    """Add a case for each threshold whose set no testset serves: it is undecided, not forgotten."""
    own = sets_of_track(book, rule.track)
    for name, threshold in thresholds.items():
        if name in own and name not in served:
            table = own[name]
            cases[name] = Case(
                testset="", set=name, official=True, far=table.far, comparison=table.comparison, threshold=threshold
            )


def _ruled(rule: Rule, name: str, case: Case) -> Rule:
    level = rule.level if case.threshold is None or rule.level == "note" else "rule"
    if case.threshold is None and rule.level == "rule":
        level = "measurement"
    return msgspec.structs.replace(
        rule, case=name, level=level, parameters={**rule.parameters, **msgspec.to_builtins(case)}
    )


def _with_threshold(rule: Rule, book: Rulebook, thresholds: Mapping[str, float | str]) -> Rule:
    """Give the ranking score and the feature file's score their threshold."""
    own = book.tracks[rule.track].accuracy
    threshold: float | str | None
    if rule.check == RANKING:
        threshold = thresholds.get(RANKING_NAME, own.get(RANKING_NAME))
        # Where a single set ranks, its own threshold says nothing about this rule: the set has its own test.
    else:
        sets = sets_of_track(book, rule.track)
        threshold = next((value for name, value in _by_set(thresholds, book).items() if name in sets), None)
        threshold = threshold if threshold is not None else next((own[name] for name in sets if name in own), None)
    level = "rule" if threshold is not None and rule.level != "note" else rule.level
    if threshold is None and rule.level == "rule":
        level = "measurement"
    return msgspec.structs.replace(rule, level=level, parameters={**rule.parameters, "threshold": threshold})
