"""Whether another machine computes as this one does: the same code and packages, the same files at the same paths."""

from __future__ import annotations

import hashlib
import platform
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pytest_facechallenge.core.machines import MachinesError
from pytest_facechallenge.core.version import __version__

#: Packages by which numbers can differ.
_PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "scipy", "Pillow")


@dataclass(frozen=True)
class Likeness:
    """What a process says of itself.

    Attributes
    ----------
    host
        The machine's name.
    versions
        What has to be the same, by its name.
    read
        What it read in the file that it was told of; "" where it sees none.
    """

    host: str
    versions: Mapping[str, str]
    read: str


@cache
def versions() -> dict[str, str]:
    """Return the versions of everything that numbers depend on, this package's source code included."""
    found = {"pytest-facechallenge": f"{__version__}, sources {_sources()}", "processor": platform.machine()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _sources() -> str:
    home = Path(__file__).resolve().parents[1]
    found = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        found.update(f"{path.relative_to(home).as_posix()}\n".encode() + path.read_bytes())
    return found.hexdigest()[:12]


def likeness(file: str) -> Likeness:
    """Return what this process is like; called on every machine."""
    try:
        read = Path(file).read_text(encoding="ascii")
    except (OSError, UnicodeError):
        read = ""
    return Likeness(socket.gethostname(), versions(), read)


class Token:
    """A file in a folder, with a word that only whoever sees the folder can know."""

    def __init__(self, folder: Path) -> None:
        self.word = secrets.token_hex(16)
        self.path = folder / f"machines-{self.word[:8]}.token"

    def __enter__(self) -> Token:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(self.word, encoding="ascii")
        except OSError as error:
            raise MachinesError(f"the folder that machines share cannot be written: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)


def refuse_unlike(told: Mapping[str, Likeness | BaseException], token: Token) -> None:
    """Refuse machines that do not see the folder or have other versions.

    Parameters
    ----------
    told
        What each worker said, or the error that it answered with, by its address.

    Raises
    ------
    MachinesError
        With the worker, what was expected and what was found.
    """
    for address, answer in told.items():
        if isinstance(answer, BaseException):
            raise MachinesError(
                f"the worker {address} cannot run this package ({type(answer).__name__}: {answer}): install "
                f"pytest-facechallenge {__version__} there"
            )
        where = f"the worker {address} on {answer.host}"
        mine = versions()
        for name in dict.fromkeys([*mine, *answer.versions]):
            expected, found = mine.get(name, "none"), answer.versions.get(name, "none")
            if expected != found:
                raise MachinesError(
                    f"{where} has another {name}, so that results could differ: {expected} is expected as here, found "
                    f"{found}; install the same there"
                )
        if answer.read != token.word:
            raise MachinesError(
                f"{where} does not see the folder {token.path.parent}: it must be shared, under the same path on every "
                "machine"
            )
