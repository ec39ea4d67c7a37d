"""The private folder of a run: made under the system's temporary folder, and gone afterwards whatever happened."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import filelock

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

    def remove(self) -> None:
        """Remove the folder and what is in it; harmless when it is gone."""
        self._lock.release(force=True)
        shutil.rmtree(self.path, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove the folders in ``parent`` whose run was killed: those with a lock that nobody holds."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < GRACE_SECONDS or not (folder / LOCK).is_file():
                continue
            with filelock.FileLock(str(folder / LOCK), timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, filelock.Timeout):  # another user's, just removed, or in use
            continue
