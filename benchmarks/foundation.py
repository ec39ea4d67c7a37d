"""What judging costs, as ratios to named peers in the same run.

    python -m benchmarks.foundation            # all
    python -m benchmarks.foundation startup    # only the start-up of a run that does not use the plugin

(a) judging an iResNet-50 (166 MB) and an iResNet-100 (249 MB) on every rule of track A but latency and those that need
    a testset, against loading it once with onnxruntime and running 64 images: wall time, starts of processes included;
(b) peak memory of that whole process tree against the size of the file;
(c) a pytest run that does not use the plugin, with it against ``-p no:facechallenge``, median of 15 pairs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from pytest_facechallenge.refnets import save

PAIRS = 15
#: Rules that are measured by benchmarks of their own: they are told how often to run, and on which testset.
APART = "not latency and not accuracy and not ranking-score"
NETWORKS = ("iresnet50", "iresnet100")
PEER = """
import sys, time, numpy as np, onnxruntime as ort
began = time.perf_counter()
session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
batch = np.random.default_rng(0).standard_normal((int(sys.argv[2]), 3, 112, 112), dtype=np.float32)
for _ in range(64 // len(batch)):
    session.run(None, {session.get_inputs()[0].name: batch})
print(time.perf_counter() - began)
"""


def peak_and_wall(command: list[str], folder: Path) -> tuple[float, int]:
    """Run a command; return seconds and the peak resident bytes of it and its descendants together.

    Byte code is written where the environment forbids it: an installed package has it.
    """
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    began, peak = time.perf_counter(), 0
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            family = [watched, *watched.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in family))
        except psutil.Error:
            continue
        time.sleep(0.01)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: it did not judge the network")
    return time.perf_counter() - began, peak


def judging(folder: Path, rounds: int = 3) -> None:
    """Judge each network some times, each time beside its peers."""
    for name in NETWORKS:
        path = folder / f"{name}.onnx"
        save(name, path)
        judge = [sys.executable, "-m", "pytest", "-q", f"--facechallenge-model={path}", "--track=mfr21/A", "-k", APART]
        peak_and_wall(judge, folder)  # byte code and files are there then
        ratios: dict[int, list[float]] = {1: [], 32: []}
        walls, peaks = [], []
        for _ in range(rounds):
            wall, peak = peak_and_wall(judge, folder)
            walls.append(wall)
            peaks.append(peak)
            for batch, found in ratios.items():
                peer = [sys.executable, "-c", PEER, str(path), str(batch)]
                began = time.perf_counter()
                subprocess.run(peer, check=True, stdout=subprocess.DEVNULL)
                found.append(wall / (time.perf_counter() - began))
        size = path.stat().st_size
        print(f"(a) judging {name} ({size / 2**20:.0f} MB), median of {rounds}: {statistics.median(walls):.1f} s")
        for batch, found in ratios.items():
            against = f"onnxruntime loading it and running 64 images, {batch} at a time"
            print(f"    ratio to {against}: {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})")
        print(f"(b) peak memory of the process tree / file size: {max(peaks) / size:.2f} ({max(peaks) / 2**20:.0f} MB)")
        path.unlink()


def startup(folder: Path) -> None:
    (folder / "test_nothing.py").write_text("def test_nothing(): pass\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    base = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_nothing.py"]
    ratios = []
    for pair in range(PAIRS + 1):
        seconds = {}
        order = [("with", base), ("without", [*base, "-p", "no:facechallenge"])]
        for name, command in order if pair % 2 else order[::-1]:
            began = time.perf_counter()
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            seconds[name] = time.perf_counter() - began
        if pair:  # the first pair warms the file cache
            ratios.append(seconds["with"] / seconds["without"])
    print(
        f"(c) start-up with the plugin / without, {PAIRS} pairs: median {statistics.median(ratios):.3f} "
        f"(from {min(ratios):.3f} to {max(ratios):.3f})"
    )


def main() -> None:
    chosen = set(sys.argv[1:]) or {"judging", "startup"}
    for name, run in (("judging", judging), ("startup", startup)):
        if name in chosen:
            with tempfile.TemporaryDirectory() as folder:
                run(Path(folder))


if __name__ == "__main__":
    main()
