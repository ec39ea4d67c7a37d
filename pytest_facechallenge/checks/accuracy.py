"""Checks of accuracy on supplied testsets: thresholds, the ranking score, the testset itself, the colour order."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pytest_facechallenge.checks.measured_sets import (
    OWN_TESTSET,
    find_result,
    judge_folds,
    judge_point,
    official_point,
    official_results,
    point_of,
)
from pytest_facechallenge.checks.published import place, ranked_baselines, ranking_weights
from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.checks.scores import (
    exact,
    exact_tar,
    judge_score,
    not_comparable,
    percent,
    point_notes,
    resolve_threshold,
    supplied,
    unusable,
)
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts, SuppliedTestset
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, not_applicable, passed, undecided
from pytest_facechallenge.core.rulebook import Rule

GIVE_TESTSET = "Give a testset: --facechallenge-testset {name}=PATH."
#: Images of a testset that the summary names; the evidence has more, and the facts still more.
SHOWN_PROBLEMS = 5


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
    result = find_result(measured, wanted)
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
        return judge_folds(result, threshold, rule)
    point = point_of(result, str(wanted["far"]), str(wanted["comparison"]))
    if point is None:
        return undecided(
            f"{result.set!r} was not measured at FAR {wanted['comparison']} {wanted['far']}.",
            remedy="Run again with this rulebook and testset.",
            limit=limit,
        )
    return judge_point(result, point, threshold, rule)


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
    results = {name: official_results(measured, name, rule) for name in weights} if measured is not None else {}
    missing = [name for name in weights if not results.get(name)]
    if missing:
        message = f"The ranking score needs {names}; no testset for {', '.join(missing)} was supplied."
        if threshold is None:
            return not_applicable(message)
        return undecided(message, remedy=GIVE_TESTSET.format(name=missing[0]), limit=limit)
    points = {name: official_point(results[name], rule, name, threshold) for name in weights}
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
