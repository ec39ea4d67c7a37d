"""Work of a single submission shared out to other machines: shards of its embedding, parts of its verification.

A shard is the same step, gathered in a sandbox of that machine with options that name a part of the work; what it
embeds goes into the cache, where the step finds it here. So nothing depends on whether a machine did its part: what is
missing is computed here. While the step is gathered here, in a sandbox without a network, it offers parts of large
verifications in the cache, which are given to machines as well (`offered_parts.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from pytest_facechallenge.analyses.table import ANALYSES, ANALYSIS_OF
from pytest_facechallenge.cluster import Local, connect, named
from pytest_facechallenge.core.machines import MachinesError
from pytest_facechallenge.core.path_state import forget_states, state_of
from pytest_facechallenge.engine.gatherer import Gatherer
from pytest_facechallenge.engine.orders import Order, ordered, plan_of
from pytest_facechallenge.sandbox.fact_store import FactStore

if TYPE_CHECKING:
    from pytest_facechallenge.cluster.connection import Cluster
    from pytest_facechallenge.core.analysis import Analysis
    from pytest_facechallenge.engine.plan import Plan

#: Shards for each call that the machines can do at once: where some are slower, others do more.
_SHARDS = 2


def share_out(gatherer: Gatherer, *, connect_now: bool) -> None:
    """Let a gatherer share out work, where the run names machines and has something for them.

    Parameters
    ----------
    connect_now
        Whether machines that cannot be used end the run: one process says so at its beginning.

    Raises
    ------
    MachinesError
        The machines cannot be used.
    """
    plan = gatherer.plan
    text, base = plan.values.text("dask"), plan.values.base
    if not text:
        return
    if not any(each.shared_out(plan.options[each.name], 1) for each in ANALYSES):
        if connect_now and not isinstance(named(text, base), Local):
            with connect(text, base):  # there is nothing for them to do; an address that is wrong is wrong all the same
                pass
        return
    gatherer.elsewhere = sharing = Sharing(gatherer)
    if connect_now:
        sharing.machines.check(Path(plan.values.path_of("cache")))


@dataclass(frozen=True)
class ShardTask:
    """A part of an analysis of one submission."""

    order: Order
    source: str
    state: str
    analysis: str
    number: int
    count: int


class Sharing:
    """Shares out the work of a run's submissions, each once.

    Parameters
    ----------
    gatherer
        Of the run; its plan is asked for when there is work, and may be narrowed to what was selected until then.
    """

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer
        self._stack = contextlib.ExitStack()
        self._done: set[tuple[Path, str]] = set()

    @property
    def _plan(self) -> Plan:
        return self._gatherer.plan

    @property
    def _store(self) -> FactStore:
        return self._gatherer.store

    @cached_property
    def machines(self) -> Cluster:
        """The machines; connected to when they are first asked for, which may raise `MachinesError`."""
        return self._stack.enter_context(connect(self._plan.values.text("dask"), self._plan.values.base))

    def close(self) -> None:
        """Let go of the machines."""
        self._stack.close()

    @contextlib.contextmanager
    def during(self, source: Path, steps: tuple[str, ...], on_progress: Callable[[str], None]) -> Iterator[None]:
        """Share out what can be of steps that are about to be gathered; what goes wrong is said and done here."""
        with contextlib.ExitStack() as stack:
            for analysis in ANALYSES:
                wanted = [step for step in steps if ANALYSIS_OF[step] is analysis]
                if not (wanted and analysis.shards) or (source, analysis.name) in self._done:
                    continue
                self._done.add((source, analysis.name))
                try:
                    if not self._store.missing(source, wanted):
                        continue
                    self._share_out(source, analysis, on_progress)
                    folder = analysis.offered_in(self._plan.options[analysis.name])
                    if folder is not None:
                        # Numerical libraries come with it, which nobody needs who names no machines.
                        from pytest_facechallenge.engine.offered_parts import OfferedParts

                        stack.enter_context(OfferedParts(self.machines, folder, on_progress))
                except MachinesError as error:
                    on_progress(f"the machines of --facechallenge-dask did not do their part: {error}; it is done here")
            yield

    def _share_out(self, source: Path, analysis: Analysis, on_progress: Callable[[str], None]) -> None:
        if not analysis.shared_out(self._plan.options[analysis.name], 1):
            return
        count = _SHARDS * max(1, self.machines.slots)
        shared = Path(self._plan.values.path_of("cache"))
        facts_dir = self._store.facts_dir(source)
        # Of several processes of a run one shares out.
        with filelock.FileLock(str(facts_dir / "shards.lock")):
            marker = facts_dir / f"{analysis.name}.shards"
            if marker.exists():
                return
            marker.touch()
            self.machines.check(shared)
            forget_states()
            with ordered(self._plan, shared) as order:
                tasks = [
                    ShardTask(order, str(source), state_of(source), analysis.name, number, count)
                    for number in range(count)
                ]
                for done, _ in enumerate(self.machines.each(gather_shard, tasks), start=1):
                    on_progress(f"{analysis.name}: {done} of {count} shards done by other machines")


def gather_shard(task: ShardTask) -> None:
    """Gather one shard; called on other machines.

    Raises
    ------
    MachinesError
        This machine does not see what the run is about, or sees something else.
    """
    plan = plan_of(task.order)
    if state_of(task.source) != task.state:
        raise MachinesError(f"{task.source} is not the same on every machine: it must be shared, under the same path")
    (analysis,) = (each for each in ANALYSES if each.name == task.analysis)
    part = analysis.shared_out(plan.options[analysis.name], task.count)[task.number]
    gatherer = Gatherer(dataclasses.replace(plan, options={**plan.options, analysis.name: part}))
    try:
        gatherer.store.facts(Path(task.source), [step.name for step in analysis.steps])
    finally:
        gatherer.close()
