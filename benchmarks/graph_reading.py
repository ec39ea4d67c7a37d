"""What reading a graph costs with `onnx_graph.ir` and with onnx-ir, as ratios in the same run.

    python -m benchmarks.graph_reading            # needs onnx-ir, which only this benchmark does

Fresh processes in turns, median of 5 pairs. onnx-ir reads, inlines functions, sorts; ours does that and turns Constant
nodes into constants, decodes attributes, names nodes and subgraphs. Both then tell for every value who reads it. Above
1 ours is the cheaper one.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx

from pytest_facechallenge.refnets import save
from pytest_facechallenge.refnets.vit import vit

PAIRS = 5

OURS = """
from pathlib import Path
from pytest_facechallenge.onnx_graph import ir
imported = time.process_time()
graph = ir.from_model(ir.read_model(Path(sys.argv[1])), Path(sys.argv[1]).parent)
graph.producers, graph.consumers, graph.used
"""
ONNX_IR = """
import onnx_ir
from onnx_ir.passes.common import InlinePass
imported = time.process_time()
model = onnx_ir.load(sys.argv[1])
if model.functions:
    model = InlinePass()(model).model
model.graph.sort()
for node in model.graph:
    for value in node.outputs:
        value.uses(), value.producer()
"""
#: Both need numpy and onnx, which are not counted.
AROUND = """
import sys, time, json, numpy, onnx, onnx.numpy_helper
started = time.process_time()
{way}
done = time.process_time()
peak = next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))
print(json.dumps({{"import": imported - started, "read": done - imported, "all": done - started, "peak": peak}}))
"""


def measure(way: str, path: Path) -> dict[str, float]:
    """Return seconds of processor time for import, reading and both, and the peak of resident KiB (Linux tells it)."""
    command = [sys.executable, "-c", AROUND.format(way=way), str(path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(told)
    return found


def iresnet100(path: Path) -> None:
    save("iresnet100", path)


def transformer(path: Path) -> None:
    """Write a ViT of about 2,400 nodes and little weight, so that it is the graph that counts."""
    onnx.save(vit(depth=53, dim=64, heads=2), str(path))


def main() -> None:
    networks: dict[str, Callable[[Path], None]] = {"iResNet-100": iresnet100, "narrow ViT": transformer}
    print(f"onnx-ir / ours, median of {PAIRS} pairs of fresh processes")
    for name, write in networks.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            write(path)
            size = f"{len(onnx.load(str(path), load_external_data=False).graph.node)} nodes"
            pairs = []
            for number in range(PAIRS + 1):
                order = [("ours", OURS), ("onnx-ir", ONNX_IR)]
                found = {way: measure(code, path) for way, code in (order if number % 2 else order[::-1])}
                if number:  # the first pair warms the file cache
                    pairs.append(found)
        ratios = {
            key: statistics.median(pair["onnx-ir"][key] / pair["ours"][key] for pair in pairs)
            for key in ("read", "all", "peak")
        }
        print(
            f"{name} ({size}): reading {ratios['read']:.2f}, with the import {ratios['all']:.2f} "
            f"(processor time); peak memory {ratios['peak']:.2f}"
        )


if __name__ == "__main__":
    main()
