"""Judging the networks, one after the other in processes of their own, so that nothing a network does ends the run."""

from __future__ import annotations

import multiprocessing
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import onnx
import onnxruntime
import psutil

from evaluation.case import BATCH_RULE, MODEL_RULES, Case
from evaluation.first_run import verdict_of
from evaluation.product import judge_whole
from evaluation.timm_families.record import FORMS, Candidate, Family, Row

SERVER_RULE = "server-runtime"
LONGEST_REASON = 300


@dataclass(frozen=True)
class Task:
    """One network: the models that are tried until one can be exported, by which exporter, in which form."""

    family: str
    candidates: tuple[Candidate, ...]
    exporter: str
    form: str


def tasks(families: Iterable[Family], exporters: Sequence[str], forms: Sequence[str]) -> Iterator[Task]:
    """Yield the networks: form after form and exporter after exporter, the smallest network first."""
    smallest_first = sorted(families, key=lambda each: min(candidate.parameters or 1 << 40 for candidate in each[1]))
    for form in (form for form in FORMS if form in forms):
        for exporter in exporters:
            for family in smallest_first:
                yield Task(family.name, family.candidates, exporter, form)


def with_model(task: Task, rows: dict[tuple[str, str, str], Row]) -> Task | None:
    """Return the task for the model that could be exported as it is; None where none could, or none was tried."""
    if task.form == FORMS[0]:
        return task
    plain = rows.get((task.family, task.exporter, FORMS[0]))
    if plain is None or not plain.judged:
        return None
    return Task(task.family, (Candidate(plain.model, plain.parameters),), task.exporter, task.form)


def judge(task: Task, keep: Path) -> Row:
    """Make and judge one network; the file stays in ``keep`` where the answer is not the right one."""
    from evaluation.timm_families import networks

    began = time.monotonic()
    first: Row | None = None
    for listed in task.candidates:
        candidate = listed
        said, reason = "not made", ""
        try:
            body = networks.built(listed.name, listed.parameters)
            said, candidate = "not exported", Candidate(candidate.name, networks.size(body))
            model = networks.exported(networks.FORMS[task.form](body).eval(), task.exporter)
            # What no runtime loads was not exported.
            onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        except Exception as error:  # timm and the exporters raise anything
            said = "left out" if isinstance(error, networks.LeftOutError) else said
            reason = f"{type(error).__name__}: {error}" if said != "left out" else str(error)
            first = first or _row(task, candidate, said=said, message=" ".join(reason.split())[:LONGEST_REASON])
            continue
        row = judged(model, _row(task, candidate, said="", opset=model.opset_import[0].version))
        if not row.right:
            keep.mkdir(parents=True, exist_ok=True)
            name = "_".join((candidate.name, task.exporter, *task.form.split()))
            onnx.save(model, str(keep / f"{name}.onnx"))
        return _timed(row, began)
    return _timed(first or _row(task, Candidate("", 0), said="not made", message="no model"), began)


def _row(task: Task, candidate: Candidate, **fields: Any) -> Row:
    return Row(
        family=task.family, model=candidate.name, exporter=task.exporter, form=task.form,
        parameters=candidate.parameters, **fields,
    )  # fmt: skip


def _timed(row: Row, began: float) -> Row:
    return msgspec.structs.replace(row, seconds=round(time.monotonic() - began, 1))


def judged(model: Any, row: Row) -> Row:
    """Judge one network as a submission, as the blind sets are; a crash of the product is a result to report."""
    plain = row.form == FORMS[0]
    case = Case(
        name=row.model, rules=() if plain else (BATCH_RULE,), expected="passed" if plain else "failed",
        idea=row.family, about="", build=lambda: model, whole=True,
    )  # fmt: skip
    try:
        answer = judge_whole(model, (*MODEL_RULES, SERVER_RULE))
    except Exception as error:  # whatever its type
        reason = f"{type(error).__name__}: {error}"[:LONGEST_REASON]
        return msgspec.structs.replace(row, said="error", message=reason)
    server = answer.outcomes.pop(SERVER_RULE)
    verdict = verdict_of(case, answer)
    shown = verdict.message.partition(":")[0]
    return msgspec.structs.replace(
        row, said=verdict.said, failed=verdict.failed, undecided=verdict.undecided, message=verdict.message,
        evidence=answer.evidence(shown)[: 2 * LONGEST_REASON] if shown else "", server=str(server.status.value),
    )  # fmt: skip


def families_in_a_process() -> tuple[list[Family], Any]:
    """Return the families, and the versions of the libraries; torch is loaded in another process only."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_families)


def _families() -> tuple[list[Family], Any]:
    from evaluation.timm_families import networks

    return list(networks.families()), networks.versions()


class Worker:
    """A process that judges one task after another, and is ended and started again when one takes too long."""

    def __init__(self, keep: Path, limit: float) -> None:
        self._keep, self.limit = keep, limit
        self._process: Any = None

    def __call__(self, task: Task) -> Row:
        """Judge one task."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, other = context.Pipe()
            self._process = context.Process(target=_serve, args=(other, self._keep), daemon=False)
            self._process.start()
            other.close()
        began = time.monotonic()
        reason = f"not done in {self.limit:.0f} seconds"
        try:
            self._pipe.send(task)
            if self._pipe.poll(self.limit):
                answer: Row = self._pipe.recv()
                return answer
        except (EOFError, OSError):
            reason = "the process ended"
        said = "out of time" if reason.startswith("not") else "not exported"
        self.close()
        return _timed(_row(task, task.candidates[0], said=said, message=reason), began)

    def close(self) -> None:
        """End the process and all that it started."""
        if self._process is None:
            return
        self._pipe.close()  # one that waits for a task ends by itself
        self._process.join(5)
        try:
            members = [psutil.Process(self._process.pid)]
            members += members[0].children(recursive=True)
            for member in members:
                member.kill()
        except psutil.NoSuchProcess:
            pass
        self._process.join()
        self._process = None


def _serve(pipe: Connection, keep: Path) -> None:
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    while True:
        try:
            task = pipe.recv()
        except EOFError:  # the run has ended
            return
        pipe.send(judge(task, keep))


def each(todo: Sequence[Task], jobs: int, worker: Callable[[], Worker]) -> Iterator[Row]:
    """Yield a row for each task as soon as it is done."""
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    done: queue.SimpleQueue[Row | BaseException] = queue.SimpleQueue()
    for task in todo:
        waiting.put(task)

    def work() -> None:
        mine = worker()
        try:
            while True:
                done.put(mine(waiting.get_nowait()))
        except queue.Empty:
            pass
        except BaseException as error:  # whatever ends this thread ends the run
            done.put(error)
        finally:
            mine.close()

    for _ in range(min(jobs, len(todo))):
        threading.Thread(target=work, daemon=True).start()
    for _ in todo:
        row = done.get()
        if isinstance(row, BaseException):
            raise row
        yield row
