"""A network of one convolution whose weight 'W' [16,3,3,3] each test stores in its own way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from pytest_facechallenge.analyses.context import Context
from pytest_facechallenge.core.facts.base import Facts
from pytest_facechallenge.core.facts.package import PackageFacts
from pytest_facechallenge.core.run_options import RunOptions

Array = npt.NDArray[Any]

SHAPE = (16, 3, 3, 3)
COUNT = 432


class Net:
    """Collects what a test adds, then builds the model."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(7)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.sparse: list[onnx.SparseTensorProto] = []
        self.functions: list[onnx.FunctionProto] = []
        self.finish: list[Callable[[onnx.ModelProto], object]] = []
        self.opset = 21

    def floats(self, *shape: int) -> npt.NDArray[np.float32]:
        return self.rng.standard_normal(shape or SHAPE).astype(np.float32)

    def codes(self, dtype: Any = np.int8, *shape: int, low: int = 0, high: int = 127) -> Array:
        return self.rng.integers(low, high, shape or SHAPE).astype(dtype)

    def store(self, name: str, values: Any, kind: int | None = None) -> str:
        """Add an initializer; ``kind`` converts to a type that numpy lacks."""
        array = np.asarray(values)
        if kind is None:
            self.initializers.append(numpy_helper.from_array(array, name))
        else:
            self.initializers.append(helper.make_tensor(name, kind, array.shape, array.ravel().tolist()))
        return name

    def node(self, op: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def cast(self, value: str, output: str, to: int = TensorProto.FLOAT) -> str:
        return self.node("Cast", [value], output, to=to)

    def model(self) -> onnx.ModelProto:
        made = {t.name for t in self.initializers} | {name for node in self.nodes for name in node.output}
        if "W" not in made | {sparse.values.name for sparse in self.sparse}:
            self.store("W", self.floats())
        conv = helper.make_node("Conv", ["x", "W"], ["y"], name="stem")
        graph = helper.make_graph(
            [*self.nodes, conv],
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            self.initializers,
            sparse_initializer=self.sparse,
        )
        domains = {node.domain for node in self.nodes if node.domain} | {f.domain for f in self.functions}
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(domain, 1) for domain in sorted(domains))]
        model = helper.make_model(graph, opset_imports=opsets, functions=self.functions, ir_version=10)
        for step in self.finish:
            step(model)
        return model


def context_of(model: onnx.ModelProto, folder: Path, options: RunOptions | None = None, *facts: Any) -> Context:
    """Write the model to ``folder`` and return the context that a gatherer sees."""
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    size = path.stat().st_size
    package = PackageFacts(form="onnx", entries=(), model_path=str(path), model_name=path.name, sha256="", bytes=size)
    return Context(path, folder, Facts.of(package, *facts), options or RunOptions())
