"""Makes five small entries, as strangers might hand them in, and a table of their declarations.

    python make_entries.py entries/
    facechallenge audit entries/ --track A --out audit/ --declarations entries/table.csv

Two are good, one has 640 values, one is no model, and one is a copy of another under a new name.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TABLE = """\
entry,training.dataset,training.external_data,training.pretrained_models,organization.name,submission.time,submission.number_that_day
one.onnx,MS1M-V3,no,no,First University,2021-08-01T10:00:00+08:00,1
two.onnx,MS1M-V3,no,no,Second University,2021-08-01T11:00:00+08:00,1
wide.onnx,MS1M-V3,no,no,Third University,2021-08-01T12:00:00+08:00,1
copy.onnx,MS1M-V3,no,no,Fourth University,2021-08-01T13:00:00+08:00,1
"""


def network(values: int, seed: int) -> onnx.ModelProto:
    """Return a small network with random weights: four strided convolutions and a fully connected layer."""
    rng = np.random.Generator(np.random.PCG64(seed))
    nodes, weights, last, channels = [], [], "input", 3
    for layer, width in enumerate((8, 16, 24, 32)):
        kernel = rng.standard_normal((width, channels, 3, 3)).astype(np.float32) / np.sqrt(np.float32(9 * channels))
        weights.append(numpy_helper.from_array(kernel, f"kernel{layer}"))
        nodes.append(helper.make_node("Conv", [last, f"kernel{layer}"], [f"c{layer}"], strides=[2, 2], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        last, channels = f"r{layer}", width
    matrix = rng.standard_normal((values, channels * 49)).astype(np.float32) / np.float32(40)
    weights.append(numpy_helper.from_array(matrix, "matrix"))
    nodes.append(helper.make_node("Flatten", [last], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "matrix"], ["embedding"], transB=1))
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", values])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, values, seed in (("one", 256, 1), ("two", 512, 2), ("wide", 640, 3)):
        onnx.save(network(values, seed), folder / f"{name}.onnx")
    (folder / "broken.onnx").write_bytes(b"this is no model")
    shutil.copy(folder / "two.onnx", folder / "copy.onnx")
    (folder / "table.csv").write_text(TABLE, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
