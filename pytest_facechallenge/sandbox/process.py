"""Running steps in a process that may crash, hang or eat memory without taking pytest along.

The worker (`pytest_facechallenge.sandbox.worker`) writes each step's facts to a file as soon as it has them. When it
dies, the step it was in gets a `StepFailure`, and a new worker goes on with the steps after it.
"""

from __future__ import annotations

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

#: How often the worker is looked at, in seconds: short against the time in which a process can fill memory.
POLL = 0.02
WORKER = "pytest_facechallenge.sandbox.worker"


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
    """What the worker is told: read from a JSON file by `pytest_facechallenge.sandbox.worker`."""

    source: str
    workdir: str
    facts_dir: str
    steps: tuple[str, ...]
    options: RunOptions
    limits: Limits


def default_memory_bytes() -> int:
    """Return 8 GiB, or three quarters of the machine's memory where that is less."""
    return min(8 << 30, int(psutil.virtual_memory().total) * 3 // 4)


def run_steps(
    request: Request,
    on_progress: Callable[[str], None] = lambda _line: None,
    worker: str = WORKER,
    still_worth: Callable[[list[str]], list[str]] = lambda names: names,
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

    Raises
    ------
    OSError
        When no process can be started at all.
    """
    remaining = list(request.steps)
    while remaining:
        _run_once(msgspec.structs.replace(request, steps=tuple(remaining)), on_progress, worker)
        remaining = [name for name in remaining if not result_path(Path(request.facts_dir), name).exists()]
        remaining = still_worth(remaining) if remaining else remaining


def result_path(facts_dir: Path, step: str) -> Path:
    """Return the file that holds a step's facts or failure."""
    return facts_dir / f"{step}.json"


def write_failure(facts_dir: Path, failure: StepFailure) -> None:
    """Store a failure in the step's place, atomically."""
    write_atomically(result_path(facts_dir, failure.step), msgspec.json.encode({"failure": failure}))


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` so that a reader sees the whole file or none."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_bytes(data)
    partial.replace(path)


def _run_once(request: Request, on_progress: Callable[[str], None], worker: str) -> None:
    """Start one worker; return when every step has a file, or when the step it died in has got its failure."""
    facts_dir = Path(request.facts_dir)
    request_file, progress_file, log_file = (facts_dir / f"worker.{name}" for name in ("request", "progress", "log"))
    request_file.write_bytes(msgspec.json.encode(request))
    progress_file.write_text("", encoding="utf-8")
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            # -P: nothing from the current folder can be imported, since the submission is unpacked there.
            [sys.executable, "-P", "-m", worker, str(request_file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=request.workdir,
            env=_environment(request.workdir),
            start_new_session=True,
        )
        try:
            killed_for = _watch(process, progress_file, request.limits, on_progress)
        finally:
            _kill_group(process)
    progress = _Progress(progress_file)
    progress.read()
    if all(result_path(facts_dir, name).exists() for name in request.steps):
        return
    step = progress.step or request.steps[0]
    if result_path(facts_dir, step).exists():
        step = next(name for name in request.steps if not result_path(facts_dir, name).exists())
    write_failure(facts_dir, _failure(step, progress, killed_for, process.returncode, log_file, request.limits))


def _environment(workdir: str) -> dict[str, str]:
    """Return the user's environment, with the package importable and temporary files kept in one place."""
    environment = dict(os.environ)
    package_parent = str(Path(__file__).resolve().parents[2])
    given = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([package_parent, given] if given else [package_parent])
    environment.pop("COVERAGE_PROCESS_START", None)
    environment |= {"TMPDIR": workdir, "TEMP": workdir, "TMP": workdir, "PYTHONDONTWRITEBYTECODE": "1"}
    return environment


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
            fresh = file.read()
        complete = fresh[: fresh.rfind(b"\n") + 1]
        self.offset += len(complete)
        shown = []
        for line in complete.decode("utf-8", "replace").splitlines():
            word, _, rest = line.partition(" ")
            if word == "step":
                self.step, self.last = rest, ""
            else:
                self.last = rest
            shown.append(rest)
        return shown


def _watch(
    process: subprocess.Popen[bytes], progress_file: Path, limits: Limits, on_progress: Callable[[str], None]
) -> FailureKind | None:
    """Wait for the worker to end; kill it and say why when it goes over a limit."""
    progress = _Progress(progress_file)
    heard = time.monotonic()
    while True:
        try:
            process.wait(POLL)
            return None
        except subprocess.TimeoutExpired:
            pass
        lines = progress.read()
        if lines:
            heard = time.monotonic()
            for line in lines:
                on_progress(line)
        if time.monotonic() - heard > limits.idle_seconds:
            return "timeout"
        if _private_bytes(process.pid) > limits.memory_bytes:
            return "memory"


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


def _failure(
    step: str, progress: _Progress, killed_for: FailureKind | None, code: int, log_file: Path, limits: Limits
) -> StepFailure:
    doing = f" while {progress.last}" if progress.last else f" in the step {step!r}"
    said = _log_tail(log_file)
    if killed_for == "timeout":
        return StepFailure(
            step=step,
            kind="timeout",
            message=f"no progress for {limits.idle_seconds:g} seconds{doing}; the process was ended"
            " (--facechallenge-timeout sets the limit)",
        )
    if killed_for == "memory":
        return StepFailure(
            step=step,
            kind="memory",
            message=f"more than {limits.memory_bytes >> 20} MiB of memory were used{doing}; the process was ended"
            " (--facechallenge-memory sets the limit)",
        )
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        if name == "SIGXCPU":
            return StepFailure(step=step, kind="timeout", message=f"the limit of processor time was reached{doing}")
        return StepFailure(step=step, kind="crashed", message=f"the runtime was killed by {name}{doing}{said}")
    return StepFailure(step=step, kind="crashed", message=f"the process ended with exit code {code}{doing}{said}")


def _log_tail(log_file: Path, most: int = 600) -> str:
    with log_file.open("rb") as file:
        file.seek(max(0, log_file.stat().st_size - 4 * most))
        text = file.read().decode("utf-8", "replace")
    text = "".join(sign if sign.isprintable() else " " for sign in text[-most:]).strip()
    return f"; its last words: {' '.join(text.split())}" if text else ""
