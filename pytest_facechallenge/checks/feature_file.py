"""Checks of an LFR19 feature file."""

from __future__ import annotations

import msgspec

from pytest_facechallenge.checks.registry import check
from pytest_facechallenge.checks.scores import (
    exact_tar,
    judge_score,
    not_comparable,
    pairs_short,
    percent,
    point_evidence,
    point_notes,
    resolve_threshold,
    unusable,
    with_interval,
)
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.feature_file import FeatureFileFacts
from pytest_facechallenge.core.outcome import Evidence, Outcome, failed, not_applicable, passed, undecided
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.set_names import sets_of_track

WRITE = (
    "Write the file with the organisers' write_bin: struct.pack('4i', rows, cols, cols * 4, 5), then the float32 "
    "matrix row by row; or let --facechallenge-write-features do it."
)
NONE_GIVEN = "No feature file was given (--facechallenge-features FILE)."


def _rows_there(facts: Facts) -> tuple[FeatureFileFacts, Outcome | None]:
    """Return the facts, and the outcome when there are no rows to judge."""
    found = facts.need(FeatureFileFacts)
    if not found.path:
        return found, not_applicable(NONE_GIVEN)
    if found.error:
        return found, undecided(f"The rows cannot be read: {found.error}", remedy=WRITE)
    return found, None


@check(FeatureFileFacts)
def feature_header(facts: Facts, rule: Rule) -> Outcome:
    """Judge the header of a feature file.

    What:
        The file starts with four little-endian int32: rows, columns, columns * 4, 5; and is as long as they say.

    Why:
        The server reads the matrix by this header; a wrong one is refused or read as noise.

    How it is measured:
        The first 16 bytes and the file's size.

    How to fix:
        Write the file with the organisers' write_bin, or with --facechallenge-write-features.
    """
    found = facts.need(FeatureFileFacts)
    if not found.path:
        return not_applicable(NONE_GIVEN)
    measured = "" if found.header is None else ", ".join(map(str, found.header))
    problems = found.header_problems or ((found.error,) if found.error else ())
    if problems:
        return failed(
            f"The feature file's header is wrong: {'; '.join(problems)}.",
            remedy=WRITE,
            measured=measured,
            limit="rows, cols, cols * 4, 5",
            evidence=(Evidence(where=found.path, what=f"{found.bytes:,} bytes"),),
        )
    return passed(
        f"The header says {found.rows:,} rows of {found.width} values, and the file is as long as that.",
        measured=measured,
        limit="rows, cols, cols * 4, 5",
    )


@check(FeatureFileFacts, limit="number")
def feature_rows(facts: Facts, rule: Rule) -> Outcome:
    """Judge the number of rows of a feature file.

    What:
        One row for each line of the track's list: the track's number of images or videos.

    Why:
        Row i is compared as line i; one row too few or too many shifts all that follow.

    How it is measured:
        The rows that the file holds, by its size and its number of columns. The score is computed all the same when
        there are labels for these rows.

    How to fix:
        Go through filelist.txt line by line and write one row for each, also where a face looks unusable.
    """
    found, outcome = _rows_there(facts)
    if outcome is not None:
        return outcome
    if not isinstance(rule.limit, int):
        return undecided("The rulebook sets no number of rows.", remedy="Give the rule a limit.")
    measured, limit = f"{found.rows:,} rows", f"{rule.limit:,} rows"
    if found.rows == rule.limit:
        return passed(f"The file has the {limit} of this track.", measured=measured, limit=limit)
    return failed(
        f"The file has {found.rows:,} rows, this track's list has {rule.limit:,}.",
        remedy="Write one row for each line of the track's filelist.txt, in its order.",
        measured=measured,
        limit=limit,
    )


@check(FeatureFileFacts, limit="number")
def feature_width(facts: Facts, rule: Rule) -> Outcome:
    """Judge the number of values in each row of a feature file.

    What:
        Each row has at most as many values as the track allows.

    Why:
        The track fixes the embedding's length, so that storage and matching cost the same for everybody.

    How it is measured:
        The header's second number. LFR19's own y2 baseline has 256 values, so its 512 is the most and not the only
        width.

    How to fix:
        Narrow the last fully connected layer and train again.
    """
    found, outcome = _rows_there(facts)
    if outcome is not None:
        return outcome
    if not isinstance(rule.limit, int):
        return undecided("The rulebook sets no width.", remedy="Give the rule a limit.")
    measured, limit = f"{found.width} values", rule.limit_text()
    if rule.within(found.width):
        return passed(f"Each row has {measured}.", measured=measured, limit=limit)
    return failed(
        f"Each row has {measured}; this track allows {limit}.",
        remedy=f"Embed with a model whose output has at most {rule.limit} values.",
        measured=measured,
        limit=limit,
    )


@check(FeatureFileFacts)
def feature_finite(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether every row of a feature file has a direction.

    What:
        No row has NaN or infinite values, or zeros only.

    Why:
        Such a row has no cosine similarity with anything; a server that does not notice ranks noise.

    How it is measured:
        Every value of every row is read.

    How to fix:
        Embed the listed rows again; zero rows are often images that could not be read.
    """
    found, outcome = _rows_there(facts)
    if outcome is not None:
        return outcome
    bad = found.non_finite_rows + found.zero_rows
    if not bad:
        return passed(f"All {found.rows:,} rows are finite and not zero.", measured="0 bad rows", limit="0 bad rows")
    return failed(
        f"{found.non_finite_rows:,} rows have NaN or infinite values and {found.zero_rows:,} have zeros only.",
        remedy="Embed the listed rows again; look at their images first.",
        measured=f"{bad:,} bad rows",
        limit="0 bad rows",
        evidence=tuple(Evidence(where=f"row {row}", what="not finite or zero") for row in found.first_bad_rows),
    )


@check(FeatureFileFacts)
def feature_norms(facts: Facts, rule: Rule) -> Outcome:
    """Judge whether the rows of a feature file are L2-normalised.

    What:
        Every row has the norm 1.

    Why:
        The organisers' scripts normalise, and so a file of other norms was made in another way.

    How it is measured:
        The norm of each finite row in float64; 1e-3 is allowed for float32's rounding.

    How to fix:
        Divide each row by its norm after adding the mirror image's (or the frames') embeddings.
    """
    found, outcome = _rows_there(facts)
    if outcome is not None:
        return outcome
    norms = found.norms
    if norms is None:
        return undecided("No row is finite, so there is no norm.", remedy="See the rule on finite rows.")
    measured, limit = f"{norms.smallest:.6f} to {norms.largest:.6f}", f"1 ± {norms.tolerance:g}"
    if not norms.off_unit:
        return passed("Every row has the norm 1.", measured=measured, limit=limit)
    return failed(
        f"{norms.off_unit:,} rows are not normalised; norms lie between {measured}.",
        remedy="Divide each row by its L2 norm, as the organisers' scripts do.",
        measured=measured,
        limit=limit,
    )


@check(FeatureFileFacts, parameters=("threshold",))
def feature_score(facts: Facts, rule: Rule) -> Outcome:
    """Score a feature file against labels.

    What:
        TAR at the track's FAR over all 1:1 pairs of the file's rows.

    Why:
        On LFR19 this number is the whole ranking.

    How it is measured:
        The rows are L2-normalised and compared all-to-all by cosine similarity; identities come from
        --facechallenge-labels, one a line or as the second column of the list. Float64 decides, as for testsets.

    How to fix:
        Give labels with one line for each row. To rise, train better: see the rule on accuracy.
    """
    found, outcome = _rows_there(facts)
    if outcome is not None:
        return outcome
    sets = sets_of_track(rule.book, rule.track)
    name = next(iter(sets), "")
    try:
        threshold = resolve_threshold(rule.parameters.get("threshold"), rule.book, {name: 1.0} if name else {})
    except LookupError as error:
        return undecided(str(error), remedy="Name another row, or give the threshold as a number.")
    limit = "" if threshold is None else threshold.words
    score = found.score
    if score is None or not name:
        return undecided(
            "The feature file was not scored: " + ("this track has no set." if not name else "no labels were given."),
            remedy="Give the identities: --facechallenge-labels FILE, one a line.",
            limit=limit,
        )
    if (bad := unusable(score, limit)) is not None:
        return bad
    table = sets[name]
    point = next((each for each in score.points if (each.far, each.comparison) == (table.far, table.comparison)), None)
    if point is None or point.tar is None or point.undecided:
        needed = "" if point is None else f" (at least {point.impostor_pairs_needed:,} impostor pairs)"
        return undecided(
            f"TAR at FAR {table.comparison} {table.far} cannot be decided with these rows: "
            f"{point.undecided if point is not None and point.undecided else 'the point has no genuine pairs'}",
            remedy=f"Give the features of more images{needed}.",
            measured="" if point is None else pairs_short(score, point),
            limit=limit,
        )
    notes = point_notes(score, point)
    reasons = not_comparable(msgspec.structs.replace(score, set=name, official=True), rule.book)
    if reasons and any(name in row.tar for row in rule.book.baselines):
        notes += (f"Not comparable with the published figures: {'; '.join(reasons)}.",)
    if reasons and threshold is not None and threshold.published:
        return undecided(
            f"TAR is {percent(point.tar)}, but it is not comparable with {threshold.words}: {'; '.join(reasons)}.",
            remedy="Score the challenge's own list.",
            measured=with_interval(point),
            limit=limit,
            notes=notes,
        )
    what = f"TAR of the feature file at FAR {point.comparison} {point.far}"
    evidence = point_evidence(score, point)
    return judge_score(exact_tar(point), threshold, what, notes=notes, evidence=evidence, shown=with_interval(point))
