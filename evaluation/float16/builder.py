"""A network of one convolution whose weight 'W' [16,3,3,3] each case stores in its own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from evaluation.builder import Array, GraphBuilder

SHAPE = (16, 3, 3, 3)
COUNT = 432


class WeightBuilder(GraphBuilder):
    """Collect what a case adds, then build the model; every tensor is named by the case."""

    def __init__(self) -> None:
        super().__init__(21, "x")
        self.rng = np.random.default_rng(7)
        self.sparse: list[onnx.SparseTensorProto] = []
        self.finish: list[Callable[[onnx.ModelProto], object]] = []

    def floats(self, *shape: int) -> npt.NDArray[np.float32]:
        """Draw normal values, of the weight's shape where none is given."""
        return self.rng.standard_normal(shape or SHAPE).astype(np.float32)

    def codes(self, dtype: Any = np.int8, *shape: int, low: int = 0, high: int = 127) -> Array:
        """Draw integers, of the weight's shape where none is given."""
        return self.rng.integers(low, high, shape or SHAPE).astype(dtype)

    def store(self, name: str, value: Any, kind: int | None = None) -> str:
        """Add an initializer; ``kind`` converts to a type that numpy lacks."""
        if kind is not None:
            value = helper.make_tensor(name, kind, value.shape, value.ravel().tolist())
        return super().store(name, value)

    def node(self, op: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        """Add a node without a name whose output is named."""
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def cast(self, value: str, output: str, to: int = TensorProto.FLOAT) -> str:
        """Add a Cast."""
        return self.node("Cast", [value], output, to=to)

    def model(self) -> onnx.ModelProto:
        """Add the convolution, and its weight where the case made none, and close the graph."""
        made = set(self.initializers) | {name for node in self.nodes for name in node.output}
        if "W" not in made | {sparse.values.name for sparse in self.sparse}:
            self.store("W", self.floats())
        model = self.assemble(
            [helper.make_tensor_value_info(self.x, TensorProto.FLOAT, ["N", 3, 8, 8])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            "net",
            ir_version=10,
            nodes=[*self.nodes, helper.make_node("Conv", [self.x, "W"], ["y"], name="stem")],
            sparse=self.sparse,
        )
        for step in self.finish:
            step(model)
        return model
