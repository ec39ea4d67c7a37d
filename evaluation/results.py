"""Judging many cases at once, and the rows that tables and summaries are made of."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator

import msgspec

from evaluation.case import Case
from evaluation.cases import get
from evaluation.product import judge_case, problem


class Row(msgspec.Struct, frozen=True):
    """The answer to one case.

    Attributes
    ----------
    name, split
        The case, and the set it came from.
    problem
        What is wrong with the answer; "" when it is right.
    evidence
        The first piece of evidence, or what was said instead.
    known
        Why this problem is known; "" where it is not.
    """

    name: str
    split: str
    problem: str
    evidence: str
    known: str

    @property
    def answer(self) -> str:
        """The answer in a word: right, missed, undecided, false alarm, note missing, error."""
        return self.problem.split(":")[0] or "right"


def row(name: str) -> Row:
    """Judge one case; a crash of the product is a result to report."""
    case = get(name)
    try:
        answer = judge_case(case)
    except Exception as error:  # whatever its type
        return Row(name, case.split, f"error: {type(error).__name__}: {error}", "", case.known_miss)
    rule = case.rules[0]
    evidence = answer.evidence(rule) or answer.message(rule)
    return Row(name, case.split, problem(case, answer), evidence, case.known_miss)


def judged(cases: Iterable[Case], jobs: int = 0) -> Iterator[Row]:
    """Judge cases, several at a time (``jobs`` 0: one on each processor), in their order."""
    names = [case.name for case in cases]
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1:
        yield from map(row, names)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(row, names, chunksize=1)
