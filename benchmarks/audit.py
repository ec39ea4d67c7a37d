"""An audit of hundreds that is killed on the way: time and memory for each submission, and what is gathered twice.

    python -m benchmarks.audit                           250 submissions, 2 at a time, killed three times
    python -m benchmarks.audit --submissions 12
    python -m benchmarks.audit --dask local:2            on workers of dask.distributed

It makes networks of about 5 MB in three architectures with different weights, with broken and hostile ones and copies
among them, and audits them with `facechallenge audit`, without latency on this machine and without testsets. After a
quarter, a half and three quarters of the entries the process is killed (SIGKILL) and started again. Printed are

* seconds for each submission: of all processes together, over the submissions;
* memory of the auditing process when entries were judged, and what a further entry adds to it (a straight line through
  the second half of the last process);
* steps that were gathered again although the entry had been judged: none should be;
* which planted copies were found, and whether others were taken for copies;
* the overview, as the last process shows it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import psutil
from onnx import helper, numpy_helper

from evaluation.duplicates.copies import kinds
from pytest_facechallenge import refnets
from pytest_facechallenge.auditing.document import Audit
from tests.security.hostile import HOSTILE

TRACK = "mfr21/A"
LINE = re.compile(r"\[ *(?P<done>\d+)/\d+\] (?P<name>.*?): .*\([\d.]+ s, (?P<how>nothing|\d+)")
#: Attacks that are entries by their own names.
ATTACKS = ("archive-prefixed", "archive-bomb", "nested-graphs", "huge-tensor", "endless-loop")


def convolutional(seed: int) -> onnx.ModelProto:
    """Return a plain stack of strided convolutions with a wide head: 1.3 million weights."""
    rng = np.random.default_rng(seed)
    nodes, weights, last, channels = [], [], "data", 3
    for layer, width in enumerate((32, 64, 96, 128)):
        kernel = rng.standard_normal((width, channels, 3, 3)).astype(np.float32) / np.sqrt(np.float32(9 * channels))
        weights.append(numpy_helper.from_array(kernel, f"kernel{layer}"))
        nodes.append(helper.make_node("Conv", [last, f"kernel{layer}"], [f"c{layer}"], strides=[2, 2], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        last, channels = f"r{layer}", width
    matrix = rng.standard_normal((160, channels * 49)).astype(np.float32) / np.float32(80)
    weights.append(numpy_helper.from_array(matrix, "matrix"))
    nodes.append(helper.make_node("Flatten", [last], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "matrix"], ["embedding"], transB=1))
    graph = helper.make_graph(
        nodes,
        "convolutional",
        [helper.make_tensor_value_info("data", onnx.TensorProto.FLOAT, ["N", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["N", 160])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


ARCHITECTURES: tuple[Callable[[int], onnx.ModelProto], ...] = (
    lambda seed: refnets.mobilefacenet(seed=seed),
    lambda seed: refnets.vit(depth=6, dim=128, heads=4, patch=16, seed=seed),
    convolutional,
)

#: Ways in which an entry is broken without meaning harm.
BROKEN: tuple[Callable[[Path], object], ...] = (
    lambda path: path.write_bytes(b"this is no model"),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(convolutional(0).SerializeToString()[:1_000_000]),
    lambda path: onnx.save(refnets.mobilefacenet(seed=1, embedding=1024), path),
    lambda path: onnx.save(refnets.mobilefacenet(seed=2, batch=1), path),
)


def copied(model: onnx.ModelProto, kind: str) -> onnx.ModelProto:
    """Return a network as somebody else hands it in; ``kind`` is a key of `COPIES`."""
    (output,) = model.graph.output
    width = output.type.tensor_type.shape.dim[1].dim_value
    return model if kind == _SAME else kinds(width)[kind](model)


#: Kinds of copies.
_SAME = "same bytes"
COPIES = (_SAME, *kinds(1))


@dataclass
class Entries:
    """What was made: the folder, and the planted copies as (kind, original, copy)."""

    folder: Path
    copies: list[tuple[str, str, str]] = field(default_factory=list)


def make(folder: Path, count: int, copies: int, broken: int, hostile: int) -> Entries:
    folder.mkdir()
    made = Entries(folder)
    independent = count - copies - broken - hostile
    for number in range(independent):
        onnx.save(ARCHITECTURES[number % 3](1000 + number), folder / f"team-{number:03}.onnx")
    for number in range(copies):
        kind, original = COPIES[number % len(COPIES)], f"team-{number % independent:03}.onnx"
        name = f"copy-{number:03}.onnx"
        onnx.save(copied(onnx.load(folder / original), kind), folder / name)
        made.copies.append((kind, original, name))
    for number in range(broken):
        BROKEN[number % len(BROKEN)](folder / f"broken-{number:03}.onnx")
    attacks = [each for each in HOSTILE if each.name in ATTACKS]
    for number in range(hostile):
        place = folder / f"hostile-{number:03}"
        place.mkdir()
        attacks[number % len(attacks)].build(place)
    return made


@dataclass
class Process:
    """One process of the audit: seconds, whether it was killed, and of each line (entry, steps, resident bytes)."""

    seconds: float
    killed: bool
    lines: list[tuple[str, int, int]]
    shown: str


def audited(entries: Path, out: Path, options: argparse.Namespace, stop_after: int | None) -> Process:
    """Run the audit; kill it when ``stop_after`` entries were judged."""
    command = [sys.executable, "-m", "pytest_facechallenge", "audit", str(entries), "--track", TRACK, "--out", str(out)]
    command += ["-n", str(options.jobs), "--latency", "modelled", "--device", "cpu"]
    command += ["--dask", options.dask] if options.dask else []
    started, lines, killed = time.perf_counter(), [], False
    with (out.parent / "shown.txt").open("wb") as shown:
        process = subprocess.Popen(command, stdout=shown, stderr=subprocess.PIPE, text=True)
        resident = psutil.Process(process.pid)
        assert process.stderr is not None
        for text in process.stderr:
            found = LINE.match(text)
            if found is None:
                print(text, end="", flush=True)
                continue
            how = found["how"]
            memory = int(resident.memory_info().rss) if process.poll() is None else 0
            lines.append((found["name"], 0 if how == "nothing" else int(how), memory))
            if stop_after is not None and int(found["done"]) >= stop_after:
                process.kill()
                killed = True
                break
        process.wait()
    if process.returncode and not killed:
        raise SystemExit(f"the audit ended with {process.returncode}")
    return Process(time.perf_counter() - started, killed, lines, (out.parent / "shown.txt").read_text(encoding="utf-8"))


def gathered_again(processes: list[Process]) -> int:
    """Count steps that a process gathered of entries that one before it had judged."""
    judged: set[str] = set()
    again = 0
    for process in processes:
        again += sum(steps for name, steps, _ in process.lines if name in judged)
        judged |= {name for name, _, _ in process.lines}
    return again


def growth(process: Process) -> tuple[float, float]:
    """Return MiB when the last entries were judged, and KiB that an entry adds over the second half."""
    memory = [resident for _, _, resident in process.lines if resident]
    half = memory[len(memory) // 2 :]
    slope = float(np.polyfit(np.arange(len(half)), half, 1)[0]) if len(half) > 2 else float("nan")
    return (half[-1] / 2**20 if half else float("nan")), slope / 2**10


def copies_found(found: Audit, made: Entries) -> tuple[dict[str, tuple[int, int]], int]:
    """Return of each kind (found, planted), and how many pairs that are no copies were taken for some.

    The audit shows as few pairs as connect a group of copies, so what is connected is found.
    """
    originals = {copy: original for _, original, copy in made.copies}
    shown = [(one, other) for group in found.identical for one, other in pairwise(group)]
    shown += [(pair.one, pair.other) for pair in found.related if pair.relation == "copy"]
    names = [(Path(one).name, Path(other).name) for one, other in shown]
    accused = sum(
        originals.get(one, one) != originals.get(other, other)
        for one, other in names
        if one.startswith(("team", "copy")) and other.startswith(("team", "copy"))
    )
    group = {name: name for pair in names for name in pair}
    for one, other in names:
        kept, gone = group[one], group[other]
        group = {name: kept if root == gone else root for name, root in group.items()}
    counts = {}
    for kind in COPIES:
        planted = [(original, copy) for its, original, copy in made.copies if its == kind]
        hits = sum(group.get(copy, copy) == group.get(original, original) for original, copy in planted)
        counts[kind] = (hits, len(planted))
    return counts, accused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=250)
    parser.add_argument("--copies", type=int, help="planted copies (a twelfth)")
    parser.add_argument("--broken", type=int, help="broken entries (a twentyfifth)")
    parser.add_argument("--hostile", type=int, help="hostile entries (a fiftieth)")
    parser.add_argument("--jobs", type=int, default=2, help="entries judged at a time")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--dask", default="", metavar="SCHEDULER|local:N")
    parser.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    options = parser.parse_args()
    count = options.submissions
    parts = [
        given if given is not None else max(1, count // share)
        for given, share in ((options.copies, 12), (options.broken, 25), (options.hostile, 50))
    ]
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="audit-") as name:
        made = make(Path(name) / "entries", count, *parts)
        size = sum(path.stat().st_size for path in made.folder.glob("team-*")) / max(1, count - sum(parts)) / 1e6
        sorts = f"{parts[0]} copies, {parts[1]} broken, {parts[2]} hostile"
        print(f"{count} submissions: {sorts}; networks of {size:.1f} MB", flush=True)
        out = Path(name) / "out"
        stops: list[int | None] = [count * (k + 1) // (options.kills + 1) for k in range(options.kills)]
        processes = [audited(made.folder, out, options, stop) for stop in [*stops, None]]
        report(options, processes, Audit.load(out / "audit.json"), made)


def report(options: argparse.Namespace, processes: list[Process], found: Audit, made: Entries) -> None:
    seconds, count = sum(each.seconds for each in processes), len(found.entries)
    print(processes[-1].shown)
    lines = [len(each.lines) for each in processes if each.killed]
    print(f"killed {len(lines)} times, when {lines} entries were judged or found judged already")
    where = options.dask or f"{options.jobs} at a time"
    print(f"{seconds / count:.2f} s a submission ({where}, {os.cpu_count()} cores; {seconds:.0f} s in all)")
    memory, slope = growth(processes[-1])
    print(f"memory of the auditing process {memory:.0f} MiB at the end, {slope:+.1f} KiB for each further entry")
    print(f"steps gathered again of entries that were judged before: {gathered_again(processes)}")
    counts, accused = copies_found(found, made)
    for kind, (hits, planted) in counts.items():
        print(f"planted copies, {kind}: {hits} of {planted} found")
    print(f"pairs of independent networks that were taken for copies: {accused}")


if __name__ == "__main__":
    main()
