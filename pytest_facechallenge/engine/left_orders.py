"""Orders in a folder that all machines see: locked while their run lives, removed by the next one when it was killed.

A run holds a lock beside its order, which the system takes away when the process is gone. File systems of several
machines may keep locks from each other, so an order also names its machine, and only that machine removes it. What is
not known to be left over stays: another user's file, one of a machine that is not this one, one without a lock.
"""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import time
from contextlib import suppress
from pathlib import Path

import filelock

#: The name of an order's file, and that of its lock.
_NAMES = re.compile(r"order-([0-9a-f]{16})\.(?:json|lock)")
#: A lock that is younger may belong to a run that has not come to writing its order yet.
GRACE_SECONDS = 60.0
_MOST_BYTES = 64 << 20


def order_path(folder: Path, token: str) -> Path:
    """Return the file of an order; a token is 16 hexadecimal digits."""
    return folder / f"order-{token}.json"


def lock_of(folder: Path, token: str) -> filelock.BaseFileLock:
    """Return the lock that a run holds while its order is needed."""
    return filelock.FileLock(str(_lock_path(folder, token)))


def remove_left_orders(folder: Path) -> list[str]:
    """Remove the orders in a folder whose run was killed on this machine; return the names of what was removed.

    Never ends the run that asks for it: what cannot be removed stays.
    """
    removed: list[str] = []
    try:
        tokens = {found[1] for path in folder.iterdir() if (found := _NAMES.fullmatch(path.name))}
    except OSError:
        return removed
    for token in sorted(tokens):
        # In use, another user's, or removed by another run just now.
        with suppress(OSError, ValueError, filelock.Timeout, NotImplementedError):
            if _may_be_left(folder, token):
                removed += _remove(folder, token)
    return removed


def _remove(folder: Path, token: str) -> list[str]:
    """Remove an order whose lock nobody holds, and then the lock."""
    removed = []
    lock = lock_of(folder, token)
    with lock.acquire(timeout=0):
        order = order_path(folder, token)
        # What a writer that was killed had not renamed yet stands beside it.
        for path in (order, *folder.glob(f".{order.name}.*")):
            if path.is_file() and not path.is_symlink():
                path.unlink()
                removed.append(path.name)
        with suppress(FileNotFoundError):  # on some systems the lock is removed where it is released
            _lock_path(folder, token).unlink()
            removed.append(_lock_path(folder, token).name)
    return removed


def _may_be_left(folder: Path, token: str) -> bool:
    """Whether an order is this user's, of this machine, with a lock, and not of a run that just begins."""
    lock = _lock_path(folder, token).lstat()
    if not stat.S_ISREG(lock.st_mode) or not _mine(lock) or time.time() - lock.st_mtime < GRACE_SECONDS:
        return False
    path = order_path(folder, token)
    try:
        found = path.lstat()
    except FileNotFoundError:
        return True
    if not stat.S_ISREG(found.st_mode) or not _mine(found) or found.st_size > _MOST_BYTES:
        return False
    about = json.loads(path.read_bytes())
    return isinstance(about, dict) and about.get("host") == socket.gethostname()


def _mine(found: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or found.st_uid == os.geteuid()


def _lock_path(folder: Path, token: str) -> Path:
    return folder / f"order-{token}.lock"
