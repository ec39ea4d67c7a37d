"""Exact verification of memory-mapped features of real size: time, pairs a second, memory, and what a kill costs.

    python -m benchmarks.large_verification                                        157,280 rows, FAR < 1e-4
    python -m benchmarks.large_verification --rows 300000 --identities 44720 --far 1e-6 --kills 2
    python -m benchmarks.large_verification --rows 1624305 --identities 242143 --far 1e-6      as large as MR-All
    python -m benchmarks.large_verification --dask local:2                         by workers of dask.distributed

The features are made in a file, piece by piece, and verified by a process of its own that maps the file. With --kills
that process is killed (SIGKILL) several times on the way and started again with the same state; with --in-memory the
result is compared with that of the same features in memory, to the last digit. Memory is what the process holds beyond
mapped files and beyond an empty verification, as a share of the features. The time for another size is extrapolated
from the measured pairs a second, and called that.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pytest_facechallenge.verification import OperatingPoint, Settings, VerificationResult, verify

MR_ALL = 1_624_305
FEATURES, IDENTITIES, STATE = "features.npy", "identities.npy", "state"
PIECE = 8192


def make(folder: Path, rows: int, people: int, width: int, seed: int = 0) -> None:
    """Write unit rows float32 [rows, width] around a centre for each identity, with a decaying spectrum.

    As `benchmarks.verification.embeddings` makes them, in bounded memory: a centre comes from the seed and its number.
    """
    rng = np.random.default_rng(seed)
    names = np.sort(np.concatenate([np.arange(people), rng.integers(0, people, rows - people)]))
    basis = np.linalg.qr(rng.standard_normal((width, width)))[0] * np.exp(-np.arange(width) / 150)[:, None]
    basis = basis.astype(np.float32)
    matrix = np.lib.format.open_memmap(folder / FEATURES, mode="w+", dtype=np.float32, shape=(rows, width))
    centre, last = np.empty(width, np.float32), -1
    for start in range(0, rows, PIECE):
        here = names[start : start + PIECE]
        noise = rng.uniform(0.5, 2.0, (len(here), 1)).astype(np.float32)
        x = noise * rng.standard_normal((len(here), width), dtype=np.float32)
        own, which = np.unique(here, return_inverse=True)
        centres = rng.standard_normal((len(own), width), dtype=np.float32)
        if own[0] == last:  # the identity goes on from the piece before
            centres[0] = centre
        centre, last = centres[-1], int(own[-1])
        x = (x + centres[which]) @ basis
        matrix[start : start + len(here)] = x / np.linalg.norm(x, axis=1, keepdims=True)
    matrix.flush()
    np.save(folder / IDENTITIES, names)


class PeakMemory:
    """The most anonymous memory of this process (`RssAnon`, so without mapped files), looked at every 5 ms."""

    def __enter__(self) -> PeakMemory:
        self.before = self.most = _anonymous()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def _look(self) -> None:
        while not self._ended.wait(0.005):
            self.most = max(self.most, _anonymous())

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()


def _anonymous() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def child(folder: Path, far: str, scheduler: str, *, in_memory: bool) -> None:
    """Verify what lies in the folder, and print seconds, memory and the result as JSON."""
    features: Any = np.load(folder / FEATURES, mmap_mode=None if in_memory else "r")
    identities = np.load(folder / IDENTITIES)
    point, settings = OperatingPoint(far=far), Settings()
    # A small one first: what the libraries hold once they are loaded is no memory of the features.
    verify(np.array(features[:12_000]), identities[:12_000], [point], settings=settings)
    started, cpu = time.perf_counter(), time.process_time()
    with PeakMemory() as memory:
        if scheduler:
            from pytest_facechallenge.cluster import connect

            with connect(scheduler) as machines:
                found = verify(
                    features, identities, [point], settings=settings, state=folder / STATE, machines=machines
                )
        else:
            state = None if in_memory else folder / STATE
            found = verify(features, identities, [point], settings=settings, state=state)
    seconds, extra = time.perf_counter() - started, memory.most - memory.before
    told = {"seconds": seconds, "cpu": time.process_time() - cpu, "bytes": extra}
    print(json.dumps({**told, "result": msgspec.to_builtins(found)}), flush=True)


def started(folder: Path, options: argparse.Namespace, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.large_verification",
        "--child",
        str(folder),
        "--far",
        options.far,
        *more,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> tuple[dict[str, float], VerificationResult]:
    said = process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"the verification ended with {process.returncode}")
    found = json.loads(said.splitlines()[-1])
    return found, msgspec.convert(found["result"], VerificationResult)


def killed_on_the_way(folder: Path, options: argparse.Namespace, more: list[str]) -> tuple[list[int], float]:
    """Kill the verification after some more parts each time; return the parts kept at each kill, and the seconds."""
    kept: list[int] = []
    begun = time.perf_counter()
    for _ in range(options.kills):
        process = started(folder, options, *more)
        before = len(list((folder / STATE).glob("*/*.part")))
        while process.poll() is None and len(list((folder / STATE).glob("*/*.part"))) < before + options.kill_after:
            time.sleep(0.05)
        process.kill()
        process.communicate()
        kept.append(len(list((folder / STATE).glob("*/*.part"))))
    return kept, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=157_280)
    parser.add_argument("--identities", type=int, default=14_344)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--far", default="1e-4")
    parser.add_argument("--folder", type=Path, help="where to make the features (a temporary folder)")
    parser.add_argument("--kills", type=int, default=0, metavar="N", help="kill the process N times on the way")
    parser.add_argument("--kill-after", type=int, default=20, metavar="PARTS", help="finished parts between two kills")
    parser.add_argument("--in-memory", action="store_true", help="compare with the same features in memory")
    parser.add_argument("--dask", default="", metavar="SCHEDULER|local:N")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.far, options.dask, in_memory=options.in_memory)
        return
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="features-") as name:
        folder = Path(name)
        begun = time.perf_counter()
        make(folder, options.rows, options.identities, options.width)
        size = (folder / FEATURES).stat().st_size
        print(f"{options.rows:,} rows of {options.width} values in {options.identities:,} identities ({size >> 20} MB)")
        print(f"made in {time.perf_counter() - begun:.0f} s; FAR < {options.far}", flush=True)
        more = [f"--dask={options.dask}"] if options.dask else []
        kept, before = killed_on_the_way(folder, options, more)
        told, result = finished(started(folder, options, *more))
        report(options, result, told, size, kept, before)
        if options.in_memory:
            again, other = finished(started(folder, options, "--in-memory"))
            same = msgspec.structs.replace(other, backend="") == msgspec.structs.replace(result, backend="")
            print(f"in memory: {again['seconds']:.1f} s, {'the same result' if same else 'ANOTHER RESULT'}")


def report(
    options: argparse.Namespace,
    result: VerificationResult,
    told: dict[str, float],
    size: int,
    kept: list[int],
    before: float,
) -> None:
    point, pairs = result.points[0], result.pairs.genuine + result.pairs.impostor
    where = f" by {options.dask}" if options.dask else ""
    seconds, cpu, extra = told["seconds"], told["cpu"], told["bytes"]
    print(
        f"verified in {seconds:.1f} s{where} ({result.backend}), {cpu:.1f} s of processor time of this process; ",
        end="",
    )
    print(f"memory beyond mapped files: {extra / 2**20:.0f} MB, {extra / size:.3f} of the features")
    if kept:
        print(f"killed {len(kept)} times; parts kept at each: {kept}; the time above is of the last process, ", end="")
        print(f"the killed ones took {before:.0f} s: {(before + seconds) / 60:.1f} min together")
    elif not options.dask:  # there the time of processes that start is in it, and their processor time is not
        whole = MR_ALL * (MR_ALL - 1) // 2
        print(f"{pairs:.3g} pairs, {pairs / seconds:.3g} a second, {pairs / cpu:.3g} a second of processor time")
        here, alone = whole / pairs * seconds / 60, whole / pairs * cpu / 120
        print(
            f"extrapolated from these, and not measured: MR-All's {whole:.3g} pairs in {here:.0f} min as here, ", end=""
        )
        print(f"in {alone:.0f} min on 2 cores with nothing else to do")
    print(f"TAR {point.tar}, threshold {point.threshold}, K {point.allowed_false_accepts:,}")


if __name__ == "__main__":
    main()
