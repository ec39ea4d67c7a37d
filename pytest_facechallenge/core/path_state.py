"""Whether a file or a folder that is not a submission is still the same: told without reading all of it.

Standard library only.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from pytest_facechallenge.core.files import read_regular


def state_of(path: str | Path) -> str:
    """Return what a file, or a folder with all in it, looks like: names, bytes, times of change; "" for no path.

    A testset may hold millions of images, so their contents are not read; whoever keeps size and times while changing a
    file is not seen. The state is looked up once in a process.
    """
    return _state(os.fspath(path)) if str(path) else ""


def text_state(path: str | Path, most: int) -> str:
    """Return path and SHA-256 of a small file, or why it has none."""
    try:
        return f"{path} {hashlib.sha256(read_regular(path, most)).hexdigest()}"
    except (OSError, ValueError) as error:
        return f"{path} {type(error).__name__} {getattr(error, 'errno', None)}"


def forget_states() -> None:
    """Look paths up anew from here on: for a process that outlives a run."""
    _state.cache_clear()


@lru_cache(maxsize=256)
def _state(path: str) -> str:
    found = hashlib.sha256()
    for line in _lines(path):
        found.update(line)
    return f"{path} {found.hexdigest()}"


def _lines(path: str) -> list[bytes]:
    lines = [_line(path)]
    for folder, folders, files in os.walk(path):
        folders.sort()
        lines += [_line(os.path.join(folder, name)) for name in sorted(files)]  # noqa: PTH118  # millions of them
    return lines


def _line(path: str) -> bytes:
    try:
        found = os.stat(path)  # noqa: PTH116  # millions of them
    except OSError as error:
        return os.fsencode(path) + f" {error.errno}\n".encode()
    # What a folder holds is listed; its own time changes with files that nobody reads.
    told = (found.st_size, found.st_mtime_ns, found.st_ctime_ns) if not os.path.isdir(path) else ()  # noqa: PTH112
    return os.fsencode(path) + f" {told}\n".encode()
