"""One run: what is judged, the facts gathered so far, and how an outcome travels from a test to the report."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_facechallenge.collect import JudgedRule
from pytest_facechallenge.judge import judge, load_checks, validate
from pytest_facechallenge.latency import plan as latency_plan
from pytest_facechallenge.outcome import Outcome
from pytest_facechallenge.rulebook import Rulebook, load_all
from pytest_facechallenge.targets import TrackRef, find_submissions, find_tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pytest

    from pytest_facechallenge.facts.base import Facts
    from pytest_facechallenge.runtime.store import FactStore
    from pytest_facechallenge.settings import Settings

#: The name under which an outcome lies in ``report.user_properties``: JSON text, since only scalars go everywhere.
PROPERTY = "facechallenge"


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
    TargetError, RulebookError, ReportError
        Something the user named cannot be used.
    """

    def __init__(self, settings: Settings, shared_root: Path | None = None) -> None:
        self.settings = settings
        self.books: dict[str, Rulebook] = load_all(tuple(settings.path(name) for name in settings.many("rules")))
        self.checks = load_checks()
        self.tracks: list[TrackRef] = find_tracks(settings.many("track"), self.books)
        self.submissions: list[Path] = find_submissions(settings.many("model"), settings.invocation_dir)
        self.reports: dict[Path, list[tuple[str, Facts]]] = {}
        for name in settings.many("facts"):
            from pytest_facechallenge.report.json_report import read_report

            path = settings.path(name)
            self.reports[path] = read_report(path)
        self.latency = latency_plan.from_settings(settings, [self.books[ref.book] for ref in self.tracks])
        self._owned_root = shared_root is None
        self.root = shared_root or Path(tempfile.mkdtemp(prefix="facechallenge-"))
        self._store: FactStore | None = None
        self.on_progress: Callable[[str], None] = lambda _line: None

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
            from pytest_facechallenge.runtime.context import Knobs
            from pytest_facechallenge.runtime.sandbox import Limits, default_memory_bytes
            from pytest_facechallenge.runtime.store import FactStore

            settings = self.settings
            memory = settings.number("memory") << 20
            knobs = Knobs(
                threads=settings.number("threads"),
                device=settings.text("device"),
                server_python=settings.text("server-python"),
                declaration=str(settings.path(settings.text("declaration"))) if settings.text("declaration") else "",
                extra=latency_plan.encode(self.latency),
            )
            limits = Limits(
                idle_seconds=float(settings.number("timeout")), memory_bytes=memory or default_memory_bytes()
            )
            self._store = FactStore(self.root, knobs, limits)
        return self._store

    @property
    def sources(self) -> list[Path]:
        """Everything that is collected: submissions, then reports."""
        return [*self.submissions, *self.reports]

    def expected(self, source: Path) -> list[JudgedRule]:
        """Return every rule (and case) that a verdict on ``source`` needs, in the rulebook's order."""
        numbers = range(len(self.reports[source])) if source in self.reports else range(1)
        return [
            JudgedRule(source, rule, ref.label, number)
            for number in numbers
            for ref in self.tracks
            for rule in self.books[ref.book].rules_of(ref.track)
        ]

    def plan(self, judged: Iterable[JudgedRule]) -> None:
        """Note which facts the selected tests will need."""
        for each in judged:
            if each.source not in self.reports and not each.rule.not_applicable:
                self.store.plan(each.source, self.checks[each.rule.check].steps)

    def facts_of(self, judged: JudgedRule) -> Facts:
        """Return the facts that a test needs, gathering them when they are not there yet."""
        if judged.source in self.reports:
            return self.reports[judged.source][judged.number][1]
        steps = () if judged.rule.not_applicable else self.checks[judged.rule.check].steps
        return self.store.facts(judged.source, steps, self.on_progress)

    def device_trouble(self, judged: JudgedRule) -> str:
        """Return why the device that was asked for is not there, when this test needs it; else ""."""
        if judged.source in self.reports or judged.rule.not_applicable:
            return ""
        failures = self.facts_of(judged).failures
        found = (failures[step].message for step in self.checks[judged.rule.check].steps if step in failures)
        return next((message for message in found if message.startswith("DeviceError: ")), "")

    def judge(self, judged: JudgedRule) -> Outcome:
        """Gather what is needed and judge."""
        return judge(self.facts_of(judged), judged.rule)

    @staticmethod
    def record(node: pytest.Item, judged: JudgedRule, outcome: Outcome) -> None:
        """Attach the outcome to the test, so that it reaches the controller, JUnit and other reporters."""
        node.user_properties.append((PROPERTY, encode_outcome(judged, outcome)))

    def close(self) -> None:
        """Remove the run's folder, when this process made it."""
        if self._owned_root:
            shutil.rmtree(self.root, ignore_errors=True)


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


def decode_outcome(properties: Iterable[tuple[str, object]]) -> tuple[tuple[str, int, str, str], Outcome] | None:
    """Return ((source, number, track, rule), outcome) from a test report's properties, or None."""
    for name, value in properties:
        if name == PROPERTY:
            payload: Mapping[str, Any] = json.loads(str(value))
            key = (payload["source"], payload["number"], payload["track"], payload["rule"])
            return key, msgspec.convert(payload["outcome"], Outcome)
    return None
