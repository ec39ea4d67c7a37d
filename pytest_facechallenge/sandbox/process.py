"""Running steps in a process that may crash, hang or eat memory without taking pytest along.

The worker (`pytest_facechallenge.sandbox.worker`) writes each step's facts to a file as soon as it has them. When it
dies, the step it was in is tried once more, alone; when that dies too the step gets a `StepFailure`, and a new worker
goes on with the steps after it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from pytest_facechallenge.core.facts.base import FailureKind, StepFailure
from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.core.text import clean
from pytest_facechallenge.sandbox.death import Death, of_exit, of_signal, weigh
from pytest_facechallenge.sandbox.environment import worker_environment
from pytest_facechallenge.sandbox.results import private_prefix, result_path, write_failure

#: How often the worker is looked at, in seconds: short against the time in which a process can fill memory.
POLL = 0.02
#: Seconds between two looks at the memory: to find what a process has started, all that run are read.
_MEMORY_POLL = 0.1
WORKER = "pytest_facechallenge.sandbox.worker"
#: Bytes of progress that are read at once.
_MOST_PROGRESS = 1 << 20


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker may use.

    Attributes
    ----------
    idle_seconds
        Longest time without a line of progress.
    memory_bytes
        Resident private memory of the worker and its children together; mapped files do not count.
    open_files
        Open file descriptors.
    file_bytes
        Largest file that it may write.
    """

    idle_seconds: float = 120.0
    memory_bytes: int = 8 << 30
    open_files: int = 512
    file_bytes: int = 8 << 30


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker is told: read from a JSON file by `pytest_facechallenge.sandbox.worker`.

    Paths may be no UTF-8: then they have half surrogates, as `os.fsdecode` gives them.

    Attributes
    ----------
    parent
        The process that starts the worker, set when it does.
    follow
        Whether the source may be a link.
    """

    source: str
    workdir: str
    facts_dir: str
    steps: tuple[str, ...]
    options: RunOptions
    limits: Limits
    parent: int = 0
    follow: bool = True

    def encoded(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(msgspec.to_builtins(self)).encode("ascii")

    @classmethod
    def decoded(cls, data: bytes) -> Request:
        """Return the request that `encoded` gave."""
        return msgspec.convert(json.loads(data), cls)


class RunStopped(BaseException):
    """A run was told to stop while a worker was at work; like Ctrl-C, it is no error that something may catch."""


def default_memory_bytes() -> int:
    """Return 8 GiB, or three quarters of the machine's memory where that is less."""
    return min(8 << 30, int(psutil.virtual_memory().total) * 3 // 4)


def run_steps(
    request: Request,
    on_progress: Callable[[str], None] = lambda _line: None,
    worker: str = WORKER,
    still_worth: Callable[[list[str]], list[str]] = lambda names: names,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Run the steps of ``request`` until each has its file ``<step>.json`` in the facts folder.

    Parameters
    ----------
    request
        Its steps must belong to one stage and be in table order.
    on_progress
        Called with lines for the user; a worker may send many.
    worker
        Module that is run as the worker; another one only in tests.
    still_worth
        Asked, when a worker ended early, which of the remaining steps to go on with.
    stopped
        Asked again and again; once it says yes the worker is ended.

    What cannot even be started leaves a failure in the place of every step.

    Raises
    ------
    RunStopped
        ``stopped`` said yes.
    """
    remaining = list(request.steps)
    while remaining:
        try:
            death = _run_once(msgspec.structs.replace(request, steps=tuple(remaining)), on_progress, worker, stopped)
            if death is not None:
                _settle(death, request, on_progress, worker, stopped)
        except OSError as error:
            _give_up(remaining, request, error)
            return
        remaining = [name for name in remaining if not result_path(Path(request.facts_dir), name).exists()]
        remaining = still_worth(remaining) if remaining else remaining


def _settle(
    death: Death, request: Request, on_progress: Callable[[str], None], worker: str, stopped: Callable[[], bool]
) -> None:
    """Find out whose doing a death was, and give the step its failure unless it succeeds now."""
    failure: StepFailure | None = death.failure()
    if death.unclear:
        on_progress(f"the step {death.step!r} died; it is tried once more")
        alone = msgspec.structs.replace(request, steps=(death.step,))
        again = _run_once(alone, on_progress, worker, stopped)
        failure = weigh(death, again) if again is not None else None
    if failure is not None:
        write_failure(Path(request.facts_dir), failure, private_prefix(Path(request.workdir)))


def _give_up(steps: list[str], request: Request, error: OSError) -> None:
    facts_dir = Path(request.facts_dir)
    for name in steps:
        if not result_path(facts_dir, name).exists():
            message = f"no process could be run for it: {error}"
            write_failure(facts_dir, StepFailure(step=name, kind=FailureKind.MACHINE, message=message))


def _run_once(
    request: Request, on_progress: Callable[[str], None], worker: str, stopped: Callable[[], bool]
) -> Death | None:
    """Run one worker; return how it ended when a step has no file then."""
    facts_dir, workdir = Path(request.facts_dir), Path(request.workdir)
    request_file, progress_file, log_file = (facts_dir / f"worker.{name}" for name in ("request", "progress", "log"))
    request_file.write_bytes(msgspec.structs.replace(request, parent=os.getpid()).encoded())
    progress_file.write_text("", encoding="utf-8")
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            # -P: nothing from the current folder can be imported, since the submission is unpacked there.
            [sys.executable, "-P", "-m", worker, str(request_file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=workdir,
            env=worker_environment(workdir),
            start_new_session=True,
        )
        try:
            killed_for = _watch(process, progress_file, request.limits, on_progress, stopped)
        finally:
            _kill_group(process)
    progress = _Progress(progress_file)
    progress.read()
    if all(result_path(facts_dir, name).exists() for name in request.steps):
        return None
    step = progress.step or request.steps[0]
    if step not in request.steps or result_path(facts_dir, step).exists():
        step = next(name for name in request.steps if not result_path(facts_dir, name).exists())
    return _death(step, progress, killed_for, process.returncode, log_file, request.limits)


class _Progress:
    """Reads the worker's progress file: "step NAME" and "say LINE" lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.step = ""
        self.last = ""

    def read(self) -> list[str]:
        """Return the lines to show that came since the last call."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            fresh = file.read(_MOST_PROGRESS)
        complete = fresh[: fresh.rfind(b"\n") + 1] if len(fresh) < _MOST_PROGRESS or b"\n" in fresh else fresh
        self.offset += len(complete)
        shown = []
        for line in complete.decode("utf-8", "replace").splitlines():
            word, _, rest = line.partition(" ")
            if word == "step":
                self.step, self.last = rest, ""
            else:
                self.last = clean(rest)
            shown.append(clean(rest))
        return shown


def _watch(
    process: subprocess.Popen[bytes],
    progress_file: Path,
    limits: Limits,
    on_progress: Callable[[str], None],
    stopped: Callable[[], bool],
) -> FailureKind | None:
    """Wait for the worker to end; kill it and say why when it goes over a limit."""
    progress = _Progress(progress_file)
    heard = weighed = time.monotonic()
    while True:
        try:
            process.wait(POLL)
            return None
        except subprocess.TimeoutExpired:
            pass
        if stopped():
            raise RunStopped
        lines = progress.read()
        if lines:
            heard = time.monotonic()
            for line in lines:
                on_progress(line)
        now = time.monotonic()
        if now - heard > limits.idle_seconds:
            return FailureKind.TIMEOUT
        if now - weighed < _MEMORY_POLL:
            continue
        weighed = now
        if _private_bytes(process.pid) > limits.memory_bytes:
            return FailureKind.MEMORY


def _private_bytes(pid: int) -> int:
    """Return the resident memory of a process and its descendants; 0 when it is gone.

    Pages of mapped files do not count where the system tells them apart: the kernel takes them back when it needs them,
    and features of millions of images are mapped on purpose.
    """
    try:
        process = psutil.Process(pid)
        infos = [member.memory_info() for member in (process, *process.children(recursive=True))]
    except psutil.Error:
        return 0
    return sum(int(info.rss) - int(getattr(info, "shared", 0)) for info in infos)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End the worker and whatever it started; harmless when all are gone."""
    if os.name == "posix":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
    else:
        try:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        except psutil.Error:
            pass
        process.kill()
    process.wait()


def _death(
    step: str, progress: _Progress, killed_for: FailureKind | None, code: int, log_file: Path, limits: Limits
) -> Death:
    doing = f" while {progress.last}" if progress.last else f" in the step {step!r}"
    if killed_for is FailureKind.TIMEOUT:
        message = (
            f"no progress for {limits.idle_seconds:g} seconds{doing}; the process was ended"
            " (--facechallenge-timeout sets the limit)"
        )
        return Death(step, "", killed_for, message)
    if killed_for is FailureKind.MEMORY:
        message = (
            f"more than {limits.memory_bytes >> 20} MiB of memory were used{doing}; the process was ended"
            " (--facechallenge-memory sets the limit)"
        )
        return Death(step, "", killed_for, message)
    said = _log_tail(log_file)
    return of_signal(step, -code, doing, said) if code < 0 else of_exit(step, code, doing, said)


def _log_tail(log_file: Path, most: int = 600) -> str:
    with log_file.open("rb") as file:
        file.seek(max(0, log_file.stat().st_size - 4 * most))
        text = file.read(4 * most).decode("utf-8", "replace")
    words = clean(" ".join(text[-most:].split()))
    return f"; its last words: {words}" if words else ""
