"""Judging every entry of a plan, several at a time, each to a report of its own; and the document about all of them."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pytest_facechallenge.auditing import across, csv_table, duplicates, history, neighbours, page, ranking, rows
from pytest_facechallenge.auditing.document import SCHEMA, Audit, EntryRow
from pytest_facechallenge.core.analysis import SourceKind
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.options import OptionError
from pytest_facechallenge.core.version import __version__
from pytest_facechallenge.engine.build_report import build
from pytest_facechallenge.engine.gatherer import Gatherer
from pytest_facechallenge.engine.left_orders import remove_left_orders
from pytest_facechallenge.engine.plan import Plan
from pytest_facechallenge.engine.report import Report, RulebookReference, Tool, write_atomically

DOCUMENT, REPORTS, HISTORY = "audit.json", "reports", "history"
PAGE, TABLE = "leaderboard.html", "leaderboard.csv"
#: Characters of an entry's name in the name of its report.
_MOST_NAME = 60

#: Told when an entry was judged: its row, how many are judged by now, how many there are, seconds it took.
Told = Callable[[EntryRow, int, int, float], None]


@dataclass
class Judged:
    """What is kept in memory of an entry that was judged: its row, and the facts that entries are compared by."""

    row: EntryRow
    compared: Facts


#: What judging all entries gives: each by its path, the rulebooks, and why facts could not be kept, "" where they were.
AllJudged = tuple[dict[Path, Judged], tuple[RulebookReference, ...], str]
JudgeAll = Callable[[Plan, Path, Told | None], AllJudged]


def run(plan: Plan, out: Path, jobs: int, told: Told | None = None, elsewhere: JudgeAll | None = None) -> Audit:
    """Judge every entry, write a report for each and the document of all, and return that.

    Parameters
    ----------
    plan
        What is judged. Its option ``store`` names where facts are kept: with it a run that was stopped goes on.
    out
        The audit's folder.
    jobs
        Entries that are judged at the same time.
    elsewhere
        Judges all of them, and writes their reports, on other machines (`on_machines.judging`); None for here.

    Raises
    ------
    ReportError
        The folder holds something else, or cannot be written.
    OptionError
        There is nothing to audit.
    """
    if not plan.sources:
        raise OptionError("there is no entry to audit")
    earlier = Audit.load(out / DOCUMENT) if (out / DOCUMENT).exists() else None
    (out / REPORTS).mkdir(parents=True, exist_ok=True)
    remove_left_orders(out)
    judged, rulebooks, trouble = _judge_here(plan, out, jobs, told) if elsewhere is None else elsewhere(plan, out, told)
    compared = {path: each.compared for path, each in judged.items()}
    entries = across.judged_together(plan, compared, out, judged_rows(judged))
    entries, compared_pairs = neighbours.compared(ranking.ranked(entries, plan.books), plan.books, out)
    alike = duplicates.found(entries, list(compared.values()), identical(entries))
    comparable = {row.track for entry in entries for row in entry.tracks if row.comparable}
    found = Audit(
        schema=SCHEMA,
        tool=Tool(name="pytest-facechallenge", version=__version__),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        rulebooks=rulebooks,
        entries=entries,
        baselines=tuple(row for track in sorted(comparable) for row in ranking.baselines(track, plan.books)),
        neighbours=compared_pairs,
        identical=identical(entries),
        related=alike.related,
        known=alike.known,
        not_compared=alike.not_compared,
        previous=earlier.date if earlier is not None else "",
        troubles=(trouble,) if trouble else (),
    )
    if earlier is not None:
        found = msgspec.structs.replace(found, changes=history.changes(earlier, found))
        (out / HISTORY).mkdir(exist_ok=True)
        write_atomically(out / HISTORY / f"{re.sub('[^0-9]', '', earlier.date)[:14]}.json", earlier.to_json())
    write_atomically(out / PAGE, page.render(found))
    write_atomically(out / TABLE, csv_table.render(found))
    write_atomically(out / DOCUMENT, found.to_json())
    return found


def judged_rows(judged: dict[Path, Judged]) -> tuple[EntryRow, ...]:
    """Return the rows, in the order of the plan."""
    return tuple(each.row for each in judged.values())


def _judge_here(plan: Plan, out: Path, jobs: int, told: Told | None) -> AllJudged:
    gatherer = Gatherer(plan)
    try:
        judged, rulebooks = _judge_all(plan, gatherer, out, jobs, told)
        return judged, rulebooks, gatherer.store.kept.trouble if gatherer.store.kept is not None else ""
    finally:
        gatherer.close()


def _judge_all(
    plan: Plan, gatherer: Gatherer, out: Path, jobs: int, told: Told | None
) -> tuple[dict[Path, Judged], tuple[RulebookReference, ...]]:
    done: list[int] = []
    lock = threading.Lock()
    books: list[RulebookReference] = []

    def judge(path: Path) -> Judged:
        started = time.monotonic()
        report, gathered, reused, compared = judge_entry(plan, gatherer, path)
        name = report_name(path)
        report.save(out / REPORTS / name)
        row = rows.entry_row(report.submissions[0], f"{REPORTS}/{name}", gathered, reused, plan.books)
        with lock:
            done.append(1)
            books[:] = report.rulebooks
            if told is not None:
                told(row, len(done), len(plan.sources), time.monotonic() - started)
        return Judged(row, compared)

    futures: dict[Path, Future[Judged]] = {}
    with ThreadPoolExecutor(max(1, jobs), thread_name_prefix="audit") as pool:
        try:
            for path in plan.sources:
                futures[path] = pool.submit(judge, path)
            judged = {path: future.result() for path, future in futures.items()}
        except BaseException:
            # Nothing new is begun, and what runs is ended: a worker alone could go on for minutes.
            gatherer.store.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return judged, tuple(books)


def judge_entry(plan: Plan, gatherer: Gatherer, path: Path) -> tuple[Report, int, int, Facts]:
    """Return the report of one entry, how many steps were gathered for it and reused, and the facts to compare by."""
    expected = plan.expected(path)
    gatherer.note(expected)
    if plan.sources[path].kind is SourceKind.MODEL:
        # Before the rules are judged: what a check says of a known network rests on them.
        gatherer.store.facts(path, duplicates.STEPS)
    outcomes = {judged.key: gatherer.judge(judged) for judged in expected}
    report = build(plan, gatherer, outcomes, {}, sources=[path])
    facts = gatherer.recorded(path)
    taken = gatherer.store.kept.taken_of(path) if gatherer.store.kept is not None else frozenset()
    gatherer.store.release(path)
    there = {*facts.gathered, *facts.failures}
    return report, len(there - taken), len(there & taken), to_compare(facts)


def to_compare(facts: Facts) -> Facts:
    """Return of an entry's facts, and of what could not be gathered, those that entries are compared by."""
    kinds = {kind.step for each in across.ACROSS for kind in each.needs} | set(duplicates.STEPS)
    return Facts(
        {step: fact for step, fact in facts.gathered.items() if step in kinds},
        {step: failure for step, failure in facts.failures.items() if step in kinds},
    )


def report_name(path: Path) -> str:
    """Return the name of the file of an entry's report: the same in every audit, and of no other entry."""
    shown = re.sub(r"[^A-Za-z0-9._-]+", "_", path.name)[:_MOST_NAME].strip("._") or "entry"
    return f"{shown}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}.json"


def identical(entries: tuple[EntryRow, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of entries that are the same byte for byte."""
    groups: dict[str, list[str]] = {}
    for entry in entries:
        if entry.sha256:
            groups.setdefault(entry.sha256, []).append(entry.path)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
