"""What a run of pytest pays for the plugin where it judges nothing.

``python benchmarks/plugin_start.py`` runs pytest on one test that does nothing, many times, with the plugin and without
it (``-p no:facechallenge``), in turns whose order alternates, and prints the ratio of the processor times with a 95 %
interval; of the wall times as well, which mean something on a quiet machine only. Every other installed plugin is
blocked in both, so that the share of this one is as large as it can be. ``--others`` leaves them on; ``--tests N``
gives the run more tests. Byte code is kept in a folder of the benchmark, as an installed package has it.

A run is short and its time scatters, so what is compared is a pair of neighbours: the ratio is the median over all
pairs of time with over time without, its interval comes from resampling pairs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np

OURS = "facechallenge"
#: Runs before the first that counts, so that byte code is there and files are in memory.
WARM_UP = 2
#: How often pairs are drawn again, and between which of the results the interval lies.
RESAMPLES, LEVELS = 4000, (0.025, 0.975)


class Spent(NamedTuple):
    """Seconds of one run: processor time of it and its children, and wall time."""

    work: float
    wall: float


def run(command: list[str], folder: Path, environment: dict[str, str]) -> Spent:
    """Run a command and return what it took.

    Raises
    ------
    subprocess.CalledProcessError
        It failed.
    """
    import resource

    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)


def ratio(with_it: list[float], without: list[float]) -> tuple[float, float, float]:
    """Return the median ratio of the pairs and its 95 % interval, from seeded resampling."""
    pairs = np.asarray(with_it) / np.asarray(without)
    drawn = np.random.default_rng(0).choice(pairs, (RESAMPLES, len(pairs)))
    low, high = np.quantile(np.median(drawn, axis=1), LEVELS)
    return float(np.median(pairs)), float(low), float(high)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100, help="runs of each kind (default: 100)")
    parser.add_argument("--tests", type=int, default=1, help="tests in the run (default: 1)")
    parser.add_argument("--others", action="store_true", help="leave the other installed plugins on")
    chosen = parser.parse_args()
    others = sorted({each.name for each in metadata.entry_points(group="pytest11")} - {OURS})
    base = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    if not chosen.others:
        base += [word for name in others for word in ("-p", f"no:{name}")]
    kinds = {"with": base, "without": [*base, "-p", f"no:{OURS}"]}
    spent: dict[str, list[Spent]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        (folder / "pytest.ini").write_text("[pytest]\n")  # this folder is the root: no other settings are read
        (folder / "test_nothing.py").write_text(
            "".join(f"def test_{number}():\n    pass\n" for number in range(chosen.tests))
        )
        for turn in range(-WARM_UP, chosen.pairs):
            for kind in kinds if turn % 2 else reversed(kinds):
                found = run(kinds[kind], folder, environment)
                if turn >= 0:
                    spent[kind].append(found)
    print(f"{chosen.pairs} runs each, {chosen.tests} test(s); other plugins {'on' if chosen.others else 'blocked'}")
    for field, words in (("work", "processor time"), ("wall", "wall time")):
        times = {kind: [getattr(each, field) for each in spent[kind]] for kind in kinds}
        middle, low, high = ratio(times["with"], times["without"])
        medians = ", ".join(f"{kind} {np.median(values) * 1000:.0f} ms" for kind, values in times.items())
        print(f"{words:15} {medians}; with/without {middle:.3f} (95 %: {low:.3f} to {high:.3f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
