"""A worker's processor time is limited, and the limit grows with work whose size is known."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_facechallenge.core.run_options import RunOptions
from pytest_facechallenge.sandbox.process import Limits, Request
from pytest_facechallenge.verification.cost import most_processor_seconds

pytestmark = pytest.mark.skipif(os.name != "posix", reason="only POSIX systems limit processor time")

#: What a process is told that limits itself to one second, asks for more, and works for longer than a second.
WORK = """
import resource, sys, time
from pytest_facechallenge.sandbox.processor_time import allow_processor_time, limit_processor_time
limit_processor_time(0.05 / {cores})
if {more}:
    allow_processor_time({more})
print(resource.getrlimit(resource.RLIMIT_CPU)[0], flush=True)
while time.process_time() < {work}:
    pass
print("done", flush=True)
"""


def run(**values: float) -> subprocess.CompletedProcess[str]:
    code = WORK.format(cores=os.cpu_count() or 1, **values)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_a_process_that_goes_on_for_ever_is_ended() -> None:
    done = run(more=0, work=5)
    assert done.stdout.split() == ["1"]
    assert done.returncode < 0


def test_work_that_was_announced_is_not() -> None:
    done = run(more=2.5, work=1.6)
    assert done.stdout.split() == ["4", "done"]
    assert done.returncode == 0


def test_a_limit_of_the_system_stays() -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (50, 60))\n" + WORK.format(
        cores=os.cpu_count() or 1, more=1e30, work=0
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["60", "done"]


def test_a_limit_that_is_none_stays_none() -> None:
    code = (
        "import resource\nfrom pytest_facechallenge.sandbox.processor_time import allow_processor_time\n"
        "none = lambda: resource.getrlimit(resource.RLIMIT_CPU)[0] == resource.RLIM_INFINITY\n"
        "before = none()\nallow_processor_time(5)\nprint(before, none())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    before, after = done.stdout.split()
    if before != "True":
        pytest.skip("this process has a limit itself")
    assert after == "True"


def test_the_largest_sets_fit() -> None:
    """MR-All and LFR19's images take 2 to 3 hours of one core of 2021 with float32, and a slow core five times that."""
    for rows in (1_624_305, 1_862_120):
        float32 = rows**2 / 2 * 512 / 50e9
        assert most_processor_seconds(rows, 512) > 5 * float32


def test_a_worker_s_steps_can_ask_for_more(tmp_path: Path) -> None:
    (tmp_path / "facts").mkdir()
    request = Request(
        source=str(tmp_path / "model.onnx"),
        workdir=str(tmp_path),
        facts_dir=str(tmp_path / "facts"),
        steps=(),
        options=RunOptions(),
        limits=Limits(idle_seconds=100.0),
        parent=os.getpid(),
    )
    (tmp_path / "request").write_bytes(request.encoded())
    code = (
        "import os, resource, sys\n"
        "from pytest_facechallenge.sandbox import worker\n"
        "def context(*_given, allow, **_more):\n"
        "    before = resource.getrlimit(resource.RLIMIT_CPU)[0]\n"
        "    allow(1000)\n"
        "    print(before, resource.getrlimit(resource.RLIMIT_CPU)[0])\n"
        "worker.Context, worker.die_with = context, lambda _parent: None\n"
        "worker.main(sys.argv[1])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "request")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    before, after = map(int, done.stdout.split())
    assert before == 2000 * (os.cpu_count() or 1)
    assert after == before + 1000
