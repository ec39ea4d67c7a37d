"""How long one run takes that judges the demo.

``python benchmarks/one_run.py`` runs pytest as the README's first command does (the demo with its testset and rulebook)
and on MFR21's track A, whose rules include the inference time: each with a fresh cache (the reference networks are
timed) and again with the calibration that this left. It prints wall time, processor time of the whole process tree and
what share of the processors other programs used meanwhile: wall times mean something on a quiet machine only.
``--runs N`` repeats all of it and prints the medians, ``--only README`` (or ``A``) leaves the other out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from pytest_facechallenge.analyses.latency.contention import Others

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "examples" / "demo"
COMMON = ("--facechallenge-model", str(DEMO / "model.onnx"), "--facechallenge-testset", str(DEMO / "testset"))
RUNS = {
    "README": (*COMMON, "--facechallenge-rules", str(DEMO / "rulebook.toml"), "--track", "drawings"),
    "A": (*COMMON, "--track", "mfr21/A"),
}
#: Seconds on two quiet cores that the README's command may take.
AIM = 25.0


class Spent(NamedTuple):
    """Of one run: seconds of wall and processor time, the share of other programs, and the last line it printed."""

    wall: float
    work: float
    others: float
    said: str


def run(arguments: tuple[str, ...], cache: Path, folder: Path) -> Spent:
    """Run pytest once, with a user's cache of its own."""
    import resource

    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with Others() as others:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout + done.stderr)
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(wall, work, others.share, done.stdout.strip().splitlines()[-1])


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--only", choices=tuple(RUNS))
    chosen = parser.parse_args()
    print(f"{psutil.cpu_count()} processors; the aim for the README's command is {AIM:g} s on two quiet ones")
    for name, arguments in RUNS.items():
        if chosen.only not in (None, name):
            continue
        found: dict[str, list[Spent]] = {"fresh cache": [], "kept calibration": []}
        for _ in range(chosen.runs):
            with tempfile.TemporaryDirectory() as text:
                for spent in found.values():
                    spent.append(run(arguments, Path(text) / "cache", Path(text)))
        for kind, spent in found.items():
            wall, work, others = (statistics.median(values) for values in list(zip(*spent, strict=True))[:3])
            print(f"{name:7} {kind:17} {wall:6.1f} s, processor time {work:6.1f} s, others used {others:4.0%}")
        print(f"        {found['fresh cache'][-1].said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
