"""Judging one score against one threshold: shared by the accuracy, ranking and feature-file checks. Pure."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import TYPE_CHECKING

import msgspec

from pytest_facechallenge.checks.published import differences
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, passed, undecided

if TYPE_CHECKING:
    from pytest_facechallenge.core.facts.accuracy import AccuracyFacts, PointResult, SetResult, SuppliedTestset
    from pytest_facechallenge.core.rulebook import Baseline, Rulebook

REMEDY_SCORE = (
    "Compare the preprocessing and the colour order shown in the report with those of your training first; then look "
    "at the hardest pairs that the report lists."
)
REMEDY_EMBEDDINGS = (
    "Run the listed images through the model: NaN and infinite values come from overflowing or dividing by zero, "
    "zeros from a dead last layer."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Threshold:
    """A least score: its value, the words for it, and whether it is a published row (then only own sets compare).

    The value is exact, as it was written: 0.65 means 65/100, and a score of exactly that passes.
    """

    value: Fraction
    words: str
    published: bool


def percent(value: float | Fraction) -> str:
    """Write a rate for people, "63.850 %"."""
    return f"{100 * float(value):.3f} %"


def exact(written: float) -> Fraction:
    """Return the decimal number that somebody wrote, not the binary one next to it."""
    return Fraction(repr(float(written)))


def exact_tar(point: PointResult) -> Fraction:
    """Return accepted over all genuine pairs.

    Raises
    ------
    ValueError
        There is no TAR.
    """
    if point.genuine_accepted is None or not point.genuine_pairs:
        raise ValueError("this operating point has no TAR")
    return Fraction(point.genuine_accepted, point.genuine_pairs)


def resolve_threshold(wanted: float | str | None, book: Rulebook, weights: dict[str, float]) -> Threshold | None:
    """Turn a threshold as written (a number, a baseline's name, or None) into a value.

    Parameters
    ----------
    weights
        The sets that the score adds up; a single set has the weight 1.

    Raises
    ------
    LookupError
        The named row does not exist or lacks one of the sets; the message says so.
    """
    if wanted is None:
        return None
    if not isinstance(wanted, str):
        return Threshold(value=exact(wanted), words=f">= {percent(float(wanted))}", published=False)
    row = _row(book, wanted)
    missing = sorted(set(weights) - set(row.tar))
    if missing or not weights:
        raise LookupError(f"The baseline {wanted!r} has no published TAR for {', '.join(missing) or 'this set'}.")
    value = sum((exact(weight) * exact(row.tar[name]) for name, weight in weights.items()), Fraction(0))
    return Threshold(value=value, words=f">= {percent(value)} (the published row {wanted})", published=True)


def unusable(result: SetResult, limit: str) -> Outcome | None:
    """Return the outcome for a set without a result, or None when it has one."""
    if not result.error:
        return None
    if result.unusable_count:
        evidence = tuple(
            Evidence(where=name, what="the embedding is not finite or is zero") for name in result.unusable
        )
        return failed(
            f"{result.set!r} cannot be scored: {result.unusable_count:,} images get an embedding that has no "
            "direction, so they match nobody.",
            remedy=REMEDY_EMBEDDINGS,
            measured=f"{result.unusable_count:,} embeddings without a direction",
            limit=limit,
            evidence=evidence,
        )
    return undecided(
        f"{result.set!r} cannot be scored on the testset {result.testset!r}: {result.error}",
        remedy="Supply a testset that has what the message asks for.",
        measured="no result",
        limit=limit,
    )


def not_comparable(result: SetResult, book: Rulebook) -> tuple[str, ...]:
    """Say why a set's score may not be compared with published ones; empty when it may."""
    table = book.sets.get(result.set) if result.official else None
    return ("it is none of the challenge's sets",) if table is None else differences(result, table)


def judge_score(
    score: Fraction,
    threshold: Threshold | None,
    what: str,
    *,
    notes: tuple[str, ...],
    evidence: tuple[Evidence, ...],
    shown: str = "",
) -> Outcome:
    """Return passed or failed by ``score >= threshold``; without a threshold a score is a measurement and passes.

    ``shown`` is the score for the table, when there is more to show than the number.
    """
    said = _judged(score, threshold, what, shown or percent(score))
    return msgspec.structs.replace(said, score=str(score), notes=notes, evidence=evidence)


def _judged(score: Fraction, threshold: Threshold | None, what: str, shown: str) -> Outcome:
    measured = percent(score)
    if threshold is None:
        return passed(f"{what} is {measured}. No threshold is set, so this is a measurement.", measured=shown)
    if score >= threshold.value:
        return passed(
            f"{what} is {measured}, at least the {percent(threshold.value)} asked for.",
            measured=shown,
            limit=threshold.words,
        )
    return failed(
        f"{what} is {measured}; {threshold.words} is asked for.",
        remedy=REMEDY_SCORE,
        measured=shown,
        limit=threshold.words,
    )


def point_notes(result: SetResult, point: PointResult) -> tuple[str, ...]:
    """Say what a reader must know beside a TAR: how firmly its threshold stands."""
    notes = []
    if point.below_rule_of_30 and not point.undecided:
        impostor = 0 if result.pairs is None else result.pairs.impostor
        notes.append(
            f"Warning: {impostor:,} impostor pairs are fewer than 30/FAR = "
            f"{point.impostor_pairs_for_rule_of_30:,}, so the threshold itself is uncertain (rule of 30)."
        )
    if point.tar is not None and not point.tar_at_minus_eps == point.tar == point.tar_at_plus_eps:
        notes.append("Genuine pairs lie within 1e-12 of the threshold; another library may count them otherwise.")
    return tuple(notes)


def with_interval(point: PointResult) -> str:
    """Write a TAR with its interval for the table, "61.026 % (95 %: 56.923 to 65.000)"; "" when there is none."""
    if point.tar is None:
        return ""
    interval = point.interval
    if interval is None:
        return percent(point.tar)
    bounds = f"{100 * interval.low:.3f} to {100 * interval.high:.3f}"
    return f"{percent(point.tar)} ({100 * interval.confidence:g} %: {bounds})"


def pairs_short(result: SetResult, point: PointResult) -> str:
    """Write for the table how far the pairs are from deciding a point: a TAR there would be taken for a result."""
    impostor = 0 if result.pairs is None else result.pairs.impostor
    if impostor < point.impostor_pairs_needed:
        return f"undecided: {impostor:,} of {point.impostor_pairs_needed:,} impostor pairs"
    return "undecided: no genuine pair"


def point_evidence(result: SetResult, point: PointResult) -> tuple[Evidence, ...]:
    """Return the counts that a TAR rests on, and the pairs to look at first."""
    pairs = result.pairs
    evidence = []
    if pairs is not None:
        evidence.append(
            Evidence(
                where=f"{result.testset} / {result.set}",
                what=(
                    f"{result.images:,} images, {result.identities:,} identities; {pairs.genuine:,} genuine and "
                    f"{pairs.impostor:,} impostor pairs (ordered: {pairs.genuine_ordered:,} and "
                    f"{pairs.impostor_ordered:,})"
                ),
            )
        )
    if point.interval is not None:
        interval = point.interval
        what = "identities" if result.identities else "pairs"
        evidence.append(
            Evidence(
                where=f"{100 * interval.confidence:g} % interval",
                what=(
                    f"{percent(interval.low)} to {percent(interval.high)}, by resampling {interval.units:,} {what} at "
                    f"this threshold ({interval.method})"
                ),
            )
        )
    if point.threshold is not None:
        evidence.append(
            Evidence(
                where=f"FAR {point.comparison} {point.far}",
                what=(
                    f"threshold {point.threshold:.9f}: {point.false_accepts:,} of {point.allowed_false_accepts:,} "
                    f"allowed false accepts, {point.genuine_accepted or 0:,} of {point.genuine_pairs:,} genuine pairs "
                    "accepted" + (" (too few impostor pairs for this to be a result)" if point.undecided else "")
                ),
            )
        )
    for kind, hard in (("genuine", result.hardest_genuine[:3]), ("impostor", result.hardest_impostor[:3])):
        evidence += [
            Evidence(where=f"hard {kind} pair", what=f"{pair.left} | {pair.right}: {pair.score:.4f}") for pair in hard
        ]
    return tuple(evidence)


def published_pairs(result: SetResult, book: Rulebook) -> tuple[Evidence, ...]:
    """Return the pair counts that the challenge prints for a set, to stand beside our own."""
    table = book.sets.get(result.set) if result.official else None
    if table is None or table.positive_pairs is None or table.negative_pairs is None:
        return ()
    what = f"{table.positive_pairs:,} positive and {table.negative_pairs:,} negative pairs"
    return (Evidence(where=f"the challenge's table, {result.set}", what=what),)


def excluded_words(result: SetResult) -> str:
    """Say how much of a set was left out, or "" when nothing was."""
    if not (result.excluded or result.excluded_pairs):
        return ""
    pairs = f" and with them {result.excluded_pairs:,} listed pairs" if result.excluded_pairs else ""
    return f"{result.excluded:,} entries{pairs} were left out, because their images cannot be used"


def supplied(facts: AccuracyFacts, name: str) -> SuppliedTestset | None:
    """Return what is known of the testset of that name."""
    return next((testset for testset in facts.testsets if testset.name == name), None)


def _row(book: Rulebook, name: str) -> Baseline:
    for row in book.baselines:
        if row.name == name:
            return row
    known = "; ".join(row.name for row in book.baselines) or "none"
    raise LookupError(f"The rulebook {book.id!r} has no baseline row {name!r}; rows: {known}.")
