"""A worker ends when the process that started it ends, however that one ended. Standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

_PR_SET_PDEATHSIG = 1
#: How often a parent is looked for where the system does not tell of its death, in seconds.
INTERVAL = 0.5


def die_with(parent: int) -> None:
    """Make this process end when ``parent``, which started it, ends; end now when it has ended already.

    Linux does this by itself; the process may have been orphaned before it could ask for that, so the parent is
    compared afterwards. Elsewhere a thread looks for the parent, and takes the processes along that this one started;
    on Linux these ask for the same.
    """
    if not parent:
        return
    asked = _ask_linux()
    if orphaned(parent):
        end_group()
    if not asked:
        threading.Thread(target=watch, args=(parent,), name="parent", daemon=True).start()


def watch(parent: int, interval: float = INTERVAL) -> None:
    """End this process and its group as soon as it is orphaned."""
    while not orphaned(parent):
        time.sleep(interval)
    end_group()


def orphaned(parent: int) -> bool:
    """Whether the process that started this one is gone."""
    if os.name == "posix":
        return os.getppid() != parent
    import psutil  # Windows goes on naming a parent that is gone

    return not psutil.pid_exists(parent)


def end_group() -> None:
    """End this process at once, and on POSIX all of its group, which a worker has to itself."""
    if os.name == "posix" and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def _ask_linux() -> bool:
    """Ask Linux to kill this process when its parent dies; return whether it will."""
    if sys.platform != "linux":
        return False
    with contextlib.suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0)
    return False
