"""Workers of the sandbox forked from a process that has imported everything: most tests need no new interpreter.

What runs is the sandbox's own worker, with its own limits, session, environment and folder; the time in which an
interpreter starts and imports is left out. It is forked from a process without threads, so it is safe wherever the
tests run. Linux only; elsewhere, and in tests that take the fixture ``started_workers``, workers start as they do.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from pytest_facechallenge.analyses.latency import windows
from pytest_facechallenge.sandbox import process, worker
from pytest_facechallenge.sandbox.parent import die_with
from tests.security.forking import become, import_everything

_ROOT = Path(__file__).parents[2]
#: The module that is run in a worker; a test may name another one.
_WORKER = process.WORKER
#: Seconds between two windows of a second look at times: a test need not wait for other programs to come and go.
_PAUSE = 0.01
#: Seconds between two looks at the workers that run.
_POLL = 0.004


class Served:
    """A worker that the server has forked, as far as `subprocess.Popen` is used by the sandbox."""

    def __init__(self, address: str, request: Mapping[str, Any]) -> None:
        self.returncode: int | None = None
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(address)
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        self._answers = self._connection.makefile("rb")
        self.pid = int(self._answers.readline())

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code, negative for a signal.

        Raises
        ------
        subprocess.TimeoutExpired
            It has not ended after ``timeout`` seconds.
        """
        if self.returncode is None:
            if timeout is not None and not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("worker", timeout)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._connection.close()
        return self.returncode

    def kill(self) -> None:
        """End it at once; harmless when it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@contextlib.contextmanager
def served_workers() -> Iterator[None]:
    """Let the sandbox of this process have its workers forked by a server of its own."""
    with tempfile.TemporaryDirectory(prefix="workers-") as folder:
        address = f"{folder}/socket"
        command = [sys.executable, "-m", __name__, address, str(os.getpid())]
        server = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE)
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        with server.stdout, mock.patch.object(process, "subprocess", _instead(address)):
            try:
                yield
            finally:
                server.terminate()
                server.wait()


def _instead(address: str) -> types.SimpleNamespace:
    """Return what the sandbox finds in place of the module ``subprocess``."""

    def start(command: Sequence[str], **keywords: Any) -> Served | subprocess.Popen[bytes]:
        if command[-2] != _WORKER:  # a worker of a test's own
            return subprocess.Popen(command, **keywords)
        return Served(
            address,
            {
                "request": command[-1],
                "log": keywords["stdout"].name,
                "folder": str(keywords["cwd"]),
                "environment": dict(keywords["env"]),
            },
        )

    return types.SimpleNamespace(**{**vars(subprocess), "Popen": start})


@dataclass
class _Running:
    """A worker, and who waits for it."""

    pid: int
    connection: socket.socket


def _serve(address: str, parent: int) -> None:
    """Fork workers until the process ends that started this one."""
    die_with(parent)
    import_everything()
    windows.PAUSE = _PAUSE
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    running: list[_Running] = []
    while True:
        if select.select([listener], [], [], _POLL if running else None)[0]:
            running.append(_forked(listener, running))
        for each in list(running):
            ended, status = os.waitpid(each.pid, os.WNOHANG)
            if ended:
                running.remove(each)
                with each.connection, contextlib.suppress(BrokenPipeError):
                    each.connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _forked(listener: socket.socket, running: list[_Running]) -> _Running:
    connection, _ = listener.accept()
    with connection.makefile("rb") as file:
        asked = json.loads(file.readline())
    pid = os.fork()
    if pid == 0:
        listener.close()
        for each in (connection, *(other.connection for other in running)):
            each.close()
        become(lambda: _work(asked["request"]), Path(asked["log"]), Path(asked["folder"]), asked["environment"])
    connection.sendall(b"%d\n" % pid)
    return _Running(pid, connection)


def _work(request_file: str) -> int:
    def with_the_server(_parent: int) -> None:
        die_with(os.getppid())  # it was forked by the server, which ends with the tests

    with mock.patch.object(worker, "die_with", with_the_server):
        worker.main(request_file)
    return 0


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
