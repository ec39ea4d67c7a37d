"""The facts of a run: gathered in the sandbox when they are asked for, or taken from an earlier report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Protocol, cast

from pytest_facechallenge.analyses.table import ANALYSIS_OF, STEPS, with_needs
from pytest_facechallenge.core.analysis import SourceKind
from pytest_facechallenge.core.facts.base import Facts, FailureKind
from pytest_facechallenge.core.outcome import Outcome
from pytest_facechallenge.engine.judge import judge_rule
from pytest_facechallenge.engine.plan import JudgedRule, Plan
from pytest_facechallenge.sandbox.fact_store import FactStore
from pytest_facechallenge.sandbox.kept_facts import KeptFacts
from pytest_facechallenge.sandbox.process import Limits, default_memory_bytes
from pytest_facechallenge.sandbox.scratch import Scratch


class Elsewhere(Protocol):
    """Other machines that do a part of what is about to be gathered."""

    def during(
        self, source: Path, steps: tuple[str, ...], on_progress: Callable[[str], None]
    ) -> AbstractContextManager[None]:
        """Have done there what can be, before and while steps are gathered here."""
        ...

    def close(self) -> None:
        """Let go of them."""
        ...


def silent(_line: str) -> None:
    """Show no progress."""


class Gatherer:
    """Gives facts about the sources of a plan.

    Parameters
    ----------
    plan
        What is judged.
    shared_root
        Folder that the processes of a distributed run share; a new private one is made when it is None.
    """

    def __init__(self, plan: Plan, shared_root: Path | None = None) -> None:
        self.plan = plan
        #: Other machines that take a part; none unless somebody names some.
        self.elsewhere: Elsewhere | None = None
        self._scratch = Scratch() if shared_root is None else None
        #: The folder that all processes of the run share.
        self.root: Path = self._scratch.path if self._scratch is not None else cast("Path", shared_root)

    @cached_property
    def store(self) -> FactStore:
        """Where gathered facts lie."""
        values = self.plan.values
        memory = values.number("memory") << 20
        limits = Limits(idle_seconds=float(values.number("timeout")), memory_bytes=memory or default_memory_bytes())
        folder = values.path_of("store")
        found = frozenset(path for path, source in self.plan.sources.items() if not source.named)
        kept = KeptFacts(Path(folder), self.plan.run_options, self.plan.options, limits, found) if folder else None
        return FactStore(self.root, self.plan.run_options, limits, found, kept)

    @cached_property
    def _recorded(self) -> dict[tuple[Path, int], Facts]:
        return {
            (path, number): submission.as_facts()
            for path, source in self.plan.sources.items()
            for number, submission in enumerate(source.recorded)
        }

    def select(self, judged: Iterable[JudgedRule]) -> None:
        """Gather no more than these rules need; said once, before anything is gathered."""
        if "store" in vars(self):
            return
        only: dict[str, list[tuple[str, str]]] = {}
        for each in judged:
            for name in {ANALYSIS_OF[step].name for step in with_needs(set(self.plan.steps_of(each)))}:
                only.setdefault(name, []).append(each.key[2:])
        self.plan = self.plan.narrowed(only)

    def note(self, judged: Iterable[JudgedRule]) -> None:
        """Note which facts will be needed, so that one process can gather them together.

        What views of the report read comes along where all that it builds on is needed anyway.
        """
        for each in judged:
            if self.plan.sources[each.source].kind is not SourceKind.REPORT:
                steps = set(with_needs(set(self.plan.steps_of(each))))
                views = {step.name for step in STEPS.values() if step.for_views and steps.issuperset(step.needs)}
                self.store.plan(each.source, steps | views)

    def facts_for(self, judged: JudgedRule, on_progress: Callable[[str], None] = silent) -> Facts:
        """Return the facts that a rule needs, gathering them when they are not there yet."""
        if self.plan.sources[judged.source].kind is SourceKind.REPORT:
            return self._recorded[judged.source, judged.number]
        steps = self.plan.steps_of(judged)
        if self.elsewhere is None:
            return self.store.facts(judged.source, steps, on_progress)
        with self.elsewhere.during(judged.source, steps, on_progress):
            return self.store.facts(judged.source, steps, on_progress)

    def recorded(self, path: Path, number: int = 0) -> Facts:
        """Return the facts about a submission that are there so far, gathering nothing."""
        if self.plan.sources[path].kind is SourceKind.REPORT:
            return self._recorded[path, number]
        return self.store.recorded(path)

    def changed(self, path: Path) -> str:
        """Return what is to be said of a submission that is no longer what was judged, or ""; asked at the end."""
        return self.store.changed(path) if self.plan.sources[path].kind is SourceKind.MODEL else ""

    def judge(self, judged: JudgedRule, on_progress: Callable[[str], None] = silent) -> Outcome:
        """Gather what is needed, and judge."""
        return judge_rule(self.facts_for(judged, on_progress), judged.rule)

    def device_trouble(self, judged: JudgedRule, on_progress: Callable[[str], None] = silent) -> str:
        """Return why the device that was asked for is not there, when this rule needs it; else ""."""
        if self.plan.sources[judged.source].kind is SourceKind.REPORT:
            return ""
        failures = self.facts_for(judged, on_progress).failures
        needed = with_needs(set(self.plan.steps_of(judged)))
        found = (failures[step] for step in needed if step in failures)
        return next((failure.message for failure in found if failure.kind is FailureKind.DEVICE), "")

    def close(self) -> None:
        """Remove the run's folder, when this process made it."""
        if self.elsewhere is not None:
            self.elsewhere.close()
        if self._scratch is not None:
            self._scratch.remove()
