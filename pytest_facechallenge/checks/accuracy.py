"""Checks of accuracy on supplied testsets: thresholds, the ranking score, the testset itself, the colour order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import msgspec

from pytest_facechallenge.checks.published import place, ranked_baselines, ranking_weights
from pytest_facechallenge.checks.registry import check
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
    resolve_threshold,
    supplied,
    unusable,
    with_interval,
)
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts, PointResult, SetResult, SuppliedTestset
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, not_applicable, passed, undecided
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.set_names import is_own

GIVE_TESTSET = "Give a testset: --facechallenge-testset {name}=PATH."
#: Images of a testset that the summary names; the evidence has more, and the facts still more.
SHOWN_PROBLEMS = 5
OWN_TESTSET = "Only the challenge's own testset (same identities and images) decides a threshold taken from its table."


#: What a rulebook may set for the accuracy rule, and what the cases that it becomes are told.
PARAMETERS = {"flip": list[str]} | dict.fromkeys(
    ("testset", "set", "official", "protocol", "select", "far", "comparison", "threshold", "flipped", "raw"), Any
)


@check(AccuracyFacts, parameters=PARAMETERS)
def accuracy(facts: Facts, rule: Rule) -> Outcome:
    """Judge the accuracy on one set of a supplied testset, at one operating point.

    What:
        The true accept rate (TAR) at the challenge's false accept rate (FAR) on a testset that you supply; for LFW-like
        lists also the cross-validated accuracy.

    Why:
        The challenge ranks by TAR at FAR. A threshold turns "is it good enough to submit" into a test that can fail.

    How it is measured:
        Images are preprocessed as the server does it, embedded in batches, and compared by cosine similarity. A pair
        is accepted when its score is strictly greater than the (K+1)-th largest impostor score, K being the most false
        accepts that the FAR allows in exact arithmetic; float64 decides. Fewer than 1/FAR impostor pairs cannot decide
        a point; below 30/FAR the number carries a warning. A threshold named after a published row is only decided on
        the challenge's own testset, told by its counts of identities and images.

    How to fix:
        Compare the preprocessing shown in the report with your training's, look at the hardest pairs in the report, and
        train longer or on more of the allowed data. Too few impostor pairs: supply more identities.
    """
    wanted = rule.parameters
    if not rule.case:
        return not_applicable("No testset was supplied and no threshold is set, so there is nothing to judge.")
    try:
        threshold = resolve_threshold(wanted.get("threshold"), rule.book, {str(wanted["set"]): 1.0})
    except LookupError as error:
        return undecided(str(error), remedy="Name another row, or give the threshold as a number.")
    limit = "" if threshold is None else threshold.words
    if not wanted["testset"]:
        return undecided(
            f"A threshold is set for {wanted['set']!r}, and no testset for it was supplied.",
            remedy=GIVE_TESTSET.format(name=wanted["set"]),
            limit=limit,
        )
    measured = facts.need(AccuracyFacts)
    result = _find(measured, wanted)
    if result is None:
        about = supplied(measured, str(wanted["testset"]))
        why = about.error if about and about.error else "it was not measured in this run"
        return undecided(
            f"The testset {wanted['testset']!r} gave no result for {wanted['set']!r}: {why}",
            remedy="Solve what the message says, and run again with this testset.",
            measured="no result",
            limit=limit,
        )
    if (outcome := unusable(result, limit)) is not None:
        return outcome
    if not wanted["far"]:
        return _judge_folds(result, threshold, rule)
    point = _point(result, str(wanted["far"]), str(wanted["comparison"]))
    if point is None:
        return undecided(
            f"{result.set!r} was not measured at FAR {wanted['comparison']} {wanted['far']}.",
            remedy="Run again with this rulebook and testset.",
            limit=limit,
        )
    return _judge_point(result, point, threshold, rule)


@check(AccuracyFacts, parameters=("threshold",))
def ranking_score(facts: Facts, rule: Rule) -> Outcome:
    """Compute the score that the challenge ranks by.

    What:
        MFR21: 0.25 * TAR@Mask + 0.75 * TAR@MR-All. Where a track ranks by one set (LFR19), that set's TAR.

    Why:
        This number decides the order of participants.

    How it is measured:
        From the TARs of the supplied testsets at the challenge's operating points (see the rule on accuracy). The place
        among the published baselines is given only when every set is the challenge's own by its counts of identities
        and images; otherwise the score is not comparable, and that is said.

    How to fix:
        Supply the sets that the message names. To rise, see the sets' weights: MR-All counts three times as much as
        Mask.
    """
    weights = ranking_weights(rule.book, rule.track)
    if not weights:
        return not_applicable("This track has no ranking score.")
    names = ", ".join(weights)
    try:
        threshold = resolve_threshold(rule.parameters.get("threshold"), rule.book, weights)
    except LookupError as error:
        return undecided(str(error), remedy="Name another row, or give the threshold as a number.")
    limit = "" if threshold is None else threshold.words
    measured = facts.get(AccuracyFacts) if threshold is None else facts.need(AccuracyFacts)
    results = {name: _official(measured, name, rule) for name in weights} if measured is not None else {}
    missing = [name for name in weights if not results.get(name)]
    if missing:
        message = f"The ranking score needs {names}; no testset for {', '.join(missing)} was supplied."
        if threshold is None:
            return not_applicable(message)
        return undecided(message, remedy=GIVE_TESTSET.format(name=missing[0]), limit=limit)
    points = {name: _official_point(results[name], rule, name, threshold) for name in weights}
    for found in points.values():
        if isinstance(found, Outcome):
            return found
    scored = {name: found for name, found in points.items() if not isinstance(found, Outcome)}
    score = sum((exact(weights[name]) * exact_tar(point) for name, (_result, point) in scored.items()), Fraction(0))
    evidence = tuple(
        Evidence(
            where=name,
            what=f"TAR {percent(exact_tar(point))} at FAR {point.comparison} {point.far}, weight {weights[name]:g}",
        )
        for name, (_result, point) in scored.items()
    )
    notes = [f"{name}: {note}" for name, found in scored.items() for note in point_notes(*found)]
    strangers = [
        f"{name}: {reason}" for name, (result, _point) in scored.items() for reason in not_comparable(result, rule.book)
    ]
    rows = ranked_baselines(rule.book, weights)
    if strangers:
        if rows:
            notes.append(f"Not comparable with the published scores: {'; '.join(strangers)}.")
        if threshold is not None and threshold.published:
            return undecided(
                f"The ranking score is {percent(score)}, but it is not comparable with {threshold.words}: "
                f"{'; '.join(strangers)}.",
                remedy=OWN_TESTSET,
                measured=percent(score),
                limit=limit,
                notes=tuple(notes),
                evidence=evidence,
            )
    elif rows:
        notes.append(f"The score takes {place(float(score), rows)}.")
    return judge_score(score, threshold, "The ranking score", notes=tuple(notes), evidence=evidence)


@check(AccuracyFacts)
def testset_images(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether every image of the supplied testsets could be used as it is.

    What:
        Every image can be read, decodes, and is 112x112.

    Why:
        A score over a part of a testset is another score. Images of another size would have to be re-sampled, which
        is re-alignment and forbidden, so they are left out and listed.

    How it is measured:
        Each image is read and decoded once. Missing, damaged and differently sized ones are listed by path, and the
        sets' counts say how many were left out. Files that are the same byte for byte are listed too; they are compared
        all the same.

    How to fix:
        Repair or replace the listed images; align and crop them to 112x112 with the tool that made the others.
    """
    measured = facts.need(AccuracyFacts)
    if not measured.testsets:
        return not_applicable("No testset was supplied.")
    failures = {testset.name: why for testset in measured.testsets if (why := _failure(measured, testset))}
    wrong = [testset for testset in measured.testsets if testset.problem_count or testset.name in failures]
    notes = tuple(f"{testset.name}: {finding}" for testset in measured.testsets for finding in testset.findings)
    notes += tuple(
        f"{testset.name}: the features of {testset.entries:,} entries were written to {testset.written_features}."
        for testset in measured.testsets
        if testset.written_features
    )
    images = sum(testset.images for testset in measured.testsets)
    count = sum(testset.problem_count for testset in measured.testsets)
    if not wrong:
        return passed(f"All {images:,} images are readable and 112x112.", measured=f"{images:,} usable", notes=notes)
    evidence = [
        Evidence(where=problem.name, what=problem.what) for testset in wrong for problem in testset.problems[:20]
    ]
    evidence += [Evidence(where=name, what=why) for name, why in failures.items()]
    notes += tuple(
        f"{testset.name}: {problem.name} cannot be used: {problem.what}"
        for testset in wrong
        for problem in testset.problems[:SHOWN_PROBLEMS]
    )
    if count > SHOWN_PROBLEMS:
        notes += ("The JSON report lists more of them (--facechallenge-json FILE).",)
    usable = sum(
        testset.images - testset.problem_count for testset in measured.testsets if testset.name not in failures
    )
    said = [f"{count:,} of {images:,} images cannot be used."] if count else []
    said += [
        f"The testset {name!r} cannot be used: {why}{'' if why.endswith('.') else '.'}"
        for name, why in failures.items()
    ]
    return undecided(
        " ".join(said),
        remedy="Repair or replace the listed images; they must be 112x112 and are not re-sampled."
        if count
        else "Solve what the message says, and run again with this testset.",
        measured=f"{usable:,} of {images:,} usable" if images else "0 usable",
        limit="all",
        notes=notes,
        evidence=tuple(evidence),
    )


def _failure(measured: AccuracyFacts, testset: SuppliedTestset) -> str:
    """Say why nothing of a testset could be used; "" where a part of it could."""
    if testset.error:
        return testset.error
    results = [result for result in measured.sets if result.testset == testset.name]
    failed_sets = [result for result in results if result.error and not result.unusable_count]
    if not results or len(failed_sets) < len(results):
        return ""
    return "; ".join(dict.fromkeys(result.error for result in failed_sets))


@check(AccuracyFacts)
def rgb_accuracy(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether the model expects RGB, by its accuracy.

    What:
        The model expects its channels in the order red, green, blue.

    Why:
        The server feeds RGB. A model that was trained on BGR still works a little, so the mistake costs accuracy
        without an error message.

    How it is measured:
        The same images of a supplied testset (at most 1,000, of whole identities; of a list of pairs at most 1,000
        pairs) are embedded as RGB and as BGR, and TAR is measured for both, each at its own threshold. The difference
        is resampled over identities, or pairs (paired bootstrap); an interval of 95 % that excludes zero decides.

    How to fix:
        Train or export with RGB: drop the BGR conversion that cv2.imread brings, or add a channel flip to the exported
        graph's first convolution by reversing its weights' input channels.
    """
    measured = facts.need(AccuracyFacts)
    order = measured.colour_order
    if order is None:
        return undecided(
            "No testset was supplied on which RGB and BGR could be compared.", remedy=GIVE_TESTSET.format(name="NAME")
        )
    if order.tar_rgb is None or order.tar_bgr is None or order.low is None or order.high is None:
        return undecided(
            f"RGB and BGR could not be compared on {order.testset!r}: {order.why_not}.",
            remedy="Supply a testset with more identities, each with several images.",
        )
    numbers = f"TAR {percent(order.tar_rgb)} on RGB, {percent(order.tar_bgr)} on BGR"
    evidence = (
        Evidence(
            where=order.testset,
            what=(
                f"{numbers} at FAR <= {order.far}, {order.images:,} images; 95 % interval of the difference "
                f"{percent(order.low)} to {percent(order.high)}, {order.units:,} {order.unit} resampled"
            ),
        ),
    )
    if order.low > 0:
        return passed(f"The model expects RGB: {numbers}.", measured=numbers, limit="RGB", evidence=evidence)
    if order.high < 0:
        return failed(
            f"The model does better on BGR: {numbers}; the server feeds RGB.",
            remedy="Train or export with RGB, or reverse the input channels of the first convolution's weights.",
            measured=numbers,
            limit="RGB",
            evidence=evidence,
        )
    return undecided(
        f"The accuracy does not tell RGB from BGR: {numbers}, and the difference is within chance.",
        remedy="Supply a larger testset in colour.",
        measured=numbers,
        limit="RGB",
        evidence=evidence,
    )


def _find(measured: AccuracyFacts, wanted: dict[str, Any]) -> SetResult | None:
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


def _official(measured: AccuracyFacts, name: str, rule: Rule) -> list[SetResult]:
    return [result for result in measured.sets if result.set == name and is_own(result, rule.book, rule.track)]


def _official_point(
    results: list[SetResult], rule: Rule, name: str, threshold: Threshold | None
) -> tuple[SetResult, PointResult] | Outcome:
    """Return the one result of a set at the challenge's operating point, or the outcome that says why not."""
    if len(results) > 1:
        return undecided(
            f"Several testsets serve {name!r}: {', '.join(result.testset for result in results)}.",
            remedy="Supply one testset for each set.",
            limit="" if threshold is None else threshold.words,
        )
    point = _point(results[0], rule.book.sets[name].far, rule.book.sets[name].comparison)
    outcome = _undecidable(results[0], point, threshold)
    if outcome is not None:
        return msgspec.structs.replace(outcome, measured="")  # one set's TAR is not the score
    if point is None:
        return undecided("There is no such operating point.", remedy="Run again with this rulebook.")
    return results[0], point


def _point(result: SetResult, far: str, comparison: str) -> PointResult | None:
    return next((point for point in result.points if (point.far, point.comparison) == (far, comparison)), None)


def _undecidable(result: SetResult, point: PointResult | None, threshold: Threshold | None) -> Outcome | None:
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


def _judge_point(result: SetResult, point: PointResult, threshold: Threshold | None, rule: Rule) -> Outcome:
    if (outcome := _undecidable(result, point, threshold)) is not None:
        return outcome
    assert point.tar is not None  # noqa: S101 - `_undecidable` refused it
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


def _judge_folds(result: SetResult, threshold: Threshold | None, rule: Rule) -> Outcome:
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
