"""Other machines, by dask.distributed: the one package that imports dask, and only when machines are asked for."""

from __future__ import annotations

from pytest_facechallenge.cluster.connection import connect
from pytest_facechallenge.cluster.naming import Local, Scheduler, named

__all__ = ["Local", "Scheduler", "connect", "named"]
