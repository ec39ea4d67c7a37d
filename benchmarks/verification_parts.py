"""Where the time of a verification goes, and how near the int8 product is to what this processor can do.

    python -m benchmarks.verification_parts --children             157,280 rows, FAR < 1e-4
    python -m benchmarks.verification_parts --n 50000              FAR < 1e-6
    python -m benchmarks.verification_parts --n 30000 --far 1e-4   the Children set's shares in a fifteenth of the time

Each part's processor time, of all threads together, as a share of the whole and in ns a pair; the functions that do
them are wrapped while the verification runs. "The most" is the runtime's own int8 product on operands that stay in the
cache and are laid out before the clock starts, in one thread; float32 likewise. The plain float32 product of the half
square, nothing looked at, is measured in the same run: the whole is to be a third of it.
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks.verification import CHILDREN, WORKERS, embeddings, runtime_product
from pytest_facechallenge.inference.session import open_session
from pytest_facechallenge.verification import OperatingPoint, Settings, engine, impostors, points, verify
from pytest_facechallenge.verification.backends.int8 import Int8Filter, _Int8Worker
from pytest_facechallenge.verification.rows import UnitRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS, COLUMNS = 256, 256


class Clock:
    """Adds up processor time by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.counts: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def add(self, name: str, seconds: float, count: int = 0) -> None:
        """Add to a name."""
        with self._lock:
            self.seconds[name] += seconds
            self.counts[name] += count

    def wrapped(self, name: str, function: Any, count: Callable[[Any, Any], int], now: Callable[[], float]) -> Any:
        """Return the function, its time added to a name; ``count`` gets its arguments and its result."""

        def timed(*arguments: Any, **named: Any) -> Any:
            begun = now()
            result = function(*arguments, **named)
            self.add(name, now() - begun, count(arguments, result))
            return result

        return timed


@contextlib.contextmanager
def watched(clock: Clock) -> Iterator[None]:
    """Have the parts of a verification timed: `thread_time` where threads do others meanwhile."""

    def nothing(_arguments: Any, _result: Any) -> int:
        return 0

    def pairs(arguments: Any, _result: Any) -> int:
        return len(arguments[1])

    parts: list[tuple[Any, str, str, Any, Any]] = [
        (UnitRows, "__init__", "look at every row", nothing, time.process_time),
        (impostors, "_sample_block", "guess the cutoff", nothing, time.process_time),
        (Int8Filter, "__init__", "choose dimensions, quantise", nothing, time.process_time),
        (_Int8Worker, "candidates", "product and compare", lambda _a, found: len(found[0]), time.thread_time),
        (UnitRows, "may_reach", "candidates in float32", pairs, time.thread_time),
        (UnitRows, "scores", "candidates in float64", pairs, time.thread_time),
        (engine, "genuine_scores", "genuine pairs", nothing, time.process_time),
        (points, "tar_interval", "interval", nothing, time.process_time),
    ]
    original = Int8Filter.worker

    def worker(self: Int8Filter) -> Any:
        made = original(self)
        made._product = clock.wrapped(
            "product", made._product, lambda a, _r: a[0].shape[0] * a[0].shape[1] * a[1].shape[1], time.thread_time
        )
        clock.counts["columns"] = self.columns
        return made

    with contextlib.ExitStack() as stack:
        for owner, name, title, count, now in parts:
            function = clock.wrapped(title, getattr(owner, name), count, now)
            stack.enter_context(mock.patch.object(owner, name, function))
        stack.enter_context(mock.patch.object(Int8Filter, "worker", worker))
        yield


def most(depth: int, *, integer: bool) -> float:
    """Give the most multiplications a second of the runtime, one thread, operands [256, depth] and [depth, 256]."""
    rng = np.random.default_rng(0)
    kinds = (TensorProto.UINT8, np.uint8, TensorProto.INT32) if integer else (TensorProto.FLOAT, np.float32, 1)
    left = rng.integers(1, 255, (ROWS, depth)).astype(kinds[1])
    right = rng.integers(-127, 127, (depth, COLUMNS)).astype(np.int8 if integer else np.float32)
    constants = [numpy_helper.from_array(right, "right")]
    if integer:
        constants.append(helper.make_tensor("zero", TensorProto.UINT8, [], [128]))
    names = ["left", "right", "zero"] if integer else ["left", "right"]
    node = helper.make_node("MatMulInteger" if integer else "MatMul", names, ["product"])
    graph = helper.make_graph(
        [node],
        "most",
        [helper.make_tensor_value_info("left", kinds[0], [ROWS, depth])],
        [helper.make_tensor_value_info("product", kinds[2], [ROWS, COLUMNS])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session: Any = open_session(model.SerializeToString(), threads=1)
    out = np.empty((ROWS, COLUMNS), np.int32 if integer else np.float32)
    binding = session.io_binding()
    binding.bind_input("left", "cpu", 0, kinds[1], left.shape, left.ctypes.data)
    binding.bind_output("product", "cpu", 0, out.dtype.type, out.shape, out.ctypes.data)
    best, runs = np.inf, 20
    for _ in range(30):
        begun = time.thread_time()
        for _ in range(runs):
            session.run_with_iobinding(binding)
        best = min(best, time.thread_time() - begun)
    return float(ROWS * COLUMNS * depth * runs / best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20_000, help="rows")
    parser.add_argument("--far", default="1e-6")
    parser.add_argument("--children", action="store_true", help="157,280 rows of 14,344 identities at FAR < 1e-4")
    parser.add_argument("--workers", type=int, default=WORKERS, help="threads of ours")
    options = parser.parse_args()
    rows, people, far = CHILDREN if options.children else (options.n, max(1, options.n // 11), options.far)
    x, identities = embeddings(rows, people, 512)
    settings = Settings(backend="int8", workers=options.workers)
    verify(x[:3000], identities[:3000], [OperatingPoint(far="1e-3")], settings=settings)
    clock = Clock()
    with watched(clock):
        wall, cpu = time.perf_counter(), time.process_time()
        verify(x, identities, [OperatingPoint(far=far)], settings=settings)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    plain_wall, plain = time.perf_counter(), time.process_time()
    runtime_product(x)
    plain_wall, plain = time.perf_counter() - plain_wall, time.process_time() - plain
    report(clock, rows, far, cpu, plain)
    print(
        f"plain float32 product / the whole: {plain / cpu:.2f} by processor time, {plain_wall / wall:.2f} by wall time"
    )


def report(clock: Clock, rows: int, far: str, cpu: float, plain: float) -> None:
    """Print the table."""
    seconds, pairs = dict(clock.seconds), rows * (rows - 1) / 2
    seconds["compare with the cutoff"] = seconds.pop("product and compare") - seconds["product"]
    # Quantising reads rows, and so do others: what is inside of another part is not counted twice.
    seconds["the rest"] = cpu - sum(seconds.values())
    counts = {"candidates in float32": "candidates in float32", "candidates in float64": "candidates in float64"}
    print(f"{rows:,} rows of 512 values, FAR < {far}; {pairs:.3g} pairs\n")
    print(f"{'part':32}{'CPU s':>9}{'share':>8}{'ns a pair':>11}{'pairs':>13}")
    for name, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        counted = clock.counts.get(counts.get(name, ""), 0)
        shown = f"{counted:13,}" if counted else ""
        print(f"{name:32}{spent:9.2f}{spent / cpu:8.1%}{1e9 * spent / pairs:11.2f}{shown}")
    print(f"{'the whole':32}{cpu:9.2f}{1:8.1%}{1e9 * cpu / pairs:11.2f}")
    print(f"{'plain float32 product':32}{plain:9.2f}{plain / cpu:8.1%}{1e9 * plain / pairs:11.2f}\n")
    columns = clock.counts["columns"]
    reached = clock.counts["product"] / seconds["product"]
    best, single = most(columns, integer=True), most(512, integer=False)
    print(f"int8 product of {columns} columns: {reached / 1e9:.0f} G multiplications a second and thread, ", end="")
    print(f"{reached / best:.2f} of the most ({best / 1e9:.0f} G); float32's most: {single / 1e9:.0f} G, of which the ")
    print(f"plain product reaches {pairs * 512 / plain / single:.2f}")


if __name__ == "__main__":
    main()
