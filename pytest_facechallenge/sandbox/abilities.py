"""What the sandbox can do on this system: asked in a process of its own, since asking changes the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

#: Seconds that the process has.
_SECONDS = 20.0
#: What can be asked, and how a reader calls it.
ABILITIES = {
    "network": "a worker has no network",
    "limits": "the system itself limits processor time, files and memory",
    "parent": "the system itself ends a worker with its run",
    "clone": "a copy shares blocks with the original",
}


def abilities(folder: Path) -> dict[str, bool]:
    """Return which of `ABILITIES` this system has; ``folder`` is where copies would be made.

    All are False where no process could be started.
    """
    command = [sys.executable, "-P", "-m", __name__, str(folder)]
    home = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": home}
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True, env=environment)
        found = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        found = {}
    return {name: bool(found.get(name)) for name in ABILITIES}


def _ask(folder: Path) -> dict[str, bool]:
    from pytest_facechallenge.sandbox.parent import _ask_linux
    from pytest_facechallenge.sandbox.worker import _leave_network

    own = _network()
    _leave_network()
    return {
        "network": bool(own) and _network() != own,
        "limits": os.name == "posix",
        "parent": _ask_linux(),
        "clone": _clones(folder),
    }


def _network() -> str:
    try:
        return str(Path("/proc/self/ns/net").readlink())
    except OSError:
        return ""


def _clones(folder: Path) -> bool:
    """Copy a file as a submission is copied, and tell whether the system shared its blocks."""
    if sys.platform != "linux":
        return False
    import fcntl
    import tempfile

    ficlone = 0x40049409
    with tempfile.NamedTemporaryFile(dir=folder) as one, tempfile.NamedTemporaryFile(dir=folder) as other:
        one.write(b"0" * 4096)
        one.flush()
        try:
            fcntl.ioctl(other.fileno(), ficlone, one.fileno())
        except OSError:
            return False
        return True


if __name__ == "__main__":
    print(json.dumps(_ask(Path(sys.argv[1]))))
