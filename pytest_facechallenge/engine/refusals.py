"""What a run refuses before anything is judged: files, devices and limits that cannot be used."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_facechallenge.core.files import kind_of
from pytest_facechallenge.core.options import Option, OptionError, OptionValues
from pytest_facechallenge.core.text import clean

#: MiB below which no model is judged. A worker with a small model was measured to take 45 of its own on Linux; systems
#: that do not tell shared pages apart count more than 100.
LEAST_MEMORY_MIB = 128


@contextmanager
def reading(*named: str) -> Iterator[None]:
    """Turn whatever goes wrong while something the user named is read into a message that says what that was.

    Raises
    ------
    OptionError
        For an error that is not one of this project's own, which say it themselves.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
            raise
        what = type(error).__name__ if not str(error) else f"{type(error).__name__}: {error}"
        raise OptionError(clean(f"what {' '.join(named) or 'the options'} name cannot be used: {what}")) from error


def as_typed(value: object) -> str:
    """Return an option's value as a user would type it."""
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def refuse_special_file(option: Option, values: OptionValues) -> None:
    """Refuse a pipe, a socket or a device where a file or a folder is expected: reading it may never end.

    Raises
    ------
    OptionError
        With what is there.
    """
    path = values.path_of(option.name)
    try:
        mode = Path(path).stat().st_mode if path else 0
    except (OSError, ValueError):
        return  # whether it must exist, and how it is opened, is for whoever reads or writes it
    if path and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OptionError(
            f"{option.flag} {clean(values.text(option.name))}: a regular file is expected, found {kind_of(mode)}"
        )


def refuse_device(device: str) -> None:
    """Refuse a device that is not there, before anything runs.

    Raises
    ------
    OptionError
        This runtime or this machine does not have it.
    """
    if device.lower() in ("auto", "cpu"):
        return
    from pytest_facechallenge.inference.session import DeviceError, look_for

    try:
        look_for(device)
    except DeviceError as error:
        raise OptionError(str(error)) from error


def refuse_memory(values: OptionValues) -> None:
    """Refuse a limit of memory in which no worker could start.

    Raises
    ------
    OptionError
        It is too small, or this machine has less.
    """
    given = values.number("memory")
    if given and given < LEAST_MEMORY_MIB:
        raise OptionError(
            f"--facechallenge-memory must be at least {LEAST_MEMORY_MIB} MiB (what a worker itself "
            f"takes), found {given}"
        )
