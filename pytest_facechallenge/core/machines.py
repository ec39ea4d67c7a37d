"""What other machines look like to whoever has work for them. Standard library only; nothing here knows dask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pytest_facechallenge.core.options import OptionError

Item = TypeVar("Item")
Result = TypeVar("Result")


class MachinesError(OptionError):
    """Machines that cannot be used, or are no longer there; the message says what was expected and what to do."""


class Machines(Protocol):
    """Processes, perhaps of other machines, that share a folder with this one and have the same packages."""

    def each(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Call a function for each item somewhere, and give the items with what it returned, in no order.

        Items are asked for when a machine is about to be free. A call is repeated where the process that was at it
        died, so the function has to give the same then. Items and results are small: whatever is large lies in a
        folder that all machines see.

        Raises
        ------
        MachinesError
            A call was at the death of several processes, or no process is left.
        """
        ...

    def everywhere(self, function: Callable[[], Any]) -> None:
        """Call a function once in every process; what goes wrong is passed over."""
        ...

    def check(self, folder: Path) -> None:
        """Make sure that every machine sees a folder, and computes as this one does.

        Raises
        ------
        MachinesError
            One does not see it, or has another version of a package that results depend on.
        """
        ...
