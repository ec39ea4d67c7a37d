"""A connection to a scheduler of dask.distributed, and the work that is given to it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pytest_facechallenge.cluster.likeness import Token, likeness, refuse_unlike
from pytest_facechallenge.cluster.naming import Local, named
from pytest_facechallenge.core.machines import Item, MachinesError, Result

#: Seconds to wait for a scheduler, for its first worker, and for a new worker after the last one died.
ANSWER_SECONDS, WORKER_SECONDS = 10, 60
#: Seconds between two looks at whether any worker is left.
_LOOK = 2.0
#: Calls that are handed out for each thread of a worker: one that runs and one that waits.
_AHEAD = 2


@contextmanager
def connect(text: str, base: Path | None = None) -> Iterator[Cluster]:
    """Give the machines that a text names; processes that were started for it end with it.

    Parameters
    ----------
    text, base
        See `naming.named`.

    Raises
    ------
    MachinesError
        It names nothing, no scheduler answers there, or none of its workers does.
    """
    where = named(text, base)
    import distributed  # a second of imports, and an optional package

    with contextlib.ExitStack() as stack:
        if isinstance(where, Local):
            # No limit of memory: dask counts mapped files as memory, and the sandbox has limits of its own. The
            # dashboard gets a port that is free, for this machine alone.
            local = distributed.LocalCluster(
                n_workers=where.processes,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.ERROR,
            )
            stack.enter_context(contextlib.closing(local))
            target: dict[str, Any] = {"address": local}
        else:
            target = {"scheduler_file": where.file} if where.file else {"address": where.address}
        try:
            client = distributed.Client(**target, timeout=ANSWER_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise MachinesError(
                f"no scheduler of dask answers at {text} within {ANSWER_SECONDS} seconds ({error}): is 'dask "
                "scheduler' running there, and can its port be reached from this machine?"
            ) from error
        stack.enter_context(contextlib.closing(client))
        try:
            client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TimeoutError as error:
            raise MachinesError(
                f"the scheduler at {text} has no worker after {WORKER_SECONDS} seconds: start some with 'dask worker'"
            ) from error
        yield Cluster(client)


class Cluster:
    """The workers of a scheduler; see `pytest_facechallenge.core.machines.Machines`.

    Parameters
    ----------
    client
        A connected ``distributed.Client``.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def slots(self) -> int:
        """Calls that can run at the same time."""
        return sum(int(threads) for threads in self._client.nthreads().values())

    def check(self, folder: Path) -> None:
        """Make sure that every worker sees a folder and computes as this process does; see `Machines.check`."""
        with Token(folder) as token:
            refuse_unlike(self._client.run(likeness, str(token.path), on_error="return"), token)

    def everywhere(self, function: Callable[[], Any]) -> None:
        """Call a function once in every worker; see `Machines.everywhere`."""
        self._client.run(function, on_error="ignore")

    def each(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
        """Call a function for each item on some worker; see `Machines.each`."""
        source = iter(items)
        given: dict[Any, Item] = {}
        try:
            while True:
                for item in _some(source, _AHEAD * max(1, self.slots) - len(given)):
                    # Not pure: dask would take two equal calls for one, and hold on to its result.
                    given[self._client.submit(partial(function, item), pure=False)] = item
                if not given:
                    return
                for future in self._finished(list(given)):
                    item = given.pop(future)
                    yield item, self._result(future)
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self._client.cancel(list(given))

    def _finished(self, futures: list[Any]) -> list[Any]:
        """Wait until a call has ended, and give those that have."""
        import distributed

        alone_since = None
        while True:
            try:
                with self._client.as_current():
                    return list(distributed.wait(futures, timeout=_LOOK, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                pass
            except Exception as error:  # CancelledError of the scheduler's end, and errors of a closed connection
                raise MachinesError(f"the scheduler of dask is gone ({error}); {GOES_ON}") from error
            if self._client.nthreads():
                alone_since = None
            elif alone_since is None:
                alone_since = time.monotonic()
            elif time.monotonic() - alone_since > WORKER_SECONDS:
                raise MachinesError(f"no worker of dask is left since {WORKER_SECONDS} seconds; {GOES_ON}")

    def _result(self, future: Any) -> Any:
        from distributed.scheduler import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            raise MachinesError(
                f"a call was at the death of several workers ({error}): look at their logs, memory first; {GOES_ON}"
            ) from error


#: What every error says that comes in the middle of the work.
GOES_ON = "what was finished is kept, and the same command goes on from it"


def _some(source: Iterator[Item], count: int) -> Iterator[Item]:
    """Give up to ``count`` items."""
    for _, item in zip(range(count), source, strict=False):
        yield item
