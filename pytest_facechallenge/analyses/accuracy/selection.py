"""What of the request the selected tests need: nothing is embedded for a rule that nobody asked about."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pytest_facechallenge.analyses.accuracy.parametrize import ACCURACY, RANKING
from pytest_facechallenge.analyses.accuracy.request import AccuracyOptions, SetRequest, TestsetRequest
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.run_options import AnalysisOptions
from pytest_facechallenge.core.set_names import feeds_raw, sets_of_track

#: Checks that read something of every image, and the check of the order of colours, which reads some images alone.
IMAGES, COLOURS = "testset_images", "rgb_order"


def narrowed(options: AnalysisOptions, rules: Sequence[Rule]) -> AnalysisOptions:
    """Return the options with a request of what some rules read.

    Parameters
    ----------
    rules
        The rules of the selected tests that read facts of this analysis, expanded into their cases.
    """
    if not isinstance(options, AccuracyOptions) or {rule.check for rule in rules} - {
        ACCURACY, RANKING, IMAGES, COLOURS,
    }:  # fmt: skip
        return options  # a check of somebody else's may read anything
    request = options.request
    whole = bool(request.write_features) or any(rule.check == IMAGES for rule in rules)
    testsets = tuple(
        TestsetRequest(
            name=each.name,
            path=each.path,
            sets=tuple(msgspec.structs.replace(one, wanted=_is_wanted(each.name, one, rules)) for one in each.sets),
            whole=whole,
        )
        for each in request.testsets
    )
    colour_order = request.colour_order and any(rule.check == COLOURS for rule in rules)
    request = msgspec.structs.replace(request, testsets=testsets, colour_order=colour_order)
    return msgspec.structs.replace(options, request=request)


def _is_wanted(testset: str, wanted: SetRequest, rules: Sequence[Rule]) -> bool:
    return any(
        _ranks(wanted, rule) if rule.check == RANKING else _measures(testset, wanted, rule)
        for rule in rules
        if rule.check in (ACCURACY, RANKING)
    )


def _measures(testset: str, wanted: SetRequest, rule: Rule) -> bool:
    """Whether a test of accuracy is about this set."""
    case = rule.parameters
    return (case.get("testset"), case.get("set"), case.get("official"), case.get("protocol")) == (
        testset, wanted.name, wanted.official, wanted.protocol,
    ) and (bool(case.get("flipped")), bool(case.get("raw"))) == (wanted.flip, wanted.raw)  # fmt: skip


def _ranks(wanted: SetRequest, rule: Rule) -> bool:
    """Whether a track's score may be made of this set: which of them it is made of is said by what was measured."""
    return (
        wanted.official
        and wanted.name in sets_of_track(rule.book, rule.track)
        and wanted.raw == feeds_raw(rule.book, rule.track)
    )
