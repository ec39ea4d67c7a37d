"""Files of strangers: opened when they are regular ones, without blocking, up to a size; removed at any depth.

Standard library only.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 20
#: Bytes of a path beyond which a folder is moved up before it is looked into: half of what Linux opens.
_LONG_PATH = 2_048
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a link"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


#: Errors of the operating system that are the machine's: whatever file was handed in, they would have come.
_MACHINE = ("ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EIO", "EROFS", "EAGAIN", "ENOMEM")
_MACHINE_ERRORS = frozenset(getattr(errno, name) for name in _MACHINE if hasattr(errno, name))


def is_machines_fault(error: BaseException) -> bool:
    """Whether an error shows a full disk or another trouble of the machine, and nothing about the file."""
    return isinstance(error, OSError) and error.errno in _MACHINE_ERRORS


def why(error: BaseException) -> str:
    """Return the reason of an error that shows something about a file, without the path in it.

    Raises
    ------
    OSError
        It shows a trouble of the machine: the same one, for whoever can say so.
    """
    if is_machines_fault(error):
        raise error
    return str(getattr(error, "strerror", None) or error)


class UnusableFileError(OSError):
    """A path that cannot be read as a file; the message says what was expected and what is there."""


def open_regular(path: str | bytes | Path, *, follow: bool = True) -> BinaryIO:
    """Open a regular file for reading; a pipe or a device is refused instead of waited for.

    Parameters
    ----------
    path
        Any path.
    follow
        False refuses a link in the last part of the path.

    Raises
    ------
    UnusableFileError
        It is no regular file, or its name can be none (a NUL in it).
    OSError
        The system does not open it.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    flags |= getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    try:
        before = os.stat(path, follow_symlinks=follow)  # noqa: PTH116 - paths may be bytes
        # A pipe or a device is not even opened: opening alone may have an effect (a tape is rewound).
        if not stat.S_ISREG(before.st_mode):
            raise UnusableFileError(f"a regular file is expected, found {kind_of(before.st_mode)}")
        descriptor = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    except ValueError as error:
        raise UnusableFileError(f"the path is none that this system can open: {error}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise UnusableFileError(f"a regular file is expected, found {kind_of(mode)}")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | bytes | Path, most: int, *, follow: bool = True) -> bytes:
    """Return the bytes of a regular file.

    Raises
    ------
    UnusableFileError
        It is no regular file, or has more than ``most`` bytes.
    OSError
        It cannot be read.
    """
    with open_regular(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= most:
            content = io.BytesIO()
            while block := file.read(min(_BLOCK, most + 1 - content.tell())):
                content.write(block)
            if content.tell() <= most:
                return content.getvalue()
            size = content.tell()
    raise UnusableFileError(f"at most {most:,} bytes are expected, found {size:,} or more")


def read_text(path: str | bytes | Path, most: int, *, follow: bool = True) -> str:
    """Return a regular file's text: UTF-8, with or without a byte order mark, any kind of line end made a line feed.

    Raises
    ------
    UnusableFileError, OSError
        As `read_regular`.
    UnicodeDecodeError
        It is no UTF-8.
    """
    return read_regular(path, most, follow=follow).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def kind_of(mode: int) -> str:
    """Return what a file of this mode is, in words."""
    return next((words for test, words in _KINDS if test(mode)), "a regular file" if stat.S_ISREG(mode) else "no file")


def identity(path: str | bytes | Path) -> tuple[int, int, int, int]:
    """Return what changes when a file is replaced or written: device, inode, bytes, time of its content.

    Raises
    ------
    OSError
        It is not there.
    """
    found = os.stat(path)  # noqa: PTH116 - as above
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def remove_tree(folder: Path) -> list[str]:
    """Remove a folder and all in it, at any depth and with paths of any length; return what could not be removed.

    Folders that lie deep are moved up, so neither the depth of calls nor the length of a path grows. Links are removed,
    never followed; a path that is a link, or no folder, is left alone. Nothing is raised.
    """
    left: list[str] = []
    try:
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            return [f"{folder}: a folder is expected"]
    except OSError:
        return []
    # A beginning of names that nothing in the folder has.
    mark = f".{os.getpid()}-{os.urandom(8).hex()}-"
    folders, pending = [folder], [folder]
    while pending:
        for entry in _entries(pending.pop(), left):
            try:
                if not entry.is_dir(follow_symlinks=False):
                    _insist(os.unlink, entry.path)
                    continue
                inside = Path(entry.path)
                if len(os.fsencode(inside)) > _LONG_PATH:
                    inside = folder / f"{mark}{len(folders)}"
                    _allow(Path(entry.path))  # or it could not be moved
                    _insist(os.rename, entry.path, inside)
                folders.append(inside)
                pending.append(inside)
            except OSError as error:
                left.append(str(error))
    for inside in reversed(folders):  # each comes after the one that it lies in, or after it was moved out of it
        try:
            inside.rmdir()
        except OSError as error:
            left.append(str(error))
    return left


def _entries(folder: Path, left: list[str]) -> list[os.DirEntry[str]]:
    """Return what is in a folder, allowing to read it where that is needed."""
    for attempt in (1, 2):
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except OSError as error:
            if attempt == 2 or not _allow(folder):
                left.append(str(error))
                break
    return []


def _insist(change: Callable[..., None], path: str, *more: Path) -> None:
    """Change a directory entry; where that is not allowed, allow it first."""
    try:
        change(path, *more)
    except PermissionError:
        parent = Path(path).parent
        if not (_allow(parent) | _allow(Path(path))):
            raise
        change(path, *more)


def _allow(path: Path) -> bool:
    """Give the owner all rights to a file or folder that is no link; return whether that was possible."""
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode) or stat.S_IMODE(mode) & 0o700 == 0o700:
            return False
        path.chmod(0o700)
    except OSError:
        return False
    return True
