"""How another machine makes the same plan: the options and the sources of a run, in a file that all machines see."""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pytest_facechallenge.core.machines import MachinesError
from pytest_facechallenge.core.options import OptionValues
from pytest_facechallenge.core.path_state import forget_states
from pytest_facechallenge.engine.left_orders import lock_of, order_path, remove_left_orders
from pytest_facechallenge.engine.plan import Plan, make_plan
from pytest_facechallenge.engine.report import write_atomically


@dataclass(frozen=True)
class Order:
    """Where the options and sources of a run stand, and the SHA-256 of that file: no two runs have the same."""

    path: str
    digest: str


@contextmanager
def ordered(plan: Plan, folder: Path) -> Iterator[Order]:
    """Write an order into a folder that all machines see; it goes at the end, or by the next run where this is killed.

    Every source stands in it, whichever a task is about: the names of submissions depend on all of them.

    Raises
    ------
    ReportError
        It cannot be written.
    """
    about = {
        "begun": time.time(),
        "host": socket.gethostname(),
        "base": str(plan.values.base),
        # A machine that is given work has none of its own to give.
        "values": {**plan.values.values, "dask": None},
        # What was not selected is not done there either.
        "only": plan.only,
        "entries": [[str(path), source.named] for path, source in plan.sources.items()],
    }
    content = json.dumps(about).encode("ascii")
    remove_left_orders(folder)
    token = secrets.token_hex(8)
    path, lock = order_path(folder, token), lock_of(folder, token)
    with suppress(OSError, NotImplementedError):  # without locks it works as well, and nobody removes what is left
        lock.acquire(timeout=0)
    try:
        write_atomically(path, content)
        yield Order(str(path), hashlib.sha256(content).hexdigest())
    finally:
        path.unlink(missing_ok=True)
        with suppress(OSError):
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release(force=True)


@lru_cache(maxsize=1)
def plan_of(order: Order) -> Plan:
    """Return the plan of an order; made once in a process for each run.

    Raises
    ------
    MachinesError
        The order cannot be read here, or what it names cannot be used here.
    """
    forget_states()
    where = f"on {socket.gethostname()} the run cannot be set up"
    try:
        content = Path(order.path).read_bytes()
        if hashlib.sha256(content).hexdigest() != order.digest:
            raise MachinesError(f"{where}: {order.path} is another one there")
        about = json.loads(content)
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in about["values"].items()}
        entries = {Path(path): bool(named) for path, named in about["entries"]}
        plan = make_plan(OptionValues(given, Path(about["base"])), submissions=entries)
        plan.validate()
        if about["only"] is not None:
            plan = plan.narrowed({name: [tuple(key) for key in keys] for name, keys in about["only"].items()})
    except MachinesError:
        raise
    except LookupError as error:
        raise MachinesError(f"{where}: the order names {error}, which no rule or analysis there is called") from error
    except (OSError, ValueError) as error:
        raise MachinesError(f"{where}: {error}") from error
    return plan
