"""Exact TAR at FAR against plain matrix products, numpy, faiss and scikit-learn, interleaved in one run.

    python -m benchmarks.verification                  20,000 rows, FAR < 1e-6
    python -m benchmarks.verification --n 50000
    python -m benchmarks.verification --children       157,280 rows, FAR < 1e-4: ours and the plain product only

Every method sees the same rows and uses as many threads. "product only" computes the scores of the half square and
looks at none of them. Methods take turns, and medians are compared, so that other load on the machine hits all alike;
where that is uneven, the processor time of all threads tells more.
`benchmarks.verification_parts` shows where our time goes.
faiss and scikit-learn are measured where they are installed; scikit-learn on fewer rows, since it keeps every score.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import threadpoolctl

from pytest_facechallenge.core.freed_memory import give_back
from pytest_facechallenge.verification import OperatingPoint, Settings, verify
from pytest_facechallenge.verification.backends.products import float_product
from pytest_facechallenge.verification.impostors import default_workers

if TYPE_CHECKING:
    from collections.abc import Callable


BLOCK = 1024
CHILDREN = (157_280, 14_344, "1e-4")
ROC_ROWS = 5_000
WORKERS = default_workers()


def embeddings(rows: int, identities: int, width: int, seed: int = 0) -> tuple[Any, Any]:
    """Make unit rows float32 [rows, width] around one centre per identity, with a decaying spectrum.

    Standard deviations fall as exp(-k / 150): some 150 effective dimensions of 512, which is about what the scores of
    face networks' impostor pairs show (a spread of 0.08).
    """
    rng = np.random.default_rng(seed)
    names = np.sort(np.concatenate([np.arange(identities), rng.integers(0, identities, rows - identities)]))
    basis = np.linalg.qr(rng.standard_normal((width, width)))[0] * np.exp(-np.arange(width) / 150)[:, None]
    basis = basis.astype(np.float32)
    centres = rng.standard_normal((identities, width), dtype=np.float32) @ basis
    x = np.empty((rows, width), np.float32)
    for start in range(0, rows, 4096):
        part = slice(start, min(start + 4096, rows))
        noise = rng.uniform(0.5, 2.0, (part.stop - start, 1)).astype(np.float32)
        x[part] = centres[names[part]] + noise * (
            rng.standard_normal((part.stop - start, width), dtype=np.float32) @ basis
        )
        x[part] /= np.linalg.norm(x[part], axis=1, keepdims=True)
    return x, names


def half_square(rows: int) -> list[tuple[slice, slice]]:
    return [(slice(i, i + BLOCK), slice(j, j + BLOCK)) for i in range(0, rows, BLOCK) for j in range(i, rows, BLOCK)]


def in_threads(work: Callable[[Any], Any], jobs: list[Any]) -> list[Any]:
    """Run jobs in worker threads with a single-threaded BLAS each, the fastest way on most machines."""
    with threadpoolctl.threadpool_limits(1, "blas"), ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, jobs))


def numpy_product(x: Any) -> None:
    in_threads(lambda tile: (x[tile[0]] @ x[tile[1]].T)[0, 0], half_square(len(x)))


def runtime_product(x: Any) -> None:
    tiles = half_square(len(x))

    def work(mine: list[tuple[slice, slice]]) -> None:
        product, out = float_product(), np.empty(BLOCK * BLOCK, np.float32)
        for left, right in mine:
            a, b = x[left], x[right]
            product(a, b, out[: len(a) * len(b)].reshape(len(a), len(b)))

    in_threads(work, [tiles[k::WORKERS] for k in range(WORKERS)])


def numpy_top_k(x: Any, identities: Any, keep: int) -> float:
    """Take float32 blocks, genuine pairs struck out, and keep the largest by partition."""

    def work(mine: list[tuple[slice, slice]]) -> Any:
        top = np.empty(0, np.float32)
        for left, right in mine:
            scores = x[left] @ x[right].T
            scores[identities[left][:, None] == identities[right]] = -2
            if left.start == right.start:
                scores[np.tril_indices(len(scores))] = -2
            top = np.concatenate([top, scores.ravel()])
            if len(top) > keep:
                top.partition(len(top) - keep)
                top = top[-keep:].copy()
        return top

    tiles = half_square(len(x))
    tops = in_threads(work, [tiles[k::WORKERS] for k in range(WORKERS)])
    return float(np.sort(np.concatenate(tops))[-keep])


def faiss_range_search(x: Any, threshold: float) -> int:
    import faiss

    faiss.omp_set_num_threads(WORKERS)
    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    return sum(int(index.range_search(x[k : k + 4096], threshold)[0][-1]) for k in range(0, len(x), 4096))


def sklearn_roc(x: Any, identities: Any) -> Any:
    from sklearn.metrics import roc_curve

    i, j = np.triu_indices(len(x), 1)
    return roc_curve(identities[i] == identities[j], (x @ x.T)[i, j])


def peak_extra_memory(
    name: str, rows: int, people: int, width: int, point: OperatingPoint, keep: tuple[int, float]
) -> float:
    """Run a method in a fresh process, and give the peak of resident memory above what it began with, in MB.

    NaN where the system does not tell (it is Linux that does). A run on few rows comes first, so that libraries and
    their thread pools are loaded already.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")

    def field(key: str) -> float:
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith(key))

    small = methods(*embeddings(300, 30, width), point, (5, 0.5), few=False)
    small[name]()
    run = methods(*embeddings(rows, people, width), point, keep, few=False)[name]
    give_back()  # so that re-used memory is counted as used
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = field("VmRSS")
    run()
    return field("VmHWM") - before


def methods(
    x: Any, identities: Any, point: OperatingPoint, told: tuple[int, float], *, few: bool
) -> dict[str, Callable[[], Any]]:
    """Give the methods by name; `told` is how many scores top-k keeps and the threshold that faiss is told."""

    def ours(backend: str) -> Callable[[], Any]:
        return lambda: verify(x, identities, [point], settings=Settings(backend=backend))

    found: dict[str, Callable[[], Any]] = {
        "ours, int8": ours("int8"),
        "product only, onnxruntime": lambda: runtime_product(x),
    }
    if few:
        return found
    found |= {
        "ours, sgemm": ours("sgemm"),
        "product only, numpy": lambda: numpy_product(x),
        "numpy blocked top-k": lambda: numpy_top_k(x, identities, told[0]),
    }
    if importlib.util.find_spec("faiss"):
        found["faiss range_search, told the threshold"] = lambda: faiss_range_search(x, told[1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20_000, help="rows")
    parser.add_argument("--width", type=int, default=512, help="values a row")
    parser.add_argument("--far", default="1e-6")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--children", action="store_true", help="157,280 rows of 14,344 identities at FAR < 1e-4")
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="TEXT", help="methods whose names contain one of these"
    )
    parser.add_argument("--no-memory", action="store_true", help="leave the memory out, which takes a run of each")
    options = parser.parse_args()
    rows, people, far = CHILDREN if options.children else (options.n, max(1, options.n // 10), options.far)
    x, identities = embeddings(rows, people, options.width)
    point = OperatingPoint(far=far)
    result = verify(x, identities, [point]).points[0]
    told = (result.allowed_false_accepts + 1, result.threshold or 0.0)
    runs = methods(x, identities, point, told, few=options.children)
    if options.only:
        runs = {k: run for k, run in runs.items() if k.startswith("ours, int8") or any(o in k for o in options.only)}
    memory = dict.fromkeys(runs, float("nan"))
    for name in () if options.no_memory else runs:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            memory[name] = pool.submit(peak_extra_memory, name, rows, people, options.width, point, told).result()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            run()
            seconds[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - cpu_start)

    own, own_cpu = (statistics.median(times["ours, int8"]) for times in (seconds, cpu))
    features = x.nbytes / 2**20
    print(f"{rows:,} rows of {options.width} values ({features:.0f} MB), FAR < {far}, {WORKERS} threads")
    kernels = {str(pool.get("architecture", pool["internal_api"])) for pool in threadpoolctl.threadpool_info()}
    print(f"numpy {np.__version__}, its BLAS kernel: {', '.join(sorted(kernels)) or 'unknown'}")
    print(f"{options.rounds} rounds, medians; memory beyond the features; allowed: {64 + features / 2:.0f} MB\n")
    print(f"{'method':42}{'seconds':>9}{'of ours':>9}{'CPU s':>9}{'of ours':>9}{'memory':>10}")
    for name, times in seconds.items():
        middle = statistics.median(times)
        used = statistics.median(cpu[name])
        ratios = f"{middle:9.2f}{middle / own:8.2f}x{used:9.2f}{used / own_cpu:8.2f}x"
        print(f"{name:42}{ratios}{memory[name]:7.0f} MB", flush=True)
    print(f"\nTAR {result.tar}, threshold {result.threshold}, K {result.allowed_false_accepts}")
    if not options.children and importlib.util.find_spec("sklearn"):
        small, names = x[:ROC_ROWS], identities[:ROC_ROWS]
        start = time.perf_counter()
        sklearn_roc(small, names)
        middle = time.perf_counter()
        verify(small, names, [point])
        ratio = (middle - start) / (time.perf_counter() - middle)
        print(f"scikit-learn roc_curve, {len(small):,} rows: {middle - start:.1f} s, {ratio:.0f}x of ours")


if __name__ == "__main__":
    main()
