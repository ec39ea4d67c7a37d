"""A worker that only comes to its work when the process that started it is gone."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from pytest_facechallenge.sandbox import worker
from tests.support import hostile_worker

if __name__ == "__main__":
    parent = os.getppid()
    Path(sys.argv[1]).with_name("late").touch()
    deadline = time.monotonic() + 30
    while os.getppid() == parent and time.monotonic() < deadline:
        time.sleep(0.01)
    hostile_worker.install()
    worker.main(sys.argv[1])
