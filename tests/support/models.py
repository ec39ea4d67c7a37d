"""Tiny submissions built in code: small enough that a test can afford to run them for real."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def network(
    *,
    dim: int = 64,
    batch: int | str = "N",
    shape: Sequence[int | str] = (3, 112, 112),
    dtype: int = TensorProto.FLOAT,
    opset: int = 11,
    ir_version: int = 6,
    tail: Sequence[onnx.NodeProto] = (),
    constants: dict[str, np.ndarray[Any, Any]] | None = None,
    output: str = "embedding",
    declared_output: Sequence[int | str] | None = None,
    output_dtype: int = TensorProto.FLOAT,
    extra_inputs: Sequence[onnx.ValueInfoProto] = (),
    extra_outputs: Sequence[onnx.ValueInfoProto] = (),
    seed: int = 0,
) -> onnx.ModelProto:
    """Return four strided convolutions and a fully connected layer: 10 nodes, about 60 kB.

    ``tail`` nodes may go on from "embedding" to ``output``; ``constants`` are further initializers.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, np.ndarray[Any, Any]] = {}
    value, channels = "input", 3
    for index, width in enumerate((8, 8, 16, 16)):
        weights[f"w{index}"] = rng.standard_normal((width, channels, 3, 3), np.float32) / np.float32(
            (9 * channels) ** 0.5
        )
        conv = helper.make_node(
            "Conv", [value, f"w{index}"], [f"c{index}"], f"conv{index}", strides=[2, 2], pads=[1] * 4
        )
        nodes += [conv, helper.make_node("Relu", [f"c{index}"], [f"r{index}"], f"relu{index}")]
        value, channels = f"r{index}", width
    weights["fc"] = rng.standard_normal((channels * 49, dim), np.float32) / np.float32((channels * 49) ** 0.5)
    weights["fc_bias"] = np.zeros(dim, np.float32)
    nodes += [
        helper.make_node("Flatten", [value], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "fc", "fc_bias"], ["embedding"], "head"),
    ]
    weights |= constants or {}
    declared = [batch, dim] if declared_output is None else list(declared_output)
    graph = helper.make_graph(
        [*nodes, *tail],
        "network",
        [helper.make_tensor_value_info("input", dtype, [batch, *shape]), *extra_inputs],
        [helper.make_tensor_value_info(output, output_dtype, declared), *extra_outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write a model; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def pack(path: Path, entries: dict[str, bytes]) -> Path:
    """Write a zip of these entries."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path
