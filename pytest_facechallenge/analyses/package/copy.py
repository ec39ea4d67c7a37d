"""Copying a stranger's file into the private folder, once: what was copied is hashed, and only the copy is judged."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import sys
from pathlib import Path
from typing import BinaryIO

from pytest_facechallenge.analyses.package.limits import BLOCK, MAX_BYTES
from pytest_facechallenge.core.files import UnusableFileError, open_regular
from pytest_facechallenge.core.text import clean

_HEAD = 512
_MOST_NAME_BYTES = 200
#: Beginnings of the names of files that later steps write beside the copy (`inference.batch_repair`).
_WRITTEN = ("batch_made_symbolic", "reshapes_freed")
#: Linux: let the copy share the blocks of the original until one of the two is written (Btrfs, XFS, overlay on them).
_FICLONE = 0x40049409


@dataclasses.dataclass(frozen=True)
class Copied:
    """A file as it was copied; ``changed`` says that the original was written meanwhile."""

    sha256: str
    size: int
    head: bytes
    changed: bool = False


def copy_file(source: Path, target: Path, *, follow: bool = True, most: int = MAX_BYTES) -> Copied:
    """Copy a regular file to a path that does not exist yet. Never a link: writing the original changes no copy.

    Parameters
    ----------
    follow
        Whether ``source`` may be a link: one that the user named, not one of a stranger.
    most
        Bytes of the largest file that is copied.

    Raises
    ------
    UnusableFileError
        It is no regular file, or larger than ``most``.
    OSError
        It cannot be read, or the copy cannot be written.
    """
    with open_regular(source, follow=follow) as file:
        before = _state(file)
        if before[0] > most:
            raise _too_large(before[0], most)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            try:
                if not _clone(file, out):
                    _copy(file, out, most)
            except BaseException:
                with contextlib.suppress(OSError):
                    target.unlink()
                raise
        sha256, size, head = digest(target)
        return Copied(sha256, size, head, changed=_state(file) != before or size != before[0])


def private_name(name: str) -> str:
    """Return the name of a model's copy: its own, since it may refer to itself, or "model.onnx" for an odd one.

    Odd is also what is not called a model, and what is called like the copy in which later steps repair the batch.
    """
    odd = clean(name) != name or len(name.encode("utf-8", "replace")) > _MOST_NAME_BYTES
    taken = name.casefold().startswith(_WRITTEN) or not name.casefold().endswith(".onnx")
    return "model.onnx" if odd or taken else name


def digest(path: Path, *, follow: bool = True, most: int = MAX_BYTES) -> tuple[str, int, bytes]:
    """Return SHA-256, bytes and first bytes of a regular file.

    Raises
    ------
    UnusableFileError
        It is no regular file, or larger than ``most``.
    OSError
        It cannot be read.
    """
    found, size, head = hashlib.sha256(), 0, b""
    with open_regular(path, follow=follow) as file:
        while block := file.read(BLOCK):
            head = head or block[:_HEAD]
            found.update(block)
            size += len(block)
            if size > most:
                raise _too_large(size, most)
    return found.hexdigest(), size, head


def _copy(file: BinaryIO, out: BinaryIO, most: int) -> None:
    size = 0
    while block := file.read(BLOCK):
        size += len(block)
        if size > most:
            raise _too_large(size, most)
        out.write(block)


def _clone(file: BinaryIO, out: BinaryIO) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(out.fileno(), _FICLONE, file.fileno())
    except OSError:  # another file system, or one that cannot do it
        return False
    return True


def _state(file: BinaryIO) -> tuple[int, int, int]:
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _too_large(size: int, most: int) -> UnusableFileError:
    return UnusableFileError(f"it has {size:,} bytes or more; at most {most:,} are looked at")
