"""What a run asks of accuracy: the user's options in, the request for the sandbox and the tests of a rule out."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pytest_facechallenge.analyses.accuracy.parametrize import (
    ACCURACY,
    build_request,
    check_names,
    expand_cases,
    parse_min_tar,
)
from pytest_facechallenge.analyses.accuracy.request import VERIFICATIONS, AccuracyOptions, AccuracyRequest, TestsetSpec
from pytest_facechallenge.core.analysis import Scope
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.options import OptionValues
from pytest_facechallenge.core.path_state import state_of
from pytest_facechallenge.core.rulebook import Rule
from pytest_facechallenge.core.run_options import AnalysisOptions, RunOptions
from pytest_facechallenge.testsets.reader import recognise


def idle(options: RunOptions) -> bool:
    """Whether no testset was given."""
    return not options.of(AccuracyOptions).request.testsets


def resolve(values: OptionValues, scope: Scope) -> AccuracyOptions:
    """Read the options of a run, before anything runs: a path without a testset is a wrong invocation.

    Raises
    ------
    ValueError
        A text is not of its form, a path holds no testset, or a threshold names nothing (`TestsetError`,
        `ThresholdError`); the message is made for the user.
    """
    specs = tuple(TestsetSpec.parse(text, values.base) for text in values.many("testset"))
    min_tar = parse_min_tar(values.many("min-tar"), scope.books)
    rules = [case for rule in scope.rules() for case in expand_cases(rule, rule.book, specs, min_tar)]
    check_names(min_tar, rules, [scope.books[book] for book, _track in scope.tracks])
    _refuse_options_without_effect(values, specs)
    if specs and values.text("dask") and not values.text("cache"):
        raise ValueError(
            "with --facechallenge-dask and a testset --facechallenge-cache DIR is needed, a folder that all machines "
            "see: what they embed goes there"
        )
    judged = [(rule.book, rule) for rule in scope.rules() if rule.check == ACCURACY]
    request = AccuracyRequest()
    if specs and judged:
        request = build_request(
            judged,
            specs,
            labels=values.path_of("labels"),
            write_features=values.path_of("write-features"),
            cache=values.path_of("cache"),
        )
        request = msgspec.structs.replace(request, offered=bool(values.text("dask")))
    return AccuracyOptions(testsets=specs, min_tar=min_tar, request=request)


def cases(rule: Rule, options: AccuracyOptions, recorded: Facts | None) -> list[Rule]:
    """Return ``rule`` once for each test it becomes; ``recorded`` are the facts of an earlier report."""
    measured = None if recorded is None else recorded.get(AccuracyFacts) or AccuracyFacts()
    return expand_cases(rule, rule.book, options.testsets, options.min_tar, measured)


def shards(options: AnalysisOptions, count: int) -> tuple[AnalysisOptions, ...]:
    """Return the options of ``count`` parts of the embedding; nothing where there is no cache to leave them in."""
    if not (isinstance(options, AccuracyOptions) and options.request.testsets and options.request.cache):
        return ()
    parts = (msgspec.structs.replace(options.request, shard=(number, count)) for number in range(count))
    return tuple(msgspec.structs.replace(options, request=request) for request in parts)


def offers(options: AnalysisOptions) -> Path | None:
    """Return the folder of the cache below which parts of verifications are offered."""
    if not (isinstance(options, AccuracyOptions) and options.request.offered and options.request.cache):
        return None
    return Path(options.request.cache) / VERIFICATIONS


def depends(_source: Path, options: AnalysisOptions | None) -> list[str]:
    """Return the state of the testsets, their labels, and the feature file to write: one that is gone is made anew."""
    if not isinstance(options, AccuracyOptions):
        return []
    paths = [*(spec.path for spec in options.testsets), options.request.labels, options.request.write_features]
    return [state_of(path) for path in paths]


def _refuse_options_without_effect(values: OptionValues, specs: tuple[TestsetSpec, ...]) -> None:
    """Refuse options that would be passed over without a word, since nothing they apply to was given."""
    lists = any(recognise(Path(spec.path))[0].startswith("LFR19") for spec in specs)
    labels, written = values.path_of("labels"), values.path_of("write-features")
    if written and not lists:
        raise ValueError(
            f"--facechallenge-write-features {written} needs --facechallenge-testset with LFR19's filelist.txt: "
            "only its lists have a feature file"
        )
    if labels and not (lists or values.text("features")):
        raise ValueError(
            f"--facechallenge-labels {labels} needs something to label: --facechallenge-features FILE, or "
            "--facechallenge-testset with LFR19's filelist.txt"
        )
    if labels and not Path(labels).is_file():
        raise ValueError(f"the labels file {labels} (--facechallenge-labels) does not exist")
