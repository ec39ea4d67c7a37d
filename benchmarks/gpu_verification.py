"""Tiles on a GPU through onnxruntime: the same result as the processor's filter, and the time of MR-All's size.

    python -m benchmarks.gpu_verification                on a GPU: 100,000 rows by both filters, then MR-All's size
    python -m benchmarks.gpu_verification --no-mr-all    the first part only
    python -m benchmarks.gpu_verification --on-cpu       without a GPU: the same graphs by the processor, on few rows

The aim is under 15 s for MR-All's 1,624,305 rows on an H200-class GPU. "in the device's calls" is the time that threads
spend in runs of the session, waiting for each other included: more than the wall time means that the device is what is
waited for. Products a second count 520 columns a pair, as the device multiplies them. Results are compared to the last
digit.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import numpy as np

from benchmarks.large_verification import FEATURES, IDENTITIES, MR_ALL, make
from pytest_facechallenge.verification import OperatingPoint, Settings, VerificationResult, verify
from pytest_facechallenge.verification.backends import states
from pytest_facechallenge.verification.backends.device import DeviceTiles
from pytest_facechallenge.verification.backends.device_session import Comparer

WIDTH = 512
FEW, SOME = 20_000, 100_000
MR_ALL_IDENTITIES = 242_143
AIM = 15.0


class Watch:
    """How long the device backend takes to get ready, and how long its calls take."""

    def __init__(self) -> None:
        self.ready = self.calls = 0.0
        self.runs = self.places = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Watch:
        prepare, compare = DeviceTiles.__init__, Comparer.places

        def ready(tiles: DeviceTiles, *given: Any, **named: Any) -> None:
            begun = time.perf_counter()
            prepare(tiles, *given, **named)
            self.ready += time.perf_counter() - begun
            self.calls, self.runs, self.places = 0.0, 0, 0  # what was tried before is part of getting ready

        def places(comparer: Comparer, *given: Any) -> Any:
            begun = time.perf_counter()
            found = compare(comparer, *given)
            with self._lock:
                self.calls += time.perf_counter() - begun
                self.runs, self.places = self.runs + 1, self.places + len(found[0])
            return found

        self._patches = contextlib.ExitStack()
        self._patches.enter_context(mock.patch.object(DeviceTiles, "__init__", ready))
        self._patches.enter_context(mock.patch.object(Comparer, "places", places))
        return self

    def __exit__(self, *_: object) -> None:
        self._patches.close()


def measured(rows: Any, identities: Any, far: str, backend: str) -> tuple[VerificationResult, float]:
    """Verify by a backend, print what it took, and return the result without the backend's name, and seconds."""
    with Watch() as watch:
        begun, cpu = time.perf_counter(), time.process_time()
        found = verify(rows, identities, [OperatingPoint(far=far)], settings=Settings(backend=backend))
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    pairs = len(rows) * (len(rows) - 1) / 2
    print(f"  {backend:12} {seconds:8.2f} s, {cpu:8.2f} s of processor time, {pairs / seconds:.3g} pairs a second")
    if watch.runs:
        rate = pairs * (WIDTH + 8) / (seconds - watch.ready)
        print(
            f"  {'':12} {watch.ready:8.2f} s until ready, {watch.calls:.2f} s in {watch.runs:,} calls of the device; "
            f"{watch.places:,} candidates for K = {found.points[0].allowed_false_accepts:,}; {rate:.3g} products/s"
        )
    return msgspec.structs.replace(found, backend=""), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on-cpu", action="store_true", help="the same graphs on the processor's provider")
    parser.add_argument("--rows", type=int, default=0, help="of the comparison")
    parser.add_argument("--no-mr-all", action="store_true", help="the comparison only")
    options = parser.parse_args()
    device = "cuda-on-cpu" if options.on_cpu else "cuda"
    rows = options.rows or (FEW if options.on_cpu else SOME)
    print(f"{os.cpu_count()} processors; filters: {'; '.join(states())}")
    with tempfile.TemporaryDirectory(prefix="features-") as name:
        folder = Path(name)
        make(folder, rows, max(2, rows // 7), WIDTH)
        features, identities = np.load(folder / FEATURES, mmap_mode="r"), np.load(folder / IDENTITIES)
        for far in ("1e-6", "1e-4"):
            print(f"{rows:,} rows, FAR < {far}")
            found = {backend: measured(features, identities, far, backend) for backend in ("int8", device)}
            same = found["int8"][0] == found[device][0]
            ratio = found["int8"][1] / found[device][1]
            print(f"  int8 / {device}: {ratio:.2f} of the time; {'the same result' if same else 'ANOTHER RESULT'}")
        if options.on_cpu or options.no_mr_all:
            return
        make(folder, MR_ALL, MR_ALL_IDENTITIES, WIDTH)
        features, identities = np.load(folder / FEATURES, mmap_mode="r"), np.load(folder / IDENTITIES)
        print(f"{MR_ALL:,} rows, FAR < 1e-6; the aim is {AIM:g} s")
        measured(features, identities, "1e-6", device)


if __name__ == "__main__":
    main()
