"""Entries judged on other machines: each is a task, and its report is written there, into the folder that all see.

A machine makes the same plan from the same options, judges one entry in its own sandbox by the same code, and keeps the
facts in the audit's store: an entry whose machine dies is judged by another, which finds what was gathered.
"""

from __future__ import annotations

import hashlib
import json
import socket
import time
from dataclasses import dataclass
from functools import lru_cache
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
from pytest_facechallenge.core.options import OptionValues
from pytest_facechallenge.core.path_state import forget_states, state_of
from pytest_facechallenge.engine.gatherer import Gatherer
from pytest_facechallenge.engine.plan import Plan, make_plan
from pytest_facechallenge.engine.report import Report, RulebookReference, write_atomically

if TYPE_CHECKING:
    from pytest_facechallenge.core.machines import Machines

#: The file in the audit's folder that tells machines what is judged; it goes at the end.
ORDER = "machines.json"


@dataclass(frozen=True)
class EntryTask:
    """An entry to judge: the order and its SHA-256, the entry, what it looks like, and the audit's folder."""

    order: str
    digest: str
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
        order = _write_order(plan, out)
        try:
            return _judge_all(machines, plan, out, told, order)
        finally:
            order.unlink(missing_ok=True)

    return judge_all


def _judge_all(machines: Machines, plan: Plan, out: Path, told: Told | None, order: Path) -> AllJudged:
    digest = hashlib.sha256(order.read_bytes()).hexdigest()
    tasks = [EntryTask(str(order), digest, str(path), state_of(path), str(out)) for path in plan.sources]
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
    plan = _plan(task.order, task.digest)
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


def _write_order(plan: Plan, out: Path) -> Path:
    """Write what another machine makes the same plan from: the options, and every entry, since names depend on all."""
    about = {
        "begun": time.time(),
        "base": str(plan.values.base),
        "values": dict(plan.values.values),
        "entries": [[str(path), source.named] for path, source in plan.sources.items()],
    }
    path = out / ORDER
    write_atomically(path, json.dumps(about).encode("ascii"))
    return path


@lru_cache(maxsize=1)
def _plan(order: str, digest: str) -> Plan:
    """Return the plan of an order; made once in a process for each audit.

    Raises
    ------
    MachinesError
        The order cannot be read here, or what it names cannot be used here.
    """
    forget_states()
    where = f"on {socket.gethostname()} the audit cannot be set up"
    try:
        content = Path(order).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise MachinesError(f"{where}: {order} is another one there")
        about = json.loads(content)
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in about["values"].items()}
        entries = {Path(path): bool(named) for path, named in about["entries"]}
        plan = make_plan(OptionValues(given, Path(about["base"])), submissions=entries)
        plan.validate()
    except MachinesError:
        raise
    except (OSError, ValueError) as error:
        raise MachinesError(f"{where}: {error}") from error
    return plan
