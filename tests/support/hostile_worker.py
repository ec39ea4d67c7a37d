"""A worker whose steps misbehave as native code does that a stranger feeds: they die, hang or eat memory."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
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

#: Texts that must not reach anybody as they are.
NASTY = "\x1b[2J\x07\x00\x9b31m\u202egnp.\u2066\u200f\r\nCOMPLIANT  1 passed\n\ud800\u2028end"


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


def _first_time(context: Context) -> bool:
    marker = context.workdir / "tried"
    if marker.exists():
        return False
    marker.touch()
    return True


def killed_once(context: Context) -> StepFacts:
    """Is ended from outside, as by the system when it is short of memory; works when it is tried again."""
    if _first_time(context):
        os.kill(os.getpid(), signal.SIGKILL)
    return good(context)


def killed_always(context: Context) -> StepFacts:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def fault_once(context: Context) -> StepFacts:
    if _first_time(context):
        os.kill(os.getpid(), signal.SIGSEGV)
    return good(context)


def fault_then_killed(context: Context) -> StepFacts:
    os.kill(os.getpid(), signal.SIGSEGV if _first_time(context) else signal.SIGKILL)
    raise AssertionError


def disk_full(context: Context) -> StepFacts:
    raise OSError(errno.ENOSPC, "No space left on device")


def nasty(context: Context) -> StepFacts:
    context.report(NASTY)
    return DeclarationFacts(path=NASTY, looked_for=(NASTY, "x" * 5_000_000), statements={NASTY: NASTY})


def nasty_error(context: Context) -> StepFacts:
    raise ValueError(NASTY + "x" * 5_000_000)


def too_many_facts(context: Context) -> StepFacts:
    return DeclarationFacts(path="", looked_for=tuple(f"{number}{'x' * 990}" for number in range(40_000)))


def environment(context: Context) -> StepFacts:
    (context.workdir / "environment.json").write_text(json.dumps(dict(os.environ)))
    return good(context)


def install() -> None:
    """Replace the table of steps by one step per misbehaviour; the struct they give does not matter."""
    STEPS.clear()
    for function in STEP_FUNCTIONS:
        name = function.__name__
        STEPS[name] = _Local(name, Stage.STATIC, "core.facts.declaration:DeclarationFacts", name)


STEP_FUNCTIONS = (
    segfault, good, leave, hang, chatter, gobble, raise_error, spawn, connect, write_much, killed_once, killed_always,
    fault_once, fault_then_killed, disk_full, nasty, nasty_error, too_many_facts, environment,
)  # fmt: skip


class _Local(Step):
    def gatherer(self):  # type: ignore[no-untyped-def]
        return globals()[self.gather]


if __name__ == "__main__":
    install()
    worker.main(sys.argv[1])
