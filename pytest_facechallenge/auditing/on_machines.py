"""Entries judged on other machines: each is a task, and its report is written there, into the folder that all see.

A machine makes the same plan from the same options, judges one entry in its own sandbox by the same code, and keeps the
facts in the audit's store: an entry whose machine dies is judged by another, which finds what was gathered.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_facechallenge.auditing.rows import entry_row
from pytest_facechallenge.auditing.run import (
    REPORTS,
    AllJudged,
    JudgeAll,
    Judged,
    Told,
    judge_entry,
    report_name,
    to_compare,
)
from pytest_facechallenge.core.machines import MachinesError
from pytest_facechallenge.core.path_state import forget_states, state_of
from pytest_facechallenge.engine.gatherer import Gatherer
from pytest_facechallenge.engine.orders import Order, ordered, plan_of
from pytest_facechallenge.engine.plan import Plan
from pytest_facechallenge.engine.report import Report, RulebookReference

if TYPE_CHECKING:
    from pytest_facechallenge.core.machines import Machines


@dataclass(frozen=True)
class EntryTask:
    """An entry to judge: the order, the entry, what it looks like, and the audit's folder."""

    order: Order
    path: str
    state: str
    out: str


@dataclass(frozen=True)
class EntryDone:
    """How judging went: steps gathered and reused, seconds, why facts could not be kept, and where it was."""

    gathered: int
    reused: int
    seconds: float
    trouble: str
    host: str


def judging(machines: Machines) -> JudgeAll:
    """Return what judges all entries of a plan on machines; see `auditing.run.run`."""

    def judge_all(plan: Plan, out: Path, told: Told | None) -> AllJudged:
        machines.check(out)
        forget_states()
        with ordered(plan, out) as order:
            return _judge_all(machines, plan, out, told, order)

    return judge_all


def _judge_all(machines: Machines, plan: Plan, out: Path, told: Told | None, order: Order) -> AllJudged:
    tasks = [EntryTask(order, str(path), state_of(path), str(out)) for path in plan.sources]
    judged: dict[Path, Judged] = {}
    books: tuple[RulebookReference, ...] = ()
    trouble = ""
    for task, done in machines.each(judge_there, tasks):
        path = Path(task.path)
        name = report_name(path)
        report = Report.load(out / REPORTS / name)
        (submission,) = report.submissions
        row = entry_row(submission, f"{REPORTS}/{name}", done.gathered, done.reused, plan.books)
        judged[path] = Judged(row, to_compare(submission.as_facts()))
        books, trouble = report.rulebooks, trouble or done.trouble
        if told is not None:
            told(row, len(judged), len(tasks), done.seconds)
    return {path: judged[path] for path in plan.sources}, books, trouble


def judge_there(task: EntryTask) -> EntryDone:
    """Judge an entry and write its report; called on other machines.

    Raises
    ------
    MachinesError
        This machine does not see what the audit is of, or sees something else.
    """
    host = socket.gethostname()
    started = time.monotonic()
    path, out = Path(task.path), Path(task.out)
    plan = plan_of(task.order)
    if state_of(path) != task.state:
        raise MachinesError(
            f"{host} does not see the same {path} as the machine that audits: entries, testsets and the audit's folder "
            "must be shared, under the same paths on every machine"
        )
    gatherer = Gatherer(plan)
    try:
        report, gathered, reused, _ = judge_entry(plan, gatherer, path)
        report.save(out / REPORTS / report_name(path))
        trouble = gatherer.store.kept.trouble if gatherer.store.kept is not None else ""
    finally:
        gatherer.close()
    return EntryDone(gathered, reused, time.monotonic() - started, trouble, host)
