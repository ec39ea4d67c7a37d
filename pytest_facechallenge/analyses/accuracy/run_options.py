"""What a run needs of accuracy, in one object: options in, cases for collection and options for the sandbox out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_facechallenge.analyses.accuracy.parametrize import (
    ACCURACY,
    build_request,
    check_names,
    expand_cases,
    feature_points,
    parse_min_tar,
)
from pytest_facechallenge.analyses.accuracy.request import KNOB, Point, TestsetSpec
from pytest_facechallenge.analyses.feature_file.request import KNOB as FEATURES_KNOB
from pytest_facechallenge.analyses.feature_file.request import FeatureRequest
from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
from pytest_facechallenge.core.rulebook import Rule, Rulebook
from pytest_facechallenge.testsets.reader import recognise


class AccuracyPlan:
    """The accuracy part of a run.

    Parameters
    ----------
    books
        The loaded rulebooks, by id.
    tracks
        The judged tracks as (rulebook id, track).
    testsets
        Texts ``[NAME=]PATH``.
    min_tar
        Texts ``NAME=VALUE``.
    features, labels, write_features, cache
        Paths, or "" where the option is not set.
    base
        What relative paths are relative to.

    Raises
    ------
    ValueError
        A text is not of its form, a path holds no testset, or a threshold names nothing (`TestsetError`,
        `ThresholdError`); the message is made for the user.
    """

    def __init__(
        self,
        books: Mapping[str, Rulebook],
        tracks: Sequence[tuple[str, str]],
        *,
        testsets: Sequence[str] = (),
        min_tar: Sequence[str] = (),
        features: str = "",
        labels: str = "",
        write_features: str = "",
        cache: str = "",
        base: Path | None = None,
    ) -> None:
        self._base = base or Path.cwd()
        self._books = books
        self._tracks = tuple(tracks)
        self._specs = tuple(TestsetSpec.parse(text, self._base) for text in testsets)
        self._min_tar = parse_min_tar(min_tar, books)
        self._paths = {
            name: str(self._base / path) if path else ""
            for name, path in (("labels", labels), ("write_features", write_features), ("cache", cache))
        }
        self._features = str(self._base / features) if features else ""
        # Before anything runs: a path that holds no testset is a wrong invocation, and not an error of a test.
        rules = [case for rule in self._rules() for case in self.cases(rule)]
        check_names(self._min_tar, rules, [books[book] for book, _track in self._tracks])
        self._check_lfr19_options()

    def _check_lfr19_options(self) -> None:
        """Refuse options that would be passed over without a word, since nothing they apply to was given."""
        lists = any(recognise(Path(spec.path))[0].startswith("LFR19") for spec in self._specs)
        labels, written = self._paths["labels"], self._paths["write_features"]
        if written and not lists:
            raise ValueError(
                f"--facechallenge-write-features {written} needs --facechallenge-testset with LFR19's filelist.txt: "
                "only its lists have a feature file"
            )
        if labels and not (lists or self._features):
            raise ValueError(
                f"--facechallenge-labels {labels} needs something to label: --facechallenge-features FILE, or "
                "--facechallenge-testset with LFR19's filelist.txt"
            )
        if labels and not Path(labels).is_file():
            raise ValueError(f"the labels file {labels} (--facechallenge-labels) does not exist")

    def cases(self, rule: Rule, facts: AccuracyFacts | None = None) -> list[Rule]:
        """Return ``rule`` once for each test it becomes; ``facts`` are those of a saved report that is judged."""
        return expand_cases(rule, rule.book, self._specs, self._min_tar, facts)

    def options(self) -> dict[str, str]:
        """Return what the sandbox is told, for `RunOptions.extra`."""
        accuracy = [(rule.book, rule) for rule in self._rules() if rule.check == ACCURACY]
        options = {}
        if self._specs and accuracy:
            options[KNOB] = build_request(accuracy, self._specs, **self._paths).to_json()
        if self._features:
            points: dict[Point, None] = {}
            for book, track in self._tracks:
                points |= dict.fromkeys(feature_points(self._books[book], track))
            request = FeatureRequest(path=self._features, labels=self._paths["labels"], points=tuple(points))
            options[FEATURES_KNOB] = request.to_json()
        return options

    def _rules(self) -> list[Rule]:
        return [rule for book, track in self._tracks for rule in self._books[book].rules_of(track)]
