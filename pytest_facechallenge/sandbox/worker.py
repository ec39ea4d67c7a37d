"""The sandboxed process: limits itself, then gathers facts step by step. Started by `sandbox`, never imported by it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import traceback
from pathlib import Path

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.analysis import Stage
from pytest_facechallenge.core.facts.base import Facts, FailureKind, StepFacts, StepFailure
from pytest_facechallenge.core.files import is_machines_fault
from pytest_facechallenge.core.freed_memory import give_back
from pytest_facechallenge.core.text import clean
from pytest_facechallenge.sandbox.death import MACHINE_EXIT
from pytest_facechallenge.sandbox.fact_store import read_facts
from pytest_facechallenge.sandbox.parent import die_with
from pytest_facechallenge.sandbox.process import Limits, Request
from pytest_facechallenge.sandbox.processor_time import allow_processor_time, limit_processor_time
from pytest_facechallenge.sandbox.results import private_prefix, write_facts, write_failure

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


#: Characters of an error's text that are kept.
_MOST_SAID = 600


def main(request_file: str) -> None:
    """Run the request in ``request_file``."""
    request = Request.decoded(Path(request_file).read_bytes())
    die_with(request.parent)
    facts_dir = Path(request.facts_dir)
    with (facts_dir / "worker.progress").open("a", encoding="utf-8", buffering=1) as progress:
        _limit(request.limits)
        _leave_network()
        if sys.platform == "linux":  # once more: it may forget that it was asked when a process gets other rights
            die_with(request.parent)

        def report(line: str) -> None:
            progress.write(f"say {clean(' '.join(line.split()))}\n")

        facts = read_facts(facts_dir)
        context = Context(
            Path(request.source),
            Path(request.workdir),
            facts,
            request.options,
            report,
            follow=request.follow,
            allow=allow_processor_time,
        )
        last_static = next((name for name in reversed(request.steps) if STEPS[name].stage is Stage.STATIC), "")
        for name in request.steps:
            progress.write(f"step {name}\n")
            _run_step(name, context, facts, facts_dir)
            if STEPS[name].stage is not Stage.STATIC or name == last_static:
                context.let_go()
            give_back()


def _run_step(name: str, context: Context, facts: Facts, facts_dir: Path) -> None:
    step = STEPS[name]
    blocked = next((need for need in step.needs if need in facts.failures), None)
    private = private_prefix(context.workdir)
    result: StepFacts | StepFailure
    if blocked is not None:
        cause = facts.failures[blocked]
        because_of = cause.because_of or blocked
        result = StepFailure(step=name, kind=FailureKind.BLOCKED, message=cause.message, because_of=because_of)
    else:
        try:
            result = step.gatherer()(context)
        except MemoryError:
            message = "more memory was asked for than the limit allows (--facechallenge-memory sets it)"
            result = StepFailure(step=name, kind=FailureKind.MEMORY, message=message)
        except Exception as error:  # whatever a hostile model provokes becomes a finding that carries its text
            traceback.print_exc()
            text = " ".join(str(error)[: 2 * _MOST_SAID].split())
            result = StepFailure(
                step=name, kind=_failure_kind(error), message=clean(f"{_kind(error)}{text}", _MOST_SAID)
            )
    stored = (
        write_failure(facts_dir, result, private)
        if isinstance(result, StepFailure)
        else write_facts(facts_dir, name, result, private)
    )
    if isinstance(stored, StepFailure):
        facts.failures[name] = stored
    else:
        facts.gathered[name] = stored


def _failure_kind(error: Exception) -> FailureKind:
    if type(error).__name__ == "DeviceError":
        return FailureKind.DEVICE
    if is_machines_fault(error):
        return FailureKind.MACHINE
    return FailureKind.ERROR


def _kind(error: Exception) -> str:
    """Return the kind of an error as the head of its message; "" for our own about models, which are sentences."""
    kind = type(error)
    return "" if kind.__module__.startswith("pytest_facechallenge.onnx_graph.") else f"{kind.__name__}: "


def _limit(limits: Limits) -> None:
    """Set the limits that the system can hold by itself; the parent watches memory and time everywhere."""
    if os.name != "posix":
        return
    import resource

    def cap(kind: int, value: int) -> None:
        _soft, hard = resource.getrlimit(kind)
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (wanted, hard))

    cap(resource.RLIMIT_CORE, 0)
    cap(resource.RLIMIT_NOFILE, limits.open_files)
    cap(resource.RLIMIT_FSIZE, limits.file_bytes)
    limit_processor_time(limits.idle_seconds)
    if sys.platform == "linux":
        # Private writable memory. Unlike RLIMIT_AS it leaves out the huge ranges that CUDA reserves without using
        # them. Twice the resident limit: allocators hold more than they touch.
        cap(resource.RLIMIT_DATA, limits.memory_bytes * 2)


def _leave_network() -> None:
    """Enter an empty network namespace where Linux allows it; elsewhere the process keeps its network."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNET) != 0:
            libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except OSError:  # not of a step: its own files cannot be read or written
        traceback.print_exc()
        sys.exit(MACHINE_EXIT)
