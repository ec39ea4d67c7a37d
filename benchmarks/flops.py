"""What counting FLOPs costs beside what has to be done anyhow: ``python -m benchmarks.flops``.

For an iResNet-100 and a transformer of 2,000 nodes, with weights of real size, in a process of its own each time:
reading the file and counting, against reading the file and onnx shape inference on it. Best of several rounds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 5
NETWORKS = ("iresnet100", "vit-deep")

MEASURE = """
import json, resource, sys, time
from pathlib import Path
import onnx
from pytest_facechallenge.analyses.flops.gather import facts_of
from pytest_facechallenge.onnx_graph.ir import from_model, read_model

path = Path(sys.argv[2])
start = time.perf_counter()
if sys.argv[1] == "count":
    result = facts_of(from_model(read_model(path), path.parent)).low
else:
    result = len(onnx.shape_inference.infer_shapes(onnx.load(str(path)), data_prop=True).graph.value_info)
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, result]))
"""


def measure(what: str, path: Path) -> tuple[float, float, int]:
    """Return seconds, peak memory in MB, and the result, best of `ROUNDS` (by time)."""
    rounds = [
        json.loads(
            subprocess.run([sys.executable, "-c", MEASURE, what, str(path)], check=True, capture_output=True).stdout
        )
        for _ in range(ROUNDS)
    ]
    seconds, memory, result = min(rounds)
    return seconds, memory, result


def main() -> None:
    from pytest_facechallenge.refnets import save

    print(f"{'network':12}{'MB':>8}{'load + inference':>20}{'load + count':>16}{'ratio':>8}{'peak MB':>18}  FLOPs")
    with tempfile.TemporaryDirectory() as folder:
        for name in NETWORKS:
            path = Path(folder) / f"{name}.onnx"
            save(name, path)
            size = path.stat().st_size / 1024**2
            inference, most_inference, _ = measure("infer", path)
            count, most, flops = measure("count", path)
            print(
                f"{name:12}{size:8.1f}{inference:18.2f} s{count:14.2f} s{count / inference:8.2f}"
                f"{most_inference:10.0f} / {most:.0f}  {flops:,}"
            )
            path.unlink()


if __name__ == "__main__":
    main()
