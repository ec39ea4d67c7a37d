"""A worker whose steps misbehave as native code does that a stranger feeds: they die, hang or eat memory."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.analyses.table import STEPS
from pytest_facechallenge.core.analysis import Stage, Step
from pytest_facechallenge.core.facts.base import StepFacts
from pytest_facechallenge.core.facts.declaration import DeclarationFacts
from pytest_facechallenge.sandbox import worker


def good(context: Context) -> StepFacts:
    return DeclarationFacts(path="", looked_for=())


def segfault(context: Context) -> StepFacts:
    context.report("loading the model")
    sys.stderr.write("the runtime's last words\n")
    sys.stderr.flush()
    ctypes.string_at(0)
    raise AssertionError


def leave(context: Context) -> StepFacts:
    """Prints what a success would print, and leaves without a result."""
    sys.stdout.write("SUCCESS\n")
    sys.stdout.flush()
    os._exit(0)


def hang(context: Context) -> StepFacts:
    context.report("thinking")
    time.sleep(600)
    raise AssertionError


def chatter(context: Context) -> StepFacts:
    """Works for longer than the limit of silence, but says so."""
    for index in range(8):
        context.report(f"part {index}")
        time.sleep(0.25)
    return good(context)


def gobble(context: Context) -> StepFacts:
    hoard = []
    while True:
        hoard.append(bytearray(os.urandom(1 << 20)) * 16)


def raise_error(context: Context) -> StepFacts:
    raise ValueError("what a library says")


def spawn(context: Context) -> StepFacts:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (context.workdir / "child").write_text(str(child.pid))
    time.sleep(600)
    raise AssertionError


def connect(context: Context) -> StepFacts:
    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            socket.create_connection(server.getsockname(), timeout=2).close()
        except OSError as error:
            raise ConnectionError("no network") from error
    return good(context)


def write_much(context: Context) -> StepFacts:
    with (context.workdir / "big").open("wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    return good(context)


def install() -> None:
    """Replace the table of steps by one step per misbehaviour; the struct they give does not matter."""
    STEPS.clear()
    for function in (segfault, good, leave, hang, chatter, gobble, raise_error, spawn, connect, write_much):
        name = function.__name__
        STEPS[name] = _Local(name, Stage.STATIC, "core.facts.declaration:DeclarationFacts", name)


class _Local(Step):
    def gatherer(self):  # type: ignore[no-untyped-def]
        return globals()[self.gather]


if __name__ == "__main__":
    install()
    worker.main(sys.argv[1])
