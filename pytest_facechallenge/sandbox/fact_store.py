"""Where facts lie during a run: gathered once, on demand, also when several pytest-xdist workers ask for them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable
from itertools import groupby, islice
from pathlib import Path

import filelock

from pytest_facechallenge.analyses.table import ANALYSES, STEPS, with_needs
from pytest_facechallenge.core.analysis import Stage
from pytest_facechallenge.core.facts.base import Facts, FailureKind, StepFailure
from pytest_facechallenge.core.files import remove_tree
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.sandbox.kept_facts import KeptFacts
from pytest_facechallenge.sandbox.process import Limits, Request, run_steps
from pytest_facechallenge.sandbox.results import read_result, result_path, write_failure

#: Bytes of a submission up to which one process both runs and probes its model.
_SMALL = 64 << 20
#: Files of a submission that are weighed; one with more is not small.
_MOST_FILES = 100


def read_facts(facts_dir: Path) -> Facts:
    """Read what a submission's folder of facts holds so far."""
    facts = Facts()
    for name, step in STEPS.items():
        result = read_result(facts_dir, name, step.facts_type()) if result_path(facts_dir, name).exists() else None
        if isinstance(result, StepFailure):
            facts.failures[name] = result
        elif result is not None:
            facts.gathered[name] = result
    return facts


def _file_makers(steps: Iterable[str]) -> list[str]:
    """Return the steps that leave files which ``steps`` read."""
    return [name for name in with_needs(set(steps)) if STEPS[name].leaves_files]


def _missing(steps: Iterable[str], facts: Facts) -> list[str]:
    return [name for name in steps if name not in facts.gathered and name not in facts.failures]


def _is_small(source: Path) -> bool:
    """Whether a submission is small enough for one process to run and to probe its model."""
    try:
        files = [source] if source.is_file() else list(islice(source.iterdir(), _MOST_FILES))
        weighed = [file.stat().st_size for file in files if file.is_file()]
        return len(weighed) == len(files) < _MOST_FILES and sum(weighed) <= _SMALL
    except OSError:  # what is wrong with it is a finding of the first step
        return False


def _told(facts: Facts) -> Facts:
    """Return a copy without failures of what no check reads and could not be looked at either."""
    failures = {
        name: failure
        for name, failure in facts.failures.items()
        if not (STEPS[name].for_views and failure.kind is FailureKind.BLOCKED)
    }
    return Facts(gathered=dict(facts.gathered), failures=failures)


class FactStore:
    """The facts of every submission of a run.

    Parameters
    ----------
    root
        A private folder that all processes of the run share.
    options, limits
        For the sandbox.
    found
        Sources that nobody named, because they were found in a folder: these may not be links.
    kept
        Facts of earlier runs; None where none are used.
    """

    def __init__(
        self,
        root: Path,
        options: RunOptions,
        limits: Limits,
        found: frozenset[Path] = frozenset(),
        kept: KeptFacts | None = None,
    ) -> None:
        self.root = root
        self.options = options
        self.limits = limits
        self.found = found
        self.kept = kept
        self.planned: dict[Path, set[str]] = {}
        #: Whether a submission is small, when first asked: its steps must not change their places meanwhile.
        self._small: dict[Path, bool] = {}
        self._stopped = threading.Event()
        #: The facts that were read last: a submission is asked about dozens of times in a row.
        self._last: tuple[Path, Facts] = (Path(), Facts())

    def plan(self, source: Path, steps: Iterable[str]) -> None:
        """Note steps that will be asked for, so that one process can gather them together."""
        self.planned.setdefault(source, set()).update(steps)

    def stop(self) -> None:
        """End what is being gathered in other threads, and gather nothing more: there `RunStopped` is raised."""
        self._stopped.set()

    def facts_dir(self, source: Path) -> Path:
        """Return the folder that holds a submission's facts.

        128 bits: whoever chooses file names finds two with the same 64 in minutes, and one would be judged by the facts
        of the other.
        """
        return self.root / hashlib.sha256(os.fsencode(source)).hexdigest()[:32]

    def facts(
        self, source: Path, steps: Iterable[str], on_progress: Callable[[str], None] = lambda _line: None
    ) -> Facts:
        """Return the facts of ``source``, gathering those of ``steps`` that are not there yet.

        A step that fails leaves a `StepFailure`; this never raises for what a submission does. When the last of the
        steps that were planned for a submission is there, its private copy goes (`release`).
        """
        facts_dir = self.facts_dir(source)
        wanted = with_needs(set(steps))
        stages = {self._stage(source, name) for name in wanted}
        planned = with_needs(self.planned.get(source, set()))
        together = set(wanted) | {name for name in planned if self._stage(source, name) in stages}
        if self._last[0] == source and _missing(together, self._last[1]) == []:
            return _told(self._last[1])
        facts_dir.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(str(facts_dir / "lock")):
            facts = read_facts(facts_dir)
            if missing := _missing(with_needs(together), facts):
                if self.kept is not None:
                    self.kept.restore(source, facts_dir, missing)
                    facts = read_facts(facts_dir)
                    missing = _missing(missing, facts)
                if missing and self._has_copy(source, facts_dir, facts, missing, on_progress):
                    self._gather(source, facts_dir, missing, on_progress)
                facts = read_facts(facts_dir)
                wanted_later = any(STEPS[name].file_wanted for name in (*planned, *together))
                if planned and not _missing(planned, facts) and not wanted_later:
                    remove_tree(facts_dir / "work")
        self._last = (source, facts)
        return _told(facts)

    def missing(self, source: Path, steps: Iterable[str]) -> list[str]:
        """Return which of the steps would have to be gathered; what an earlier run has kept of them is taken."""
        facts_dir = self.facts_dir(source)
        facts_dir.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(str(facts_dir / "lock")):
            missing = _missing(with_needs(set(steps)), read_facts(facts_dir))
            if missing and self.kept is not None:
                self.kept.restore(source, facts_dir, missing)
            return _missing(steps, read_facts(facts_dir))

    def recorded(self, source: Path) -> Facts:
        """Return what has been gathered so far, gathering nothing."""
        facts_dir = self.facts_dir(source)
        return _told(read_facts(facts_dir)) if facts_dir.is_dir() else Facts()

    def changed(self, source: Path) -> str:
        """Return what is to be said of a submission that is no longer what was judged, or "".

        To be asked at the end of a run. Reads the submission, so it takes as long as that.
        """
        facts = self.recorded(source)
        return " ".join(filter(None, (analysis.said_at_end(source, facts) for analysis in ANALYSES)))

    def release(self, source: Path) -> None:
        """Remove the private copy of a submission, of which nothing more will be asked; its facts stay.

        A run over hundreds of submissions would keep all of them on the disk until its end otherwise. A step that is
        asked for nevertheless copies the submission again.
        """
        facts_dir = self.facts_dir(source)
        if facts_dir.is_dir():
            with filelock.FileLock(str(facts_dir / "lock")):
                remove_tree(facts_dir / "work")

    def _has_copy(
        self, source: Path, facts_dir: Path, facts: Facts, steps: list[str], on_progress: Callable[[str], None]
    ) -> bool:
        """Return whether the private copy is there; make it again when it was released or its facts are a former run's.

        What is no longer the same submission leaves a failure in the place of every one of the steps.
        """
        before = {name: facts.gathered[name].identity() for name in _file_makers(steps) if name in facts.gathered}
        if not before or (facts_dir / "work").exists():
            return True
        again = facts_dir / "again"
        (facts_dir / "work").mkdir()
        again.mkdir()
        try:
            run_steps(self._request(source, again, facts_dir / "work", before), on_progress)
            found = read_facts(again).gathered
        finally:
            remove_tree(again)
        if before == {name: fact.identity() for name, fact in found.items()}:
            return True
        message = "the submission is no longer what was judged at first; judge it again when nobody writes it"
        for name in steps:
            write_failure(facts_dir, StepFailure(step=name, kind=FailureKind.MACHINE, message=message))
        return False

    def _request(self, source: Path, facts_dir: Path, workdir: Path, steps: Iterable[str]) -> Request:
        return Request(
            source=str(source),
            follow=source not in self.found,
            workdir=str(workdir),
            facts_dir=str(facts_dir),
            steps=tuple(steps),
            options=self.options,
            limits=self.limits,
        )

    def _gather(self, source: Path, facts_dir: Path, steps: list[str], on_progress: Callable[[str], None]) -> None:
        workdir = facts_dir / "work"
        workdir.mkdir(exist_ok=True)

        def told(line: str) -> None:
            self._keep(source, facts_dir, steps)
            on_progress(line)

        for _stage, names in groupby(steps, key=lambda name: self._stage(source, name)):
            runnable = self._unblocked(facts_dir, list(names))
            if runnable:
                request = self._request(source, facts_dir, workdir, runnable)
                run_steps(
                    request,
                    told,
                    still_worth=lambda left: self._unblocked(facts_dir, left),
                    stopped=self._stopped.is_set,
                )
            self._keep(source, facts_dir, steps)

    def _stage(self, source: Path, name: str) -> Stage:
        """Return the stage in whose process a step is gathered."""
        step = STEPS[name]
        if step.is_idle(self.options):
            return Stage.BEHAVIOUR
        if step.stage is Stage.PROBES and source not in self._small:
            self._small[source] = _is_small(source)
        return Stage.BEHAVIOUR if step.stage is Stage.PROBES and self._small[source] else step.stage

    def _keep(self, source: Path, facts_dir: Path, steps: list[str]) -> None:
        """Keep what is there by now: a run that is killed loses the step it was in and nothing else."""
        if self.kept is not None:
            self.kept.keep(source, facts_dir, steps)

    def _unblocked(self, facts_dir: Path, names: list[str]) -> list[str]:
        """Give every step that builds on a failed one its failure here, so that no process is started for it.

        A model that did not come back once is not run again: each further step would wait as long.
        """
        failures = dict(read_facts(facts_dir).failures)
        stuck = next(
            (name for name, why in failures.items() if why.kind == FailureKind.TIMEOUT and STEPS[name].runs_model), None
        )
        runnable = []
        for name in names:
            blocked = next((need for need in STEPS[name].needs if need in failures), None)
            if blocked is None and STEPS[name].runs_model:
                blocked = stuck
            if blocked is None:
                runnable.append(name)
                continue
            root = failures[blocked].because_of or blocked
            message = failures[blocked].message
            failures[name] = StepFailure(step=name, kind=FailureKind.BLOCKED, message=message, because_of=root)
            write_failure(facts_dir, failures[name])
        return runnable
