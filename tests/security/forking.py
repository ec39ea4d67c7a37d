"""Processes without the time in which they start: forked from one that has imported everything. POSIX only.

What runs in them is the sandbox's own worker with its own limits, in a session and a working folder of its own; only
the start of an interpreter is left out, which is most of the time that a small model needs.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from pytest_facechallenge import analyses
from pytest_facechallenge.sandbox import process, worker
from pytest_facechallenge.sandbox.death import MACHINE_EXIT

_POLL = 0.005


class Forked:
    """A forked process, as far as `subprocess.Popen` is used by the sandbox."""

    def __init__(self, run: Callable[[], int], log: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            become(run, log, folder, environment)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code, negative for a signal.

        Raises
        ------
        subprocess.TimeoutExpired
            It has not ended after ``timeout`` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            ended, status = os.waitpid(self.pid, 0 if until is None else os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired("forked", timeout or 0.0)
            else:
                time.sleep(_POLL)
        return self.returncode

    def kill(self) -> None:
        """End it at once; harmless when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def become(run: Callable[[], int], log: Path, folder: Path, environment: Mapping[str, str]) -> None:
    """Be the new process: its own session, environment and streams. Does not return."""
    code = 1
    try:
        os.setsid()
        for number, path, flags in ((0, Path(os.devnull), os.O_RDONLY), (1, log, os.O_WRONLY | os.O_CREAT)):
            os.dup2(os.open(path, flags, 0o600), number)
        os.dup2(1, 2)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None
        code = run()
    except OSError:
        traceback.print_exc()
        code = MACHINE_EXIT
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


@contextlib.contextmanager
def forked_workers() -> Iterator[None]:
    """Let the sandbox fork its workers for a while instead of starting interpreters."""
    import_everything()

    def start(command: list[str], *, stdout: Any, cwd: Path, env: Mapping[str, str], **_: Any) -> Forked:
        def run() -> int:
            worker.main(command[-1])
            return 0

        return Forked(run, Path(stdout.name), cwd, env)

    ours = types.SimpleNamespace(**{**vars(subprocess), "Popen": start})
    with mock.patch.object(process, "subprocess", ours):
        yield


def import_everything() -> None:
    """Import what a worker would import, so that it is there after a fork."""
    for found in pkgutil.walk_packages(analyses.__path__, f"{analyses.__name__}."):
        if "flops_crosscheck" not in found.name and not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    for name in ("onnxruntime", "onnx.checker", "onnx.shape_inference", "scipy.sparse"):
        importlib.import_module(name)
