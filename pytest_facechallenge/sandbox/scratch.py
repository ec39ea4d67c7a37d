"""The private folder of a run: made under the system's temporary folder, and gone afterwards whatever happened."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from pathlib import Path

import filelock

from pytest_facechallenge.core.files import remove_tree

PREFIX = "facechallenge-"
LOCK = "in-use.lock"
#: A folder that is younger may belong to a run that has not come to locking it yet.
GRACE_SECONDS = 60.0


class Scratch:
    """A folder that belongs to this process.

    It is locked while the process lives, and the system takes the lock away when the process is killed: so the next run
    can tell what a killed one left behind, and removes it.
    """

    def __init__(self) -> None:
        sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = filelock.FileLock(str(self.path / LOCK))
        self._lock.acquire(timeout=0)

    def remove(self) -> list[str]:
        """Remove the folder and what is in it; return what could not be removed. Harmless when it is gone."""
        self._lock.release(force=True)
        return remove_tree(self.path)


def sweep(parent: Path) -> None:
    """Remove the folders in ``parent`` whose run was killed: those with a lock that nobody holds.

    Never ends the run that asks for it: what cannot be removed stays.
    """
    try:
        folders = sorted(parent.glob(f"{PREFIX}*"))
    except OSError:
        return
    for folder in folders:
        try:
            if _abandoned(folder):
                with filelock.FileLock(str(folder / LOCK), timeout=0):
                    remove_tree(folder)
        except Exception:  # noqa: S112 - another user's, just removed, in use, or damaged in a way unheard of
            continue


def _abandoned(folder: Path) -> bool:
    """Whether a folder is one of this user's runs that may be over. Links and the folders of others are left alone."""
    found, lock = folder.lstat(), (folder / LOCK).lstat()
    if not (stat.S_ISDIR(found.st_mode) and stat.S_ISREG(lock.st_mode)):
        return False
    if hasattr(os, "geteuid") and not found.st_uid == lock.st_uid == os.geteuid():
        return False
    return time.time() - found.st_mtime >= GRACE_SECONDS
