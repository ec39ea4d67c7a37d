"""Small models from ONNX's own text form, and what they cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

from pytest_facechallenge.analyses.flops.gather import facts_of
from pytest_facechallenge.core.facts.flops import FlopsFacts
from pytest_facechallenge.onnx_graph.ir import Graph, from_model

HEAD = '<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1, "ai.onnx.ml" : 3, "own" : 1]>\n'


def model(text: str, *, opset: int = 17, functions: str = "") -> onnx.ModelProto:
    """Parse a graph; its inputs whose names start with "w" become weights (seeded noise in the declared type)."""
    made = parser.parse_model(HEAD.format(opset=opset) + text + functions)
    generator = np.random.default_rng(0)
    kept = []
    for entry in made.graph.input:
        if not entry.name.startswith("w"):
            kept.append(entry)
            continue
        kind = entry.type.tensor_type
        shape = [dim.dim_value for dim in kind.shape.dim]
        noise = generator.normal(size=shape) * (1 if kind.elem_type == onnx.TensorProto.FLOAT else 3)
        array = np.asarray(noise).astype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
        made.graph.initializer.append(numpy_helper.from_array(array, entry.name))
    del made.graph.input[:]
    made.graph.input.extend(kept)
    return made


def graph(text: str, *, opset: int = 17, functions: str = "") -> Graph:
    return from_model(model(text, opset=opset, functions=functions), Path())


def cost(text: str, *, opset: int = 17, functions: str = "") -> FlopsFacts:
    return facts_of(graph(text, opset=opset, functions=functions))
