"""Two worker processes of dask.distributed on this machine, started once for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_facechallenge.cluster import connect
from pytest_facechallenge.cluster.connection import Cluster


@pytest.fixture(scope="package")
def machines() -> Iterator[Cluster]:
    with connect("local:2") as found:
        yield found
