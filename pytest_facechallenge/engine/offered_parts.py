"""Parts of verifications that steps offer while they are gathered here, given to other machines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_facechallenge.core.machines import Machines
from pytest_facechallenge.verification.offers import offers, tasks_of, withdraw
from pytest_facechallenge.verification.on_machines import PartTask, forget, scan_there

#: Seconds between two looks for an offer.
_LOOK = 0.5
#: Seconds in which machines finish the parts that they are at, when nobody waits for these any more.
_LAST = 60.0


class OfferedParts:
    """Looks for offers below a folder, in a thread, from when it is entered until it is left.

    Parameters
    ----------
    machines
        Who scans them.
    state
        The folder.
    on_progress
        Told how many parts were done, and what went wrong: the rest is then done by whoever offered it.
    """

    def __init__(self, machines: Machines, state: Path, on_progress: Callable[[str], None]) -> None:
        self._machines = machines
        self._state = state
        self._told = on_progress
        self._ended = threading.Event()
        # What a run that was killed has left is no offer any more.
        self._before = offers(state)
        self._thread = threading.Thread(target=self._look, name="offered-parts", daemon=True)

    def __enter__(self) -> OfferedParts:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(_LAST)
        for offer in self._new(self._before):
            withdraw(offer)

    def _new(self, seen: dict[Path, int]) -> dict[Path, int]:
        return {offer: when for offer, when in offers(self._state).items() if seen.get(offer) != when}

    def _look(self) -> None:
        seen = dict(self._before)
        try:
            while not self._ended.wait(_LOOK):
                for offer, when in self._new(seen).items():
                    seen[offer] = when
                    self._take(offer)
        except Exception as error:  # whatever it is, the parts are scanned by whoever offers them
            self._told(f"the machines of --facechallenge-dask take no more parts of the verification: {error}")

    def _take(self, offer: Path) -> None:
        def wanted() -> Iterator[PartTask]:
            for task in tasks_of(offer):
                if self._ended.is_set():
                    return
                yield task

        done = 0
        for done, _ in enumerate(self._machines.each(scan_there, wanted()), start=1):  # noqa: B007
            if self._ended.is_set():
                break
        self._machines.everywhere(forget)
        self._told(f"verification: {done} parts done by other machines")
