"""What a testset's result says about a threshold: the result that is meant, its operating point, and the outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pytest_facechallenge.checks.scores import (
    Threshold,
    exact,
    exact_tar,
    excluded_words,
    judge_score,
    not_comparable,
    pairs_short,
    percent,
    point_evidence,
    point_notes,
    published_pairs,
    unusable,
    with_interval,
)
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts, PointResult, SetResult
from pytest_facechallenge.core.outcome import Evidence, Outcome, undecided
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.set_names import is_own

OWN_TESTSET = "Only the challenge's own testset (same identities and images) decides a threshold taken from its table."


def find_result(measured: AccuracyFacts, wanted: dict[str, Any]) -> SetResult | None:
    """Return the result that a case is about; names alone do not tell, since rulebooks may share them."""
    keys = tuple(wanted.get(key, False) for key in ("testset", "set", "protocol", "flipped", "raw"))
    select = _selection(wanted.get("select") or {})
    return next(
        (
            result
            for result in measured.sets
            if (result.testset, result.set, result.protocol, result.flip, result.raw) == keys
            and _selection(result.select) == select
        ),
        None,
    )


def _selection(select: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {column: tuple(values) for column, values in select.items()}


def official_results(measured: AccuracyFacts, name: str, rule: Rule) -> list[SetResult]:
    """Return the results of a set of the rule's own rulebook."""
    return [result for result in measured.sets if result.set == name and is_own(result, rule.book, rule.track)]


def official_point(
    results: list[SetResult], rule: Rule, name: str, threshold: Threshold | None
) -> tuple[SetResult, PointResult] | Outcome:
    """Return the one result of a set at the challenge's operating point, or the outcome that says why not."""
    if len(results) > 1:
        return undecided(
            f"Several testsets serve {name!r}: {', '.join(result.testset for result in results)}.",
            remedy="Supply one testset for each set.",
            limit="" if threshold is None else threshold.words,
        )
    point = point_of(results[0], rule.book.sets[name].far, rule.book.sets[name].comparison)
    outcome = undecidable(results[0], point, threshold)
    if outcome is not None:
        return msgspec.structs.replace(outcome, measured="")  # one set's TAR is not the score
    if point is None:
        return undecided("There is no such operating point.", remedy="Run again with this rulebook.")
    return results[0], point


def point_of(result: SetResult, far: str, comparison: str) -> PointResult | None:
    """Return the result at an operating point; None where it was not measured."""
    return next((point for point in result.points if (point.far, point.comparison) == (far, comparison)), None)


def undecidable(result: SetResult, point: PointResult | None, threshold: Threshold | None) -> Outcome | None:
    """Return the outcome for an operating point that the supplied pairs cannot decide, or None when they can."""
    limit = "" if threshold is None else threshold.words
    if (outcome := unusable(result, limit)) is not None:
        return outcome
    if point is None:
        return undecided(
            f"{result.set!r} was not measured at this rulebook's operating point.",
            remedy="Run again with this rulebook and testset.",
            limit=limit,
        )
    if point.undecided or point.tar is None:
        return undecided(
            f"TAR on {result.set!r} at FAR {point.comparison} {point.far} cannot be decided: "
            f"{point.undecided or 'there are no genuine or no impostor pairs'}",
            remedy=f"Supply a testset with at least {point.impostor_pairs_needed:,} impostor pairs, better "
            f"{point.impostor_pairs_for_rule_of_30:,} (30/FAR), and genuine pairs.",
            measured=pairs_short(result, point),
            limit=limit,
            notes=point_notes(result, point),
            evidence=point_evidence(result, point),
        )
    if threshold is not None and (left_out := excluded_words(result)):
        return undecided(
            f"TAR on {result.set!r} is {percent(point.tar)}, but not of the whole testset: {left_out}.",
            remedy="Repair the images that the rule on the testset's images lists; they are not re-sampled.",
            measured=with_interval(point),
            limit=limit,
            notes=point_notes(result, point),
            evidence=point_evidence(result, point),
        )
    return None


def judge_point(result: SetResult, point: PointResult, threshold: Threshold | None, rule: Rule) -> Outcome:
    """Return the outcome of TAR at an operating point against a threshold, None for a rule that only measures."""
    if (outcome := undecidable(result, point, threshold)) is not None:
        return outcome
    assert point.tar is not None  # noqa: S101 - `undecidable` refused it
    notes = point_notes(result, point)
    if left_out := excluded_words(result):
        notes += (f"{left_out[0].upper()}{left_out[1:]}.",)
    evidence = point_evidence(result, point) + published_pairs(result, rule.book)
    reasons = not_comparable(result, rule.book)
    if reasons and any(result.set in row.tar for row in rule.book.baselines):
        notes += (f"Not comparable with the published figures: {'; '.join(reasons)}.",)
    if threshold is not None and threshold.published and reasons:
        return undecided(
            f"TAR on {result.set!r} is {percent(point.tar)}, but it is not comparable with {threshold.words}: "
            f"{'; '.join(reasons)}.",
            remedy=OWN_TESTSET,
            measured=with_interval(point),
            limit=threshold.words,
            notes=notes,
            evidence=evidence,
        )
    what = f"TAR on {result.set!r} at FAR {point.comparison} {point.far}"
    return judge_score(exact_tar(point), threshold, what, notes=notes, evidence=evidence, shown=with_interval(point))


def judge_folds(result: SetResult, threshold: Threshold | None, rule: Rule) -> Outcome:
    """Return the outcome of the cross-validated accuracy against a threshold, None for a rule that only measures."""
    limit = "" if threshold is None else threshold.words
    if result.folds is None:
        return undecided(
            f"{result.set!r} has no cross-validated accuracy: its pairs are not in equal folds.",
            remedy="Supply a list whose pairs are in 10 folds, as LFW's.",
            limit=limit,
        )
    if threshold is not None and ((left_out := excluded_words(result)) or threshold.published):
        return undecided(
            f"The accuracy on {result.set!r} is {percent(result.folds.mean)}, which this threshold does not decide: "
            + (f"{left_out}." if left_out else "the published rows have TARs and no such accuracy."),
            remedy="Repair the images that the rule on the testset's images lists."
            if left_out
            else "Give the threshold as a number.",
            measured=percent(result.folds.mean),
            limit=limit,
        )
    note = f"Standard deviation over {len(result.folds.accuracies)} folds: {percent(result.folds.deviation)}."
    return judge_score(
        exact(round(result.folds.mean, 12)),  # the mean of ten floats is not exact in its last digits
        threshold,
        f"The cross-validated accuracy on {result.set!r} ({rule.case})",
        notes=(note,),
        evidence=(Evidence(where=result.testset, what=f"{result.folds.pairs:,} listed pairs"),),
    )
