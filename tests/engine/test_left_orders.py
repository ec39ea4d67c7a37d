"""Orders of runs that were killed go with the next run; those of runs that live, and what may be another's, stay."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_facechallenge.engine.left_orders import GRACE_SECONDS, lock_of, order_path, remove_left_orders
from pytest_facechallenge.engine.options import values_from
from pytest_facechallenge.engine.orders import ordered
from pytest_facechallenge.engine.plan import make_plan
from tests.support.models import network, save

HOLD = """
import sys, time
from pathlib import Path
from pytest_facechallenge.engine.options import values_from
from pytest_facechallenge.engine.orders import ordered
from pytest_facechallenge.engine.plan import make_plan
plan = make_plan(values_from({"model": sys.argv[1], "track": "mfr21/A"}))
with ordered(plan, Path(sys.argv[2])):
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network in a folder of its own."""
    return save(network(), tmp_path / "entries" / "a.onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that all machines see."""
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


def names(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


def aged(folder: Path) -> None:
    """Make everything in a folder as old as what is removed."""
    then = time.time() - GRACE_SECONDS - 5
    for path in folder.iterdir():
        os.utime(path, (then, then), follow_symlinks=False)


def test_an_order_goes_at_the_end(model: Path, folder: Path) -> None:
    plan = make_plan(values_from({"model": str(model), "track": "mfr21/A"}))
    with ordered(plan, folder):
        assert names(folder) == [".json", ".lock"]
        aged(folder)
        assert remove_left_orders(folder) == [], "its run lives"
    assert names(folder) == []


@pytest.mark.skipif(os.name != "posix", reason="it kills a process")
def test_what_a_killed_run_left_goes_with_the_next(model: Path, folder: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(model), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        aged(folder)
        assert remove_left_orders(folder) == []
        aged(folder)  # an older filelock writes into a lock that it is refused
        process.send_signal(signal.SIGKILL)
    assert names(folder) == [".json", ".lock"], "a killed run leaves its order"
    plan = make_plan(values_from({"model": str(model), "track": "mfr21/A"}))
    with ordered(plan, folder):
        assert names(folder) == [".json", ".lock"], "the next run has its own, and the other is gone"
    assert names(folder) == []


def left(folder: Path, **changes: object) -> Path:
    """Leave an order as a killed run of this machine does, but for changes."""
    import socket

    token = "0123456789abcdef"
    path = order_path(folder, token)
    path.write_text(json.dumps({"begun": 0, "host": socket.gethostname(), **changes}), encoding="ascii")
    lock = lock_of(folder, token)
    lock.acquire(timeout=0)
    lock.release()
    Path(lock.lock_file).touch()
    return path


def test_what_is_not_known_to_be_left_stays(folder: Path, tmp_path: Path) -> None:
    path = left(folder)
    assert remove_left_orders(folder) == [], "it is young"
    (folder / f".{path.name}.abcd").write_bytes(b"{")
    aged(folder)
    assert sorted(remove_left_orders(folder)) == sorted(
        [f".{path.name}.abcd", path.name, "order-0123456789abcdef.lock"]
    )
    assert names(folder) == []

    left(folder, host="another machine")
    aged(folder)
    assert remove_left_orders(folder) == []

    path = left(folder)
    Path(lock_of(folder, "0123456789abcdef").lock_file).unlink()
    aged(folder)
    assert remove_left_orders(folder) == [], "an order without a lock is nobody's in particular"

    path = left(folder)
    path.write_bytes(b"no order")
    aged(folder)
    assert remove_left_orders(folder) == []

    path.unlink()
    outside = tmp_path / "outside.json"
    outside.write_text("{}", encoding="ascii")
    path.symlink_to(outside)
    aged(folder)
    assert remove_left_orders(folder) == []
    assert outside.exists()


def test_files_of_other_names_and_a_folder_that_is_gone_are_left_alone(folder: Path) -> None:
    for name in ("order-1.json", "order-0123456789ABCDEF.json", "my-order-0123456789abcdef.json", "order.lock"):
        (folder / name).write_text("{}", encoding="ascii")
    aged(folder)
    assert remove_left_orders(folder) == []
    assert len(names(folder)) == 4
    assert remove_left_orders(folder / "none") == []
