"""How machines are named: ``local:N``, the address of a scheduler, or the file that it writes. Loads no dask."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pytest_facechallenge.core.machines import MachinesError
from pytest_facechallenge.core.text import clean

#: More processes on one machine than this are a slip of the finger.
MOST_PROCESSES = 1024
_ADDRESS = re.compile(r"(?:[a-z]+://)?(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}", re.ASCII)
EXPECTED = "local:N (N processes of this machine), HOST:PORT of a scheduler, or the JSON file that it wrote"


@dataclass(frozen=True)
class Local:
    """Processes of this machine."""

    processes: int


@dataclass(frozen=True)
class Scheduler:
    """A scheduler that runs somewhere: its address, or the file in which it wrote it."""

    address: str = ""
    file: str = ""


def named(text: str, base: Path | None = None) -> Local | Scheduler:
    """Return what a text names, without looking whether it is there.

    Parameters
    ----------
    base
        What a relative path is relative to; the current folder if not given.

    Raises
    ------
    MachinesError
        It names nothing, or dask.distributed is not installed.
    """
    found: Local | Scheduler
    word, colon, number = text.partition(":")
    if word == "local" and colon and number.isascii() and number.isdigit():
        if not 1 <= int(number) <= MOST_PROCESSES:
            raise MachinesError(
                f"--facechallenge-dask {clean(text)}: 1 to {MOST_PROCESSES} processes are expected, found {number}"
            )
        found = Local(int(number))
    elif _ADDRESS.fullmatch(text):
        found = Scheduler(address=text if "://" in text else f"tcp://{text}")
    elif text.endswith(".json"):
        path = (base or Path.cwd()) / text
        if not path.is_file():
            raise MachinesError(
                f"--facechallenge-dask {clean(text)}: there is no such file; 'dask scheduler --scheduler-file FILE' "
                "writes one in a folder that this machine sees"
            )
        found = Scheduler(file=str(path))
    else:
        raise MachinesError(f"--facechallenge-dask: {EXPECTED} is expected, found {clean(text)!r}")
    if find_spec("distributed") is None:
        raise MachinesError(
            f"--facechallenge-dask {clean(text)} needs dask.distributed, which is not installed here: "
            "pip install 'pytest-facechallenge[dask]'"
        )
    return found
