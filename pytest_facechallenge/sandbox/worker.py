"""The sandboxed process: limits itself, then gathers facts step by step. Started by `sandbox`, never imported by it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import traceback
from pathlib import Path

import msgspec

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.facts.base import Facts, StepFacts, StepFailure
from pytest_facechallenge.sandbox.fact_store import read_facts
from pytest_facechallenge.sandbox.process import Limits, Request, result_path, write_atomically, write_failure

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def main(request_file: str) -> None:
    """Run the request in ``request_file``."""
    request = msgspec.json.decode(Path(request_file).read_bytes(), type=Request)
    facts_dir = Path(request.facts_dir)
    with (facts_dir / "worker.progress").open("a", encoding="utf-8", buffering=1) as progress:
        _die_with_parent()
        _limit(request.limits)
        _leave_network()

        def report(line: str) -> None:
            progress.write(f"say {' '.join(line.split())}\n")

        facts = read_facts(facts_dir)
        context = Context(Path(request.source), Path(request.workdir), facts, request.options, report)
        for name in request.steps:
            progress.write(f"step {name}\n")
            _run_step(name, context, facts, facts_dir)


def _run_step(name: str, context: Context, facts: Facts, facts_dir: Path) -> None:
    step = STEPS[name]
    blocked = next((need for need in step.needs if need in facts.failures), None)
    result: StepFacts | StepFailure
    if blocked is not None:
        reason = facts.failures[blocked].message
        result = StepFailure(step=name, kind="blocked", message=reason, because_of=blocked)
    else:
        try:
            result = step.gatherer()(context)
        except MemoryError:
            message = "more memory was asked for than the limit allows (--facechallenge-memory sets it)"
            result = StepFailure(step=name, kind="memory", message=message)
        except Exception as error:  # whatever a hostile model provokes becomes a finding that carries its text
            traceback.print_exc()
            text = " ".join(str(error).split())[:600]
            result = StepFailure(step=name, kind="error", message=f"{_kind(error)}{text}")
    if isinstance(result, StepFailure):
        facts.failures[name] = result
        write_failure(facts_dir, result)
    else:
        facts.gathered[name] = result
        write_atomically(result_path(facts_dir, name), msgspec.json.encode({"facts": result}))


def _kind(error: Exception) -> str:
    """Return the kind of an error as the head of its message; "" for our own about models, which are sentences."""
    kind = type(error)
    return "" if kind.__module__.startswith("pytest_facechallenge.onnx_graph.") else f"{kind.__name__}: "


def _die_with_parent() -> None:
    """Ask Linux to kill this process when pytest dies, so that no orphan goes on eating the machine."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


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
    # Processor time: no honest step needs it for longer than 20 times the longest silence on every core.
    cap(resource.RLIMIT_CPU, int(limits.idle_seconds * 20 * (os.cpu_count() or 1)))
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
    main(sys.argv[1])
