"""Small networks, built in code, for the tests of the detector."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from evaluation.builder import GraphBuilder, untyped

SIZE = 32


class Net(GraphBuilder):
    """A network [N, 3, size, size] "image" to "embedding"; nodes are named by their kind and their place."""

    def __init__(self, seed: int = 0, size: int = SIZE, opset: int = 17, prefix: str = "") -> None:
        super().__init__(opset, "image")
        self.random = np.random.default_rng(seed)
        self.size, self.prefix = size, prefix

    def fresh(self, stem: str) -> str:
        return f"{self.prefix}c{len(self.initializers)}"

    def names(self, kind: str, outputs: int) -> tuple[str, list[str]]:
        place = len(self.nodes)
        return f"{kind}_{place}", [f"{self.prefix}{kind.lower()}{place}_{i}" for i in range(outputs)]

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        return super().const(value, dtype)

    def ints(self, *values: int) -> str:
        return self.const(list(values), np.int64)

    def op(self, kind: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        names = self.ops(kind, *inputs, outputs=outputs, **attributes)
        return names[0] if outputs == 1 else names

    def weights(self, *shape: int) -> npt.NDArray[np.float32]:
        fan = int(np.prod(shape[1:])) if len(shape) > 1 else 1
        values: npt.NDArray[np.float32] = (self.random.standard_normal(shape) * np.sqrt(2 / fan)).astype(np.float32)
        return values

    def conv(
        self,
        x: str,
        w: Any,
        *,
        stride: int = 1,
        group: int = 1,
        pads: Any = None,
        bias: Any = None,
        **kw: Any,
    ) -> str:
        weight = w if isinstance(w, str) else self.const(w)
        k = 3 if isinstance(w, str) else w.shape[-1]
        inputs = [x, weight] if bias is None else [x, weight, self.const(bias)]
        return str(self.op("Conv", *inputs, pads=pads or [k // 2] * 4, strides=[stride] * 2, group=group, **kw))

    def body_weights(self, channels: tuple[int, ...] = (3, 8, 16, 16)) -> list[npt.NDArray[np.float32]]:
        return [self.weights(b, a, 3, 3) for a, b in pairwise(channels)]

    def body(self, x: str, weights: list[Any], group: int = 1) -> str:
        for index, w in enumerate(weights):
            x = self.op("Relu", self.conv(x, w, stride=2 if index else 1, group=group))
        return x

    def pool(self, x: str) -> str:
        return str(self.op("Flatten", self.op("GlobalAveragePool", x)))

    def fc(self, x: str, w: Any) -> str:
        return str(self.op("MatMul", x, w if isinstance(w, str) else self.const(w)))

    def mirror(self, x: str, axis: int = 3) -> str:
        return str(self.op("Slice", x, self.ints(-1), self.ints(-(2**31)), self.ints(axis), self.ints(-1)))

    def model(self, output: str) -> onnx.ModelProto:
        return self.assemble(
            [helper.make_tensor_value_info(self.x, TensorProto.FLOAT, ["N", 3, self.size, self.size])],
            [untyped("embedding")],
            "net",
            ir_version=8,
            nodes=[*self.nodes, helper.make_node("Identity", [output], ["embedding"], name="last")],
        )

    def save(self, output: str, folder: Path) -> Path:
        path = folder / "net.onnx"
        onnx.save(self.model(output), str(path))
        return path
