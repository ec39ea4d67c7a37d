"""One run: what is judged, the facts gathered so far, and how an outcome travels from a test to the report."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_facechallenge.analyses.latency import run_options as latency_plan
from pytest_facechallenge.core.outcome import Outcome
from pytest_facechallenge.core.rulebook import Rule, Rulebook, load_all
from pytest_facechallenge.engine.arguments import TrackRef, find_submissions, find_tracks, short_names
from pytest_facechallenge.engine.judge import judge, load_checks, validate
from pytest_facechallenge.plugin.collection import JudgedRule
from pytest_facechallenge.plugin.options import GIVEN
from pytest_facechallenge.sandbox.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pytest

    from pytest_facechallenge.analyses.accuracy.run_options import AccuracyPlan
    from pytest_facechallenge.core.facts.accuracy import AccuracyFacts
    from pytest_facechallenge.core.facts.base import Facts
    from pytest_facechallenge.plugin.options import Settings
    from pytest_facechallenge.sandbox.fact_store import FactStore

#: The name under which an outcome lies in ``report.user_properties``: JSON text, since only scalars go everywhere.
PROPERTY = "facechallenge"
#: The name under which a failed test's key lies there, so that a crash is told of the right rule.
FAILED_KEY = "facechallenge-failed"

#: Source, number, full track, rule with its case: see `JudgedRule.key`.
Key = tuple[str, int, str, str]


class ChallengeSession:
    """What a run judges, and its facts.

    Parameters
    ----------
    settings
        Resolved settings.
    shared_root
        Folder that the processes of a distributed run share; a new private one is made when it is None.

    Raises
    ------
    TargetError, RulebookError, ReportError, SettingsError
        Something the user named cannot be used.
    """

    def __init__(self, settings: Settings, shared_root: Path | None = None) -> None:
        self.settings = settings
        _writable_folder(settings, "json")
        self.books: dict[str, Rulebook] = load_all(tuple(settings.path(name) for name in settings.many("rules")))
        self.checks = load_checks()
        self.tracks: list[TrackRef] = find_tracks(settings.many("track"), self.books)
        self.submissions: list[Path] = find_submissions(settings.many("model"), settings.invocation_dir)
        #: A feature file that is judged alone stands in the submission's place.
        self.features_alone: Path | None = None
        if settings.text("features") and not self.submissions:
            self.features_alone = _feature_file(settings)
        self.reports: dict[Path, list[tuple[str, Facts]]] = {}
        for name in settings.many("facts"):
            from pytest_facechallenge.reports.json_report import read_report

            path = settings.path(name)
            self.reports[path] = read_report(path)
        self.plan_of_accuracy = self._plan_of_accuracy()
        self.latency = latency_plan.from_settings(settings, [self.books[ref.book] for ref in self.tracks])
        self._scratch = Scratch() if shared_root is None else None
        self.root = shared_root if shared_root is not None else self._scratch.path  # type: ignore[union-attr]
        self._store: FactStore | None = None
        self._expected: dict[Path, list[JudgedRule]] = {}

    def validate(self) -> None:
        """Make sure every rule can be judged; later than the constructor, so that a conftest.py can add checks.

        Raises
        ------
        RulebookError
            A rule names an unknown check or parameter.
        """
        validate({ref.book: self.books[ref.book] for ref in self.tracks})

    @property
    def store(self) -> FactStore:
        """The facts of this run."""
        if self._store is None:
            from pytest_facechallenge.analyses.context import RunOptions
            from pytest_facechallenge.sandbox.fact_store import FactStore
            from pytest_facechallenge.sandbox.process import Limits, default_memory_bytes

            settings = self.settings
            memory = settings.number("memory") << 20
            options = RunOptions(
                threads=settings.number("threads"),
                device=settings.text("device"),
                server_python=settings.text("server-python"),
                declaration=str(settings.path(settings.text("declaration"))) if settings.text("declaration") else "",
                extra=self._extra_knobs(),
            )
            limits = Limits(
                idle_seconds=float(settings.number("timeout")), memory_bytes=memory or default_memory_bytes()
            )
            self._store = FactStore(self.root, options, limits)
        return self._store

    @property
    def sources(self) -> list[Path]:
        """Everything that is collected: submissions, a feature file judged alone, reports."""
        alone = [self.features_alone] if self.features_alone is not None else []
        return [*self.submissions, *alone, *self.reports]

    @cached_property
    def given_as(self) -> dict[Path, Path]:
        """What pytest is given to collect -> the source it stands for: itself, unless pytest cannot take its path."""
        given = {}
        for number, source in enumerate(self.sources):
            path = source
            if "[" in str(source) or "::" in str(source):
                path = self.root / "collected" / str(number)
                path.mkdir(parents=True, exist_ok=True)
            given[path] = source
        return given

    def expected(self, source: Path) -> list[JudgedRule]:
        """Return every rule (and case) that a verdict on ``source`` needs, in the rulebook's order."""
        if source not in self._expected:
            self._expected[source] = [
                JudgedRule(source, case, ref.label, number)
                for number, facts in enumerate(self._saved_facts(source))
                for ref in self.tracks
                for rule in self.books[ref.book].rules_of(ref.track)
                if self._asked_for(rule)
                for case in self.plan_of_accuracy.cases(rule, facts)
            ]
        return self._expected[source]

    def _asked_for(self, rule: Rule) -> bool:
        """Whether a rule is judged at all: the second count of FLOPs takes torch, so only when it was asked for."""
        return rule.check != "flops_crosscheck" or bool(self.settings.text("flops-crosscheck"))

    def _extra_knobs(self) -> dict[str, str]:
        options = self.plan_of_accuracy.options() | latency_plan.encode(self.latency)
        factory = self.settings.text("flops-crosscheck")
        if factory:
            options["flops_crosscheck"] = "" if factory == GIVEN else factory
            options["flops_crosscheck_folder"] = str(
                self.settings.invocation_dir
            )  # the sandbox works in a folder of its own
        return options

    def _saved_facts(self, source: Path) -> list[AccuracyFacts | None]:
        """Return, per submission of an earlier report, what it measured of accuracy; [None] for a submission itself."""
        from pytest_facechallenge.core.facts.accuracy import AccuracyFacts

        if source not in self.reports:
            return [None]
        return [facts.get(AccuracyFacts) or AccuracyFacts() for _name, facts in self.reports[source]]

    def _plan_of_accuracy(self) -> AccuracyPlan:
        from pytest_facechallenge.analyses.accuracy.run_options import AccuracyPlan

        settings = self.settings
        return AccuracyPlan(
            self.books,
            [(ref.book, ref.track) for ref in self.tracks],
            testsets=settings.many("testset"),
            min_tar=settings.many("min-tar"),
            features=settings.text("features"),
            labels=settings.text("labels"),
            write_features=settings.text("write-features"),
            cache=settings.text("cache"),
            base=settings.invocation_dir,
        )

    def plan(self, judged: Iterable[JudgedRule]) -> None:
        """Note which facts the selected tests will need."""
        for each in judged:
            if each.source in self.submissions and not each.rule.not_applicable:
                self.store.plan(each.source, self.checks[each.rule.check].steps)

    def facts_of(self, judged: JudgedRule, on_progress: Callable[[str], None] = lambda _line: None) -> Facts:
        """Return the facts that a test needs, gathering them when they are not there yet."""
        if judged.source in self.reports:
            return self.reports[judged.source][judged.number][1]
        steps = () if judged.rule.not_applicable else self.checks[judged.rule.check].steps
        if judged.source == self.features_alone:
            # There is no model to observe: only what the feature file itself shows can be judged.
            steps = tuple(step for step in steps if step == "feature_file")
        return self.store.facts(judged.source, steps, on_progress)

    def device_trouble(self, judged: JudgedRule, on_progress: Callable[[str], None] = lambda _line: None) -> str:
        """Return why the device that was asked for is not there, when this test needs it; else ""."""
        if judged.source in self.reports or judged.rule.not_applicable:
            return ""
        failures = self.facts_of(judged, on_progress).failures
        found = (failures[step].message for step in self.checks[judged.rule.check].steps if step in failures)
        return next((message for message in found if message.startswith("DeviceError: ")), "")

    def judge(self, judged: JudgedRule, on_progress: Callable[[str], None] = lambda _line: None) -> Outcome:
        """Gather what is needed and judge."""
        return judge(self.facts_of(judged, on_progress), judged.rule)

    def names(self) -> dict[tuple[Path, int], str]:
        """Return the short name of each submission, by source and number: no two are the same."""
        keys: dict[tuple[Path, int], str] = {}
        for source in self.sources:
            saved = [path for path, _facts in self.reports.get(source, [])] or [str(source)]
            keys |= {(source, number): path for number, path in enumerate(saved)}
        return dict(zip(keys, short_names(list(keys.values())), strict=True))

    def recorded_facts(self) -> list[tuple[str, Facts]]:
        """Return (short name, facts gathered so far) of everything that is judged."""
        return [
            (name, self.reports[source][number][1] if source in self.reports else self.store.recorded(source))
            for (source, number), name in self.names().items()
        ]

    @staticmethod
    def record(node: pytest.Item, judged: JudgedRule, outcome: Outcome) -> None:
        """Attach the outcome to the test, so that it reaches the controller, JUnit and other reporters."""
        node.user_properties.append((PROPERTY, encode_outcome(judged, outcome)))

    def close(self) -> None:
        """Remove the run's folder, when this process made it."""
        if self._scratch is not None:
            self._scratch.remove()


def _feature_file(settings: Settings) -> Path:
    path = settings.path(settings.text("features"))
    if not path.is_file():
        from pytest_facechallenge.plugin.options import SettingsError

        raise SettingsError(f"the feature file {settings.text('features')!r} does not exist (looked for {path})")
    return path


def _writable_folder(settings: Settings, name: str) -> None:
    """Refuse at the start an output file that could not be written at the end.

    Raises
    ------
    SettingsError
        Its folder does not exist.
    """
    if settings.text(name) and not settings.path(settings.text(name)).parent.is_dir():
        from pytest_facechallenge.plugin.options import SettingsError

        folder = settings.path(settings.text(name)).parent
        raise SettingsError(
            f"--facechallenge-{name} {settings.text(name)} cannot be written: there is no folder {folder}"
        )


def encode_outcome(judged: JudgedRule, outcome: Outcome) -> str:
    """Return an outcome and what it belongs to as one JSON text."""
    payload = {
        "source": str(judged.source),
        "number": judged.number,
        "track": judged.rule.full_track,
        "rule": judged.rule_id,
        "outcome": msgspec.to_builtins(outcome),
    }
    return json.dumps(payload, sort_keys=True)


def note_failure(report: pytest.TestReport, judged: JudgedRule) -> None:
    """Write into a failed test's report what it was judging."""
    report.user_properties = [*report.user_properties, (FAILED_KEY, json.dumps(judged.key))]


def failed_key(properties: Iterable[tuple[str, object]]) -> Key | None:
    """Return what a failed test was judging, or None."""
    for name, value in properties:
        if name == FAILED_KEY:
            source, number, track, rule = json.loads(str(value))
            return source, number, track, rule
    return None


def decode_outcome(properties: Iterable[tuple[str, object]]) -> tuple[Key, Outcome] | None:
    """Return ((source, number, track, rule), outcome) from a test report's properties, or None."""
    for name, value in properties:
        if name == PROPERTY:
            payload: Mapping[str, Any] = json.loads(str(value))
            key = (payload["source"], payload["number"], payload["track"], payload["rule"])
            return key, msgspec.convert(payload["outcome"], Outcome)
    return None
