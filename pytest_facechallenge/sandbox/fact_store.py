"""Where facts lie during a run: gathered once, on demand, also when several pytest-xdist workers ask for them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

import filelock

from pytest_facechallenge.analyses.table import ANALYSES, STEPS, with_needs
from pytest_facechallenge.core.facts.base import Facts, FailureKind, StepFailure
from pytest_facechallenge.core.files import remove_tree
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.sandbox.process import Limits, Request, run_steps
from pytest_facechallenge.sandbox.results import read_result, result_path, write_failure


def read_facts(facts_dir: Path) -> Facts:
    """Read what a submission's folder of facts holds so far."""
    facts = Facts()
    for name, step in STEPS.items():
        result = read_result(facts_dir, name, step.facts_type()) if result_path(facts_dir, name).exists() else None
        if isinstance(result, StepFailure):
            # What no check reads and only could not be looked at either is nothing that anybody wants to hear of.
            if not (step.for_views and result.kind is FailureKind.BLOCKED):
                facts.failures[name] = result
        elif result is not None:
            facts.gathered[name] = result
    return facts


class FactStore:
    """The facts of every submission of a run.

    Parameters
    ----------
    root
        A private folder that all processes of the run share.
    options, limits
        For the sandbox.
    """

    def __init__(self, root: Path, options: RunOptions, limits: Limits) -> None:
        self.root = root
        self.options = options
        self.limits = limits
        self.planned: dict[Path, set[str]] = {}

    def plan(self, source: Path, steps: Iterable[str]) -> None:
        """Note steps that will be asked for, so that one process can gather them together."""
        self.planned.setdefault(source, set()).update(steps)

    def facts_dir(self, source: Path) -> Path:
        """Return the folder that holds a submission's facts."""
        return self.root / hashlib.sha256(os.fsencode(source)).hexdigest()[:16]

    def facts(
        self, source: Path, steps: Iterable[str], on_progress: Callable[[str], None] = lambda _line: None
    ) -> Facts:
        """Return the facts of ``source``, gathering those of ``steps`` that are not there yet.

        A step that fails leaves a `StepFailure`; this never raises for what a submission does.
        """
        facts_dir = self.facts_dir(source)
        wanted = with_needs(set(steps))
        stages = {STEPS[name].stage for name in wanted}
        planned = with_needs(self.planned.get(source, set()))
        together = set(wanted) | {name for name in planned if STEPS[name].stage in stages}
        facts_dir.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(str(facts_dir / "lock")):
            facts = read_facts(facts_dir)
            missing = [
                name for name in with_needs(together) if name not in facts.gathered and name not in facts.failures
            ]
            if missing:
                self._gather(source, facts_dir, missing, on_progress)
                facts = read_facts(facts_dir)
        return facts

    def recorded(self, source: Path) -> Facts:
        """Return what has been gathered so far, gathering nothing."""
        facts_dir = self.facts_dir(source)
        return read_facts(facts_dir) if facts_dir.is_dir() else Facts()

    def changed(self, source: Path) -> str:
        """Return what is to be said of a submission that is no longer what was judged, or "".

        To be asked at the end of a run. Reads the submission, so it takes as long as that.
        """
        facts = self.recorded(source)
        return " ".join(filter(None, (analysis.said_at_end(source, facts) for analysis in ANALYSES)))

    def release(self, source: Path) -> None:
        """Remove the private copy of a submission, of which nothing more will be asked; its facts stay.

        A run over hundreds of submissions would keep all of them on the disk until its end otherwise.
        """
        facts_dir = self.facts_dir(source)
        if facts_dir.is_dir():
            with filelock.FileLock(str(facts_dir / "lock")):
                remove_tree(facts_dir / "work")

    def _gather(self, source: Path, facts_dir: Path, steps: list[str], on_progress: Callable[[str], None]) -> None:
        workdir = facts_dir / "work"
        workdir.mkdir(exist_ok=True)
        for _stage, names in groupby(steps, key=lambda name: STEPS[name].stage):
            runnable = self._unblocked(facts_dir, list(names))
            if runnable:
                request = Request(
                    source=str(source),
                    workdir=str(workdir),
                    facts_dir=str(facts_dir),
                    steps=tuple(runnable),
                    options=self.options,
                    limits=self.limits,
                )
                run_steps(request, on_progress, still_worth=lambda left: self._unblocked(facts_dir, left))

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
